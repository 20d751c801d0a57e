"""Connecting a kernel to an execution: one file per kind of connection, and what ends up in the notebook's namespace.

Lives here: the attach kinds, the flow from ``attach spark`` to a session in the namespace, leases and notices of a kernel.
Must not live here: rendering, IPython (``magics``), drivers at import time. Runs in the kernel's environment: standard library only until a kind is used.
"""

from zoe_jupyter import make_callable

make_callable(__name__)
