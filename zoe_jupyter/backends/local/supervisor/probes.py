"""How a service proves that it is ready: a TCP connection, an HTTP answer, a line of its log, a command. Never blocks the loop."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from .loop import READ, WRITE, Loop, Timer
from .ports import LOOPBACK, listeners, sockets_of
from .processes import send
from .spawn import SpawnError

_FIRST_PAUSE_S = 0.02
_PAUSES_S = {"tcp": 0.05, "http": 0.1, "command": 0.5}
"""At most, between two looks: each is a delay that the user sees, and work for the service."""
_SLOW_START_S, _SLOW_PAUSE_S = 30.0, 0.5
"""After so long, looks become rare."""
_TRY_S = {"tcp": 2.0, "http": 5.0, "command": 30.0}
_LONGEST_LINE = 8192
_PATTERN_LIMIT_S, _SLOW_LINES = 0.25, 8


class Subject(Protocol):
    """What a probe wants of its service."""

    loop: Loop

    @property
    def port_numbers(self) -> Mapping[str, int]: ...

    def member_pids(self) -> set[int]: ...

    def start_helper(self, command: Sequence[str], on_exit: Callable[[int], object]) -> tuple[int, int]: ...


class Probe:
    """Calls ``on_ready`` once, or never; ``close`` may be called at any time."""

    longest_pause_s = _PAUSES_S["tcp"]

    def __init__(self, subject: Subject, on_ready: Callable[[], object]) -> None:
        self._subject = subject
        self._on_ready = on_ready
        self._pause_s = _FIRST_PAUSE_S
        self._began = time.monotonic()
        self._timers: list[Timer] = []
        self._is_closed = False

    def start(self) -> None:
        """Begin to look."""

    def feed(self, data: bytes) -> None:
        """Take what the service has said."""

    def describe(self) -> str:
        """What is waited for, as the end of a sentence."""
        raise NotImplementedError

    def close(self) -> None:
        self._is_closed = True
        self._clear_timers()

    def _succeed(self) -> None:
        if not self._is_closed:
            self.close()
            self._on_ready()

    def _again(self, look: Callable[[], object]) -> None:
        """Look again after a pause that grows."""
        if self._is_closed:
            return
        self._clear_timers()
        self._timers.append(self._subject.loop.later(self._pause_s, look))
        is_slow = time.monotonic() - self._began > _SLOW_START_S
        self._pause_s = min(_SLOW_PAUSE_S if is_slow else self.longest_pause_s, self._pause_s * 1.5)

    def _clear_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()


class _PortProbe(Probe):
    """Connects to a port again and again; what happens on the connection is for the two below."""

    limit_s = _TRY_S["tcp"]

    def __init__(self, subject: Subject, on_ready: Callable[[], object], *, port: str) -> None:
        super().__init__(subject, on_ready)
        self.port = port
        self.number = subject.port_numbers[port]
        self._socket: socket.socket | None = None
        self._last = "nothing listens there"

    def start(self) -> None:
        self._look()

    def close(self) -> None:
        super().close()
        self._hang_up()

    def _look(self) -> None:
        self._hang_up()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._timers.append(
            self._subject.loop.later(self.limit_s, lambda: self._fail(f"no answer within {self.limit_s:g} s"))
        )
        self._socket.connect_ex((LOOPBACK, self.number))
        self._subject.loop.watch(self._socket.fileno(), WRITE, self._connected)

    def _connected(self, _: int) -> None:
        if self._socket is None:
            return
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._fail("nothing listens there" if error == errno.ECONNREFUSED else os.strerror(error))
        elif not self._is_ours():
            self._fail("another program listens there")
        else:
            self._talk(self._socket)

    def _talk(self, connection: socket.socket) -> None:
        self._succeed()

    def _is_ours(self) -> bool:
        """Whether one of the service's processes holds the listening socket; when nobody can tell, it is taken for ours."""
        held = listeners(self.number)
        return not held or bool(held & sockets_of(self._subject.member_pids()))

    def _fail(self, why: str) -> None:
        self._last = why
        self._hang_up()
        self._again(self._look)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._subject.loop.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None


class TcpProbe(_PortProbe):
    def describe(self) -> str:
        return f"a connection to its port {self.port} ({LOOPBACK}:{self.number}): {self._last}"


class HttpProbe(_PortProbe):
    limit_s = _TRY_S["http"]
    longest_pause_s = _PAUSES_S["http"]

    def __init__(self, subject: Subject, on_ready: Callable[[], object], *, port: str, path: str) -> None:
        super().__init__(subject, on_ready, port=port)
        self.path = path if path.startswith("/") else f"/{path}"
        self._answer = b""

    def describe(self) -> str:
        return f"an answer from http://{LOOPBACK}:{self.number}{self.path}: {self._last}"

    def _talk(self, connection: socket.socket) -> None:
        self._answer = b""
        request = (
            f"GET {self.path} HTTP/1.1\r\nHost: {LOOPBACK}:{self.number}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        )
        try:
            connection.send(request.encode("latin-1", "replace"))
        except OSError as error:
            self._fail(os.strerror(error.errno or 0))
            return
        self._subject.loop.watch(connection.fileno(), READ, self._readable)

    def _readable(self, _: int) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(os.strerror(error.errno or 0))
            return
        self._answer += data
        if b"\n" in self._answer or not data or len(self._answer) > _LONGEST_LINE:
            self._judge(self._answer.partition(b"\n")[0])

    def _judge(self, line: bytes) -> None:
        match = re.match(rb"HTTP/1\.[01] (\d{3})", line)
        if match and 200 <= int(match[1]) < 400:
            self._succeed()
        else:
            self._fail(
                f"it said {line.strip()[:80].decode(errors='replace')!r}" if line else "it hung up without an answer"
            )


class LogProbe(Probe):
    """Looks for a pattern in each line; lines are cut at 8 KiB, and a pattern that takes too long on one is given up for it."""

    def __init__(self, subject: Subject, on_ready: Callable[[], object], *, pattern: str) -> None:
        super().__init__(subject, on_ready)
        self._text = pattern
        try:
            self._pattern = re.compile(pattern)
        except re.error as error:
            raise SpawnError(f"the pattern {pattern!r} of its readiness is wrong: {error}", is_final=True) from None
        self._rest = b""
        self._is_skipping = False
        self._slow = 0

    def describe(self) -> str:
        slow = f" (it took too long on {self._slow} lines)" if self._slow else ""
        return f"a line of its log that matches {self._text!r}{slow}"

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._is_closed:
                return
            if not self._is_skipping:
                self._match(line)
            self._is_skipping = False
        if len(self._rest) > _LONGEST_LINE:
            if not self._is_skipping:
                self._match(self._rest)
            self._rest, self._is_skipping = b"", True

    def _match(self, line: bytes) -> None:
        if self._slow >= _SLOW_LINES:
            return
        text = line[:_LONGEST_LINE].rstrip(b"\r").decode(errors="replace")
        try:
            if limited(lambda: self._pattern.search(text), _PATTERN_LIMIT_S) is not None:
                self._succeed()
        except TimeoutError:
            self._slow += 1


class CommandProbe(Probe):
    """Runs a command beside the service until it exits with 0."""

    longest_pause_s = _PAUSES_S["command"]

    def __init__(self, subject: Subject, on_ready: Callable[[], object], *, command: Sequence[str]) -> None:
        super().__init__(subject, on_ready)
        self._command = list(command)
        self._child: tuple[int, int] | None = None
        self._last = "it has not ended yet"
        self._pause_s = 0.1

    def start(self) -> None:
        self._look()

    def describe(self) -> str:
        return f"its check {' '.join(self._command)!r} to exit with 0: {self._last}"

    def close(self) -> None:
        super().close()
        self._kill()

    def _look(self) -> None:
        try:
            self._child = self._subject.start_helper(self._command, self._exited)
        except SpawnError as error:
            self._last = str(error)
            self._again(self._look)
            return
        self._timers.append(self._subject.loop.later(_TRY_S["command"], self._kill))

    def _exited(self, code: int) -> None:
        self._child = None
        self._last = f"last it exited with {code}"
        if code == 0:
            self._succeed()
        else:
            self._again(self._look)

    def _kill(self) -> None:
        if self._child is not None:
            send(*self._child, signal.SIGKILL)


def make_probe(spec: Mapping[str, Any] | None, subject: Subject, on_ready: Callable[[], object]) -> Probe | None:
    """The probe that the order asks for, None when a running process is ready; raises SpawnError for one that cannot be."""
    if not spec:
        return None
    if spec.get("log"):
        return LogProbe(subject, on_ready, pattern=spec["log"])
    if spec.get("command"):
        return CommandProbe(subject, on_ready, command=spec["command"])
    port, _, path = (spec.get("http") or spec.get("tcp") or "").partition("/")
    if not port:
        return None
    if port not in subject.port_numbers:
        raise SpawnError(f"its readiness names the port {port!r}, which it does not have", is_final=True)
    if spec.get("http"):
        return HttpProbe(subject, on_ready, port=port, path=path)
    return TcpProbe(subject, on_ready, port=port)


def limited(work: Callable[[], Any], limit_s: float) -> Any:
    """Do it, but no longer than so long; raises TimeoutError. Matching a pattern looks for signals as it goes, so an alarm ends it."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _alarm(*_: object) -> None:
    raise TimeoutError
