"""Zoe for Jupyter. Dispatches lazily, and only that: IPython extension, Python API (``zoe.start("spark")``), server extension."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_VERBS = "attach detach forget info logs nodes open ps queue quota restart resume rm run scale shop start stop suspend validate zapp"
FUNCTIONS = frozenset({"Execution", *_VERBS.split()})
"""Names of the Python API; written down, because a look at any other name must import nothing."""


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext zoe_jupyter``: the magics ``%zoe`` and ``%%zoe``."""
    import_module("zoe_jupyter.magics.extension").load(shell)


def unload_ipython_extension(shell: Any) -> None:
    import_module("zoe_jupyter.magics.extension").unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "zoe_jupyter", "app": import_module("zoe_jupyter.server.extension").ZoeExtension}]


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    return [{"src": "labextension", "dest": "zoe-jupyter"}]


def function(name: str) -> Any:
    """A function of the Python API: every verb of ``%zoe`` is one."""
    return import_module("zoe_jupyter.magics.functions").function(name)


class _CallableModule(ModuleType):
    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return function(self.__name__.rpartition(".")[2])(*arguments, **named)


def make_callable(package: str) -> None:
    """Let ``zoe.shop()`` work where the package of that name was imported: Python puts it where the function was."""
    sys.modules[package].__class__ = _CallableModule


def __getattr__(name: str) -> Any:
    if name == "attach":
        return import_module("zoe_jupyter.attach")
    if name in FUNCTIONS:
        return function(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
