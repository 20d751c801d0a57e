"""Kernels of a running Jupyter server, without a browser: cells go in, what they show comes out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

READY_S = 60.0


class CellFailed(Exception):
    """The cell raised; the message is its traceback."""


class ServerKernel:
    """A kernel that the server started for a notebook of that path, as JupyterLab does when one is opened."""

    def __init__(self, home: JupyterHome, server: JupyterServer, notebook: str = "notebook.ipynb") -> None:
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        self._server = server
        self._session = server.ask("api/sessions", method="POST", body=body)
        self.id = str(self._session["kernel"]["id"])
        self._client = BlockingKernelClient(connection_file=str(_file(home, self.id)))
        self._client.load_connection_file()
        self._client.start_channels(hb=False)  # it would call a kernel dead that is slow to start
        self._client.wait_for_ready(timeout=READY_S)

    def run(self, code: str, *, timeout_s: float = 300.0) -> str:
        """What the cell shows, as text; raises CellFailed."""
        shown: list[str] = []
        reply = self._client.execute_interactive(
            code, timeout=timeout_s, output_hook=lambda message: shown.extend(_text(message)), allow_stdin=False
        )
        if reply["content"]["status"] != "ok":
            raise CellFailed("\n".join(reply["content"].get("traceback") or [str(reply["content"].get("evalue"))]))
        return "\n".join(shown)

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        if not self._server.has_ended():
            self._server.ask(f"api/sessions/{self._session['id']}", method="DELETE")


@contextmanager
def server_kernel(home: JupyterHome, server: JupyterServer, notebook: str = "notebook.ipynb") -> Iterator[ServerKernel]:
    """A kernel for as long as the block lasts."""
    kernel = ServerKernel(home, server, notebook)
    try:
        yield kernel
    finally:
        kernel.close()


def _file(home: JupyterHome, kernel_id: str) -> Path:
    return home.folder / "runtime" / f"kernel-{kernel_id}.json"


def _text(message: dict[str, Any]) -> Iterator[str]:
    content = message["content"]
    if message["msg_type"] == "stream":
        yield content["text"]
    elif message["msg_type"] in ("display_data", "update_display_data", "execute_result"):
        yield content["data"].get("text/plain", "")
