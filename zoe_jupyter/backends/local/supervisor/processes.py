"""Processes as the kernel tells them: who descends from whom, and who is still the one that we started.

A process is named by boot id, pid and start time (field 22 of ``stat``, clock ticks since boot); it is signalled only while these match.
Shared with the backend.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .files import SUPERVISOR_MARK

MARKER = "ZOE_SERVICE"
"""Environment variable ``<deployment>/<execution>/<service>#<attempt>`` of everything that a supervisor starts."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process(NamedTuple):
    pid: int
    ppid: int
    session: int
    state: str
    start: int
    cpu_ticks: int
    """User and system time, that of children it waited for included."""
    rss_bytes: int
    threads: int = 1

    @property
    def is_dead(self) -> bool:
        return self.state in "ZX"


def read(pid: int) -> Process | None:
    """The process of that pid, zombies included; None when there is none."""
    try:
        file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(file, 1024)
    except OSError:
        return None
    finally:
        os.close(file)
    fields = text[text.rfind(b")") + 2 :].split(None, 22)
    if len(fields) < 22:
        return None
    cpu = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    state, rss_bytes = fields[0].decode(), int(fields[21]) * PAGE_BYTES
    return Process(pid, int(fields[1]), int(fields[3]), state, int(fields[19]), cpu, rss_bytes, int(fields[17]))


def scan() -> dict[int, Process]:
    """All processes that can be seen, by pid."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = read(int(name))
            if process is not None:
                found[process.pid] = process
    return found


def descendants(processes: Mapping[int, Process], roots: Iterable[int]) -> set[int]:
    """All pids below the roots, the roots not included."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.ppid, []).append(process.pid)
    below: set[int] = set()
    todo = list(roots)
    while todo:
        for pid in children.get(todo.pop(), ()):
            if pid not in below:
                below.add(pid)
                todo.append(pid)
    return below


def is_alive(pid: int, start: int) -> bool:
    """Whether that very process still runs; a zombie does not."""
    process = read(pid) if pid > 0 else None
    return process is not None and process.start == start and not process.is_dead


def start_of(pid: int) -> int:
    """Start time of the process, 0 when it is gone."""
    process = read(pid)
    return process.start if process else 0


def send(pid: int, start: int, signum: int) -> bool:
    """Signal that very process and no successor of its pid; says whether it was there."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (OSError, AttributeError):  # a kernel or Python without pidfd
        return _send_plainly(pid, start, signum)
    try:
        if not is_alive(pid, start):
            return False
        signal.pidfd_send_signal(handle, signum)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _send_plainly(pid: int, start: int, signum: int) -> bool:
    try:
        if not is_alive(pid, start):
            return False
        os.kill(pid, signum)
        return True
    except OSError:
        return False


def boot_id() -> str:
    """Changes with every start of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        return file.read().strip()


def raw_environment(pid: int) -> bytes:
    """The process's environment as it started, NUL-separated; empty when it may not be read or was overwritten."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def is_supervisor(pid: int, mark: str) -> bool:
    """Services can write down whose process id they like: nobody is taken for a supervisor, or killed as one, who was not started as it."""
    return f"{SUPERVISOR_MARK}={mark}".encode() in raw_environment(pid).split(b"\0")


def marker_of(pid: int) -> str:
    """Value of ``ZOE_SERVICE`` in the process's environment, empty when it has none."""
    prefix = MARKER.encode() + b"="
    for entry in raw_environment(pid).split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return ""


def folder_of(pid: int) -> str:
    """Working folder of the process, empty when it may not be read."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return ""


def owner_of(pid: int) -> int:
    """User id of the process, -1 when it is gone."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def proportional_bytes(pid: int) -> int:
    """Memory of the process with shared pages divided among their users; 0 when it may not be read. Takes milliseconds."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
