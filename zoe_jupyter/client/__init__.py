"""The only way in for notebooks, shells and modules: HTTP with the standard library, and one verb table.

Must not live here: rendering, IPython, anything that is not in the standard library. Called by ``magics``, ``cli``, ``attach``, ``modules``.
"""
