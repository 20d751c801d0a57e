"""Connecting a kernel to an execution: one file per kind of connection, and what ends up in the notebook's namespace.

Lives here: the attach kinds, the flow from ``attach spark`` to a session in the namespace, leases and notices of a kernel.
Must not live here: rendering, IPython (``magics``), drivers at import time. Runs in the kernel's environment: standard library only until a kind is used.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallableModule(ModuleType):
    """``zoe.attach("spark")``: the Python API has a function of the name of this package, and Python puts the package there."""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        import zoe_jupyter

        return zoe_jupyter.function("attach")(*arguments, **named)


sys.modules[__name__].__class__ = _CallableModule
