"""Who asks, from where: kernel, notebook, interpreter, folder. What a submission's ``client`` carries, and what leases name."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoe_jupyter.client.api import Api
from zoe_jupyter.client.connection import is_parent

LABEL_NOTEBOOK = "zoe/notebook"
LABEL_KERNEL = "zoe/kernel"
LABEL_JOB = "zoe/job"
"""On what ``run`` started; its value is the application beside the program."""
JOB_ENTRY = "python-job"
"""The application of the shop that runs a program."""
OUTSIDE = "outside"
"""The server of a kernel or process that no Jupyter server of Zoe has started."""
_KERNEL_FILE = re.compile(r"kernel-(.+)\.json")


@dataclass(frozen=True, slots=True)
class Facts:
    kernel_id: str
    """Of a shell or a script: its host and process, so that leases can name it."""
    notebook: str
    python: str
    cwd: str
    server: str
    """The Jupyter server whose kernel this is; ``OUTSIDE`` when it is not a kernel of the server asked."""

    @property
    def has_witness(self) -> bool:
        """Whether a Jupyter server knows when this kernel ends; any other keeps its leases by heartbeat."""
        return self.server != OUTSIDE

    def as_client(self) -> dict[str, str]:
        return {
            "kernel_id": self.kernel_id,
            "notebook": self.notebook,
            "python": self.python,
            "cwd": self.cwd,
            "server": self.server,
        }

    def labels(self) -> dict[str, str]:
        """What an execution is found again by, from the same kernel or notebook."""
        found = {LABEL_KERNEL: self.kernel_id, LABEL_NOTEBOOK: self.notebook}
        return {name: value for name, value in found.items() if value}

    def owns(self, execution: Mapping[str, Any]) -> bool:
        """Whether that execution was asked for by this kernel or this notebook."""
        labels = execution.get("labels") or {}
        if labels.get(LABEL_KERNEL) == self.kernel_id:
            return True
        return bool(self.notebook) and self.notebook in (labels.get(LABEL_NOTEBOOK), execution.get("notebook"))


def gather(api: Api, namespace: Mapping[str, Any]) -> Facts:
    """The facts of this process; asks Zoe for its server's id where this is a kernel of that server."""
    return Facts(
        kernel_id=kernel_id() or f"process-{socket.gethostname()}-{os.getpid()}",
        notebook=notebook(namespace), python=sys.executable or "", cwd=_folder(), server=_server(api),
    )  # fmt: skip


def is_job(execution: Mapping[str, Any]) -> bool:
    """Whether it is a program that runs to its end, rather than something to work with."""
    return LABEL_JOB in (execution.get("labels") or {}) or execution.get("entry") == JOB_ENTRY


def kernel_id() -> str:
    """The id of this kernel; empty outside of one."""
    match = _KERNEL_FILE.fullmatch(Path(_kernel_file()).name)
    return match[1] if match else ""


def notebook(namespace: Mapping[str, Any]) -> str:
    """The path of the notebook that this kernel serves; empty when nobody says."""
    return os.environ.get("JPY_SESSION_NAME") or str(namespace.get("__vsc_ipynb_file__") or "")


def _kernel_file() -> str:
    if "ipykernel" not in sys.modules:
        return ""
    try:
        from ipykernel.connect import get_connection_file

        return str(get_connection_file())
    except Exception:  # ipykernel raises what it likes when this process is no kernel
        return ""


def is_served(api: Api) -> bool:
    """Whether this is a kernel of the Jupyter server that is asked."""
    return bool(kernel_id()) and is_parent(api.http.connection)


def _server(api: Api) -> str:
    return str(api.info().get("server") or OUTSIDE) if is_served(api) else OUTSIDE


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""
