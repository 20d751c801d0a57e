"""Where services really run: local processes, one Docker Engine, Kubernetes. They start, stop, observe, read logs.

Must not live here: decisions, states, the store. Backends do not know each other. Called by the engine only.
``base.py`` is the contract; ``testing/backend_contract.py`` is the suite that each backend is run through.
"""
