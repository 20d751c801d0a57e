"""Real Jupyter servers on folders of their own: started, stopped, killed and started again, with nothing left behind.

``JupyterHome`` is one user's Jupyter: its data, configuration, notebooks. Servers on it come and go; executions stay until ``close``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

from zoe_jupyter.backends.local.supervisor.files import NURSERY

START_S = 60.0
STOP_S = 30.0
BIN = Path(sys.executable).parent
INHERITED = ("HOME", "LANG", "LC_ALL", "PATH", "TZ", "USER", "LOGNAME", "XDG_CACHE_HOME", "JAVA_HOME")
SERVER_ON, SERVER_OFF = {"zoe_jupyter": True}, {"zoe_jupyter": False}
Found = TypeVar("Found")


def _is_nursery(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return NURSERY in process.cmdline()
    return False


def wait_for(what: str, look: Callable[[], Found | None], *, timeout_s: float = 30.0, pause_s: float = 0.1) -> Found:
    """What ``look`` finds, once it finds something true; AssertionError that names ``what`` when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(pause_s)


def free_port() -> int:
    """A port of this host that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class JupyterServer:
    """One running Jupyter server, or ``jupyter zoe serve``."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, *, url: str, token: str) -> None:
        self.process = process
        self.log = log
        self.url = url
        self.token = token

    def ask(self, path: str, *, method: str = "GET", body: Any = None, timeout_s: float = 60.0) -> Any:
        """The JSON that a path below the base URL answers; raises HTTPError."""
        return json.loads(self.read(path, method=method, body=body, timeout_s=timeout_s) or b"null")

    def read(self, path: str, *, method: str = "GET", body: Any = None, timeout_s: float = 60.0) -> bytes:
        """What such a path answers as it is, such as a page; raises HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return bytes(answer.read())

    def kill(self) -> None:
        """As the kernel does when memory is short: no goodbye. Its notebooks' kernels see that it is gone, and end."""
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> None:
        """As a user does with Ctrl-C, twice."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class JupyterHome:
    """One user's Jupyter in a folder: ``work`` is where the notebooks are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.data = folder / "data"
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.servers: list[JupyterServer] = []
        for path in (self.work, self.data, folder / "config" / "labconfig", folder / "runtime", folder / "tmp"):
            path.mkdir(parents=True, exist_ok=True)
        self._write_config()

    @property
    def environment(self) -> dict[str, str]:
        """Of its servers, and of a terminal of this user."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        own = {
            "JUPYTER_DATA_DIR": str(self.data),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "IPYTHONDIR": str(self.folder / "ipython"),
            "MPLCONFIGDIR": str(self.folder / "matplotlib"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONWARNINGS": "ignore",
            # Services inherit this one, so that they are known for ours.
            "TMPDIR": str(self.folder / "tmp"),
        }
        return {**inherited, **own, "PATH": os.pathsep.join([str(BIN), inherited.get("PATH", os.defpath)])}

    def start(
        self,
        *arguments: str,
        app: str = "lab",
        has_zoe: bool = True,
        variables: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> JupyterServer:
        """Start JupyterLab (or ``app="server"``) and wait until it answers; on the same port each time unless one is named."""
        self._enable(is_on=has_zoe)
        port = port or self.port
        log = self.folder / f"server-{len(self.servers)}.log"
        command = [str(BIN / f"jupyter-{app}"), *self._options(port), *arguments]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command, cwd=self.work, env={**self.environment, **(variables or {})},
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        server = JupyterServer(process, log, url=f"http://localhost:{port}/", token=self.token)
        self.servers.append(server)
        return wait_for(
            f"an answer of {command[0]}: see {log}", lambda: _answering(server), timeout_s=START_S, pause_s=0.01
        )

    def zoe(
        self, *words: str, variables: Mapping[str, str] | None = None, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run ``jupyter zoe`` in a terminal of this user."""
        return subprocess.run(
            [str(BIN / "jupyter"), "zoe", *words], cwd=self.work, env={**self.environment, **(variables or {})},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    def zoe_json(self, *words: str) -> Any:
        """What a reading verb prints with ``--json``."""
        done = self.zoe(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def processes(self) -> list[psutil.Process]:
        """Everything that was started from here and lives."""
        return [process for process in psutil.process_iter() if process.pid != os.getpid() and self._told(process)]

    def services(self) -> list[psutil.Process]:
        """Supervisors and services: what must outlive servers, and must not outlive executions. The nursery belongs to its server."""
        found = [process for process in self.processes() if "JUPYTER_DATA_DIR" not in self._told(process)]
        return [process for process in found if not _is_nursery(process)]

    def close(self) -> None:
        """End everything: executions by the book while a server answers, else whatever is left by force."""
        if any(not server.has_ended() for server in self.servers):
            with suppress(subprocess.TimeoutExpired):
                self.zoe("stop", "--all", "--wait", timeout_s=60)
        for server in self.servers:
            if not server.has_ended():
                server.stop()
        left = self.processes()
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=STOP_S)

    def _told(self, process: psutil.Process) -> Mapping[str, str]:
        """The environment of a living process of ours; empty for all others."""
        try:
            environment = process.environ() if process.status() != psutil.STATUS_ZOMBIE else {}
        except (psutil.Error, OSError):
            return {}
        return environment if environment.get("TMPDIR") == self.environment["TMPDIR"] else {}

    def _options(self, port: int) -> list[str]:
        options = [
            "--no-browser", f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.work}",
        ]  # fmt: skip
        return [*options, "--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else options

    def _write_config(self) -> None:
        page = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
        (self.folder / "config" / "labconfig" / "page_config.json").write_text(json.dumps(page))

    def _enable(self, *, is_on: bool) -> None:
        chosen = {"ServerApp": {"jpserver_extensions": SERVER_ON if is_on else SERVER_OFF}}
        (self.folder / "config" / "jupyter_server_config.json").write_text(json.dumps(chosen))


@contextmanager
def jupyter_home() -> Iterator[JupyterHome]:
    """A home in a folder with a short name (paths of sockets are short); nothing of it runs, or is left, at the end."""
    folder = Path(tempfile.mkdtemp(prefix="zj-"))
    home = JupyterHome(folder)
    try:
        yield home
    finally:
        home.close()
        shutil.rmtree(folder, ignore_errors=True)


def _answering(server: JupyterServer) -> JupyterServer | None:
    if server.has_ended():
        raise AssertionError(f"the server ended at its start (exit code {server.process.returncode}):\n{server.tail()}")
    try:
        server.ask("api/status", timeout_s=5)
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return server
