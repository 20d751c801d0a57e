"""Has supervisors forked by a process that is ready to be one, and starts that process when it is first wanted."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from zoe_jupyter.backends.local.environment import inherited
from zoe_jupyter.backends.local.supervisor.files import NURSERY, NURSERY_ROOM, SUPERVISOR_MARK, UNMARKED
from zoe_jupyter.failpoints import failpoint

PROGRAM = Path(__file__).parent / "supervisor" / "__main__.py"
SILENT_S = 2.0
"""A nursery that has not forked for so long is stuck: the supervisor is started without it."""


class Nursery:
    """Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._door: socket.socket | None = None
        self._is_of_use = True

    def start(self, run_dir: Path, mark: str, *, limit_s: float) -> bytes | None:
        """Start a supervisor; what it said first, None when no nursery could be had or it did nothing."""
        if not self._is_of_use or max(len(os.fsencode(run_dir)), len(os.fsencode(mark))) >= NURSERY_ROOM:
            return None
        with suppress(TimeoutError):
            for _ in range(2):
                word = self._start(run_dir, mark, min(limit_s, SILENT_S))
                if word == UNMARKED:  # this kernel does not tell where it keeps them
                    self._is_of_use = False
                    break
                if word:
                    return word
                self.close()
        self.close()
        return None

    def _start(self, run_dir: Path, mark: str, limit_s: float) -> bytes:
        """Empty when whoever could answer is gone; raises TimeoutError when it only says nothing."""
        answer, other_end = os.pipe()
        try:
            is_asked = self._ask(run_dir, mark, other_end)
        finally:
            os.close(other_end)
        failpoint("supervisor.started")
        try:
            return first_line(answer, limit_s) if is_asked else b""
        finally:
            os.close(answer)

    def close(self) -> None:
        """Let it end; the supervisors stay. The next ``start`` makes another."""
        with self._lock:
            self._end()

    def _ask(self, run_dir: Path, mark: str, answer: int) -> bool:
        request = json.dumps({"run_dir": str(run_dir), "mark": mark}).encode()
        with self._lock:
            for _ in range(2):
                with suppress(OSError):
                    socket.send_fds(self._opened(), [request], [answer])
                    return True
                self._end()
        return False

    def _opened(self) -> socket.socket:
        if self._door is None:
            self._door, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._door.settimeout(SILENT_S)
            with other_end:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(PROGRAM), NURSERY],
                    stdin=other_end.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    env={**inherited(os.environ), SUPERVISOR_MARK: NURSERY}, cwd="/", start_new_session=True,
                )  # fmt: skip
        return self._door

    def _end(self) -> None:
        if self._door is not None:
            self._door.close()
            self._door = None
        if self._process is not None:
            try:
                self._process.wait(0.2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def first_line(descriptor: int, limit_s: float) -> bytes:
    """What comes before the first newline or the end; raises TimeoutError when neither comes in time."""
    end = time.monotonic() + limit_s
    line = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP)
    while b"\n" not in line:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError
        data = os.read(descriptor, 256)
        if not data:
            break
        line += data
    return line.partition(b"\n")[0]
