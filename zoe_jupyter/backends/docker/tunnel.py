"""An engine behind ``ssh``: one connection of that program carries the engine's socket here, and each published port that somebody wants."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker.settings import LOOPBACK, EngineSettings
from zoe_jupyter.model.errors import Retryable

PROGRAM = "ssh"
SOCKET = "/var/run/docker.sock"
_CONTROL, _ENGINE, _WORDS = "c", "s", "words"
_START_S = 20.0
_CONNECT_S = 10
_SILENT_S, _SILENCES = 5, 3
_CALL_S = 10.0
_END_S = 5.0
_AGAIN_S = 2.0
_LOOK_S = 0.05


class Tunnel:
    """Blocks: for threads. Started at its first use and whenever it has ended; the same local ports again where they are free.

    ``link`` leads to the folder with its sockets, so that the next core ends what a killed one left.
    """

    def __init__(self, settings: EngineSettings, link: Path) -> None:
        self._settings = settings
        self._link = link
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[int, int] = {}
        """``{the engine's port: ours}``."""
        self._lock = threading.Lock()
        self._again_at = 0.0
        self._why = ""
        self._is_closed = False

    def open(self) -> str:
        """Its end here, as the driver names it; once it stands. Raises Unreachable with the words of ``ssh``."""
        with self._lock:
            return f"unix://{self._standing() / _ENGINE}"

    def bring(self, number: int) -> int:
        """Ours for a port that the engine publishes. Raises Unreachable, Retryable."""
        with self._lock:
            folder = self._standing()
            if number not in self._ports:
                self._ports[number] = self._forward(folder, number, (number, _free_port(), _free_port()))
            return self._ports[number]

    def keep(self, wanted: Callable[[], Collection[int]]) -> None:
        """Let go of all others, one by one: others wait for each only, and may bring it anew before."""
        for number in self._ports.keys() - set(wanted()):
            with self._lock:
                local = None if number in wanted() else self._ports.pop(number, None)
                if local is not None and self._folder is not None:
                    _control(self._folder, "cancel", "-L", self._pair(local, number))

    def brings_others_than(self, numbers: Collection[int]) -> bool:
        return bool(self._ports.keys() - set(numbers))

    def words(self) -> str:
        """What ``ssh`` said last."""
        if self._folder is None:
            return ""
        try:
            lines = (self._folder / _WORDS).read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return ""
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            self._end()
            self._ports.clear()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._link.unlink(missing_ok=True)
                self._folder = None

    def _standing(self) -> Path:
        if self._folder is not None and self._process is not None and self._process.poll() is None:
            return self._folder
        if self._is_closed:
            raise Unreachable(f"the engine {self._settings.name} is let go")
        if time.monotonic() < self._again_at:
            raise Unreachable(self._why)
        self._folder = self._folder or _fresh_folder(self._link)
        self._start(self._folder)
        before, self._ports = self._ports, {}
        for number, local in before.items():
            with suppress(Retryable):
                self._ports[number] = self._forward(self._folder, number, (local,))
        return self._folder

    def _start(self, folder: Path) -> None:
        self._end()
        for name in (_CONTROL, _ENGINE):
            (folder / name).unlink(missing_ok=True)
        with (folder / _WORDS).open("wb") as words:
            try:
                self._process = subprocess.Popen(
                    command(self._settings, folder), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=words,
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise self._failed(f"the program {PROGRAM} cannot be run: {error}") from error
        ends_at = time.monotonic() + _START_S
        while not ((folder / _CONTROL).exists() and (folder / _ENGINE).exists()):
            if self._process.poll() is not None:
                raise self._failed(self.words() or f"{PROGRAM} ended with {self._process.returncode}")
            if time.monotonic() > ends_at:
                self._end()
                raise self._failed(self.words() or f"{PROGRAM} is not there after {_START_S:g} s")
            time.sleep(_LOOK_S)

    def _failed(self, said: str) -> Unreachable:
        """Not tried again at once: each look of each caller would."""
        self._again_at = time.monotonic() + _AGAIN_S
        self._why = f"the engine {self._settings.name} does not answer: {self._settings.url}: {said}"
        return Unreachable(self._why)

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _forward(self, folder: Path, number: int, locals_: Sequence[int]) -> int:
        """The first of those that is free here."""
        said = ""
        for local in locals_:
            done = _control(folder, "forward", "-L", self._pair(local, number))
            if done.returncode == 0:
                return local
            said = done.stderr.decode(errors="replace").strip()
        raise Retryable(f"the port {number} of the engine {self._settings.name} cannot be brought here: {said}")

    def _pair(self, local: int, number: int) -> str:
        where = self._settings.publish_on
        return f"{LOOPBACK}:{local}:{LOOPBACK if where in ('', '0.0.0.0') else where}:{number}"  # noqa: S104


def command(settings: EngineSettings, folder: Path) -> list[str]:
    """It asks nobody anything, lends nothing of the user's to the other side, and ends when that falls silent."""
    at = urlsplit(settings.url)
    options = {
        "BatchMode": "yes",
        "ConnectTimeout": _CONNECT_S,
        "ServerAliveInterval": _SILENT_S,
        "ServerAliveCountMax": _SILENCES,
        "ExitOnForwardFailure": "yes",
        "ControlPersist": "no",
        "StreamLocalBindMask": "0177",
    }
    return [
        PROGRAM,
        *(("-F", os.path.expanduser(settings.ssh_config)) if settings.ssh_config else ()),
        *("-N", "-T", "-a", "-x", "-M", "-S", str(folder / _CONTROL)),
        *(word for name, value in options.items() for word in ("-o", f"{name}={value}")),
        *("-L", f"{folder / _ENGINE}:{at.path or SOCKET}"),
        *(("-p", str(at.port)) if at.port else ()),
        *(("-l", at.username) if at.username else ()),
        *("--", at.hostname or ""),
    ]


def _control(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Ask the connection that stands."""
    asked = [PROGRAM, "-F", "none", "-S", str(folder / _CONTROL), "-O", *words, "--", "engine"]
    try:
        return subprocess.run(asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=_CALL_S, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(asked, 1, b"", b"ssh does not answer")


def _fresh_folder(link: Path) -> Path:
    """With a short path, since sockets have no long ones. What an earlier core left there is ended."""
    with suppress(OSError):
        before = Path(os.readlink(link))
        if (before / _CONTROL).exists():
            _control(before, "exit")
        shutil.rmtree(before, ignore_errors=True)
        link.unlink()
    folder = Path(tempfile.mkdtemp(prefix="zoe-ssh-"))
    link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    link.symlink_to(folder)
    return folder


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
