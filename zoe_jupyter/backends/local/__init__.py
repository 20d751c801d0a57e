"""Services as plain processes of this machine, kept by one small supervisor per execution, which outlives the core.

Lives here: the backend for laptops and single machines; ``supervisor/`` is the program that really starts and watches. Must not live here:
decisions, states, anything of other backends. Called by the engine through ``LocalBackend`` only.
"""

from zoe_jupyter.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
