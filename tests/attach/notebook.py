"""A notebook's kernel on a real Jupyter server, driven as a front end does."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

START_S = 90.0
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Output:
    """What a cell showed."""

    text: str = ""
    """Streams and plain forms, in order."""
    html: str = ""
    displays: dict[str, list[str]] = field(default_factory=dict)
    """By display id, the plain forms that it went through."""
    error: str = ""


class Notebook:
    def __init__(self, home: JupyterHome, server: JupyterServer, path: str, *, kernel: str) -> None:
        self._server = server
        body = {"path": path, "name": path, "type": "notebook", "kernel": {"name": kernel}}
        self.session = server.ask("api/sessions", method="POST", body=body)
        self.kernel_id = self.session["kernel"]["id"]
        self._client = BlockingKernelClient(
            connection_file=str(home.folder / "runtime" / f"kernel-{self.kernel_id}.json")
        )
        self._client.load_connection_file()
        self._client.start_channels()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """A heartbeat that is late on a busy machine is no death: ask again."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            assert time.monotonic() < deadline, "the kernel did not start"

    def _is_ready(self) -> bool:
        try:
            self._client.wait_for_ready(timeout=START_S)
        except RuntimeError:
            return False
        return True

    def run(self, code: str, *, timeout_s: float = 120.0) -> Output:
        """Run a cell to its end; fails when it raised."""
        output = self.attempt(code, timeout_s=timeout_s)
        assert not output.error, f"{output.error}\n{output.text}"
        return output

    def attempt(self, code: str, *, timeout_s: float = 120.0) -> Output:
        """Run a cell to its end, whatever it is."""
        return self.finish(self._client.execute(code), timeout_s=timeout_s)

    def begin(self, code: str) -> str:
        return str(self._client.execute(code))

    def finish(self, request: str, *, timeout_s: float = 120.0) -> Output:
        output = Output()
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return output
            _add(output, message["msg_type"], message["content"])

    def value(self, expression: str) -> str:
        return self.run(f"print({expression})").text.strip()

    def interrupt(self) -> None:
        self._server.ask(f"api/kernels/{self.kernel_id}/interrupt", method="POST")

    def restart(self) -> None:
        self._server.ask(f"api/kernels/{self.kernel_id}/restart", method="POST")
        self._wait_until_ready()

    def close(self) -> None:
        self._client.stop_channels()


def _add(output: Output, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        output.text += content["text"]
    elif kind == "error":
        output.error = ANSI.sub("", "\n".join(content["traceback"]))
    elif kind in ("display_data", "execute_result", "update_display_data"):
        plain = content["data"].get("text/plain", "")
        display_id = (content.get("transient") or {}).get("display_id", "")
        if display_id:
            output.displays.setdefault(display_id, []).append(plain)
        output.text += plain + "\n"
        output.html += content["data"].get("text/html", "")


@contextmanager
def notebook(
    home: JupyterHome, server: JupyterServer, path: str = "flights.ipynb", *, kernel: str = "python3"
) -> Iterator[Notebook]:
    found = Notebook(home, server, path, kernel=kernel)
    try:
        yield found
    finally:
        found.close()
