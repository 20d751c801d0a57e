"""Which living process belongs to which service. The supervisor is the reaper of every orphan below it, so all of them descend from it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .processes import Process, descendants, folder_of, marker_of, proportional_bytes, scan

if TYPE_CHECKING:
    from .service import Service

_FRESH_S = 0.005
_SHARE = 40
"""A look may take one part in so many of the time."""
_PROPORTIONAL_PAUSE_S = 2.0


class Census:
    def __init__(self) -> None:
        self.cost_s = 0.0
        self.processes: Mapping[int, Process] = {}
        self._began_at = self._ended_at = -1e9
        self._measured: dict[str, tuple[float, int]] = {}

    def pause_s(self, least_s: float) -> float:
        """How long to wait until the next look, so that looking stays cheap on a machine with many processes."""
        return max(least_s, self.cost_s * _SHARE)

    def take(self, services: Mapping[str, Service], helpers: Mapping[int, str], *, since: float | None) -> None:
        """Look, and tell each service its living processes; one that began after ``since`` is good enough, or one of some milliseconds ago."""
        began = time.monotonic()
        if self._began_at > since if since is not None else began - self._ended_at < _FRESH_S:
            return
        self.processes = {pid: process for pid, process in scan().items() if not process.is_dead}
        self._share_out(services, helpers)
        self._began_at, self._ended_at = began, time.monotonic()
        self.cost_s = self._ended_at - began

    def _share_out(self, services: Mapping[str, Service], helpers: Mapping[int, str]) -> None:
        living = {name: service for name, service in services.items() if service.is_alive}
        found: dict[str, dict[int, int]] = {name: {} for name in living}
        me = os.getpid()
        for process in [process for process in self.processes.values() if process.ppid == me]:
            name = helpers.get(process.pid) or _service_of(process, living)
            if name in found:
                for pid in {process.pid, *descendants(self.processes, [process.pid])}:
                    found[name][pid] = self.processes[pid].start
        for name, members in found.items():
            living[name].members = members

    def memory_bytes(self, service: Service) -> int:
        """What the service uses: resident memory of all its processes."""
        return sum(self.processes[pid].rss_bytes for pid in service.members if pid in self.processes)

    def is_over(self, service: Service) -> int:
        """The memory that the service uses when that is more than it may, else 0; pages that its processes share count once."""
        resident = self.memory_bytes(service)
        if resident <= service.memory_bytes:
            return 0
        measured_at, _ = self._measured.get(service.name, (-1e9, 0))
        if time.monotonic() - measured_at < _PROPORTIONAL_PAUSE_S and len(service.members) > 1:
            return 0
        used = _proportional(service.members) or resident
        self._measured[service.name] = (time.monotonic(), used)
        return used if used > service.memory_bytes else 0

    def tasks(self, service: Service) -> int:
        """How many processes and threads the service has."""
        return sum(self.processes[pid].threads for pid in service.members if pid in self.processes)

    def cpu_ticks(self, pids: Iterable[int]) -> int:
        return sum(self.processes[pid].cpu_ticks for pid in pids if pid in self.processes)


def _proportional(pids: Iterable[int]) -> int:
    """Zero when the kernel does not tell."""
    each = [proportional_bytes(pid) for pid in pids]
    return sum(each) if any(each) else 0


def _service_of(process: Process, living: Mapping[str, Service]) -> str:
    """By pid, by what was its before, by session, by marker, by folder; the only one when there is just one."""
    for name, service in living.items():
        if process.pid == service.record["pid"] or service.members.get(process.pid) == process.start:
            return name
    for name, service in living.items():
        if process.session == service.record["pid"]:
            return name
    marked = marker_of(process.pid).rpartition("/")[2].rpartition("#")[0]
    if marked in living:
        return marked
    folder = folder_of(process.pid)
    for name, service in living.items():
        if folder and folder == service.order["folder"]:
            return name
    return next(iter(living)) if len(living) == 1 else ""
