"""What is the case: the store, the process table, reserved ports, control groups and the scheduler's view of one home, read at one moment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.local.supervisor.processes import MARKER
from zoe_jupyter.model.execution import Execution, LogEvent
from zoe_jupyter.store.repository import Store, file_url

PAGE = 500
CAGES = Path("/sys/fs/cgroup")
HELD_PORT = re.compile(r" (\d+) @zoe-port-(\d+)$")
SERVICE_MARK = re.compile(rf"{MARKER}=[^/]*/([^/]*)/(.*)#(\d+)")
SUPERVISOR_MARK = re.compile(r"ZOE_SUPERVISOR=[^/]*/(.*)")


@dataclass(frozen=True)
class Process:
    """One that a supervisor started, or (without a service) a supervisor."""

    pid: int
    execution: str
    service: str = ""
    attempt: int = 0
    command: str = ""
    ports: frozenset[int] = frozenset()
    """Held by a supervisor for its services."""

    @property
    def name(self) -> str:
        return mark(self.execution, self.service, self.attempt)


@dataclass(frozen=True)
class Sight:
    """Nothing in it may contradict anything else in it."""

    executions: Sequence[Execution] = ()
    """All that the store has, ended ones included."""
    events: Sequence[LogEvent] = ()
    processes: Sequence[Process] = ()
    launches: Sequence[str] = ()
    """``<execution>/<service>#<attempt>`` of every start of a program, in order."""
    run_folders: Sequence[str] = ()
    cages: Sequence[str] = ()
    """Control groups, ``zoe.<deployment>.<execution>.<service>.<attempt>``."""
    nodes: Sequence[Mapping[str, Any]] | None = None
    """What ``GET cluster`` says; None without a server."""
    queue: Sequence[Mapping[str, Any]] = field(default_factory=list)
    """What ``GET queue`` says."""


def mark(execution: str, service: str, attempt: int) -> str:
    """How an attempt is named everywhere in here."""
    return f"{execution}/{service}#{attempt}"


def read_store(database: Path) -> tuple[list[Execution], list[LogEvent]]:
    """Everyone, and everything that happened."""
    store = Store(file_url(database))
    try:
        return list(_everyone(store)), list(_events(store))
    finally:
        store.close()


def _everyone(store: Store) -> Iterator[Execution]:
    page, cursor = store.find(limit=PAGE)
    yield from page
    while cursor is not None:
        page, cursor = store.find(limit=PAGE, cursor=cursor)
        yield from page


def _events(store: Store) -> Iterator[LogEvent]:
    since = 0
    while page := store.events(since=since, limit=PAGE):
        yield from page
        since = page[-1].seq


def processes_of(folder: Path, variable: str = "") -> list[Process]:
    """Supervisors and all that they started in this home: by a variable of their environment (its ``HOME``), or by their command."""
    variable = variable or f"HOME={folder}"
    found: list[Process] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            command, environment = _text(entry / "cmdline"), _text(entry / "environ")
            if f"{variable}\0" in environment or str(folder) in command:
                found += _process(int(entry.name), command.replace("\0", " "), environment)
    return found


def _process(pid: int, command: str, environment: str) -> Iterator[Process]:
    marks = environment.split("\0")
    if service := next(filter(None, map(SERVICE_MARK.fullmatch, marks)), None):
        yield Process(pid, service[1], service[2], int(service[3]), command)
    elif supervisor := next(filter(None, map(SUPERVISOR_MARK.fullmatch, marks)), None):
        yield Process(pid, supervisor[1], command=command, ports=_held_ports(pid))


def _held_ports(pid: int) -> frozenset[int]:
    """The port numbers whose names this process holds."""
    lines = map(HELD_PORT.search, _text(Path("/proc/net/unix")).splitlines())
    names = {f"socket:[{found[1]}]": int(found[2]) for found in lines if found}
    return frozenset(names[target] for target in _descriptors(pid) if target in names)


def _descriptors(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            yield os.readlink(f"{folder}/{name}")
    except OSError:
        return


def cages_of(executions: Sequence[Execution]) -> list[str]:
    """Control groups of these executions; each name once, whatever the controllers."""
    return sorted({Path(folder).name for folder in folders_of(execution.id for execution in executions)})


def folders_of(ids: Iterable[str]) -> list[str]:
    """Where the control groups of these executions are."""
    wanted = set(ids)
    return [
        os.path.join(parent, name)
        for parent, names, _ in os.walk(CAGES)
        for name in names
        if name.startswith("zoe.") and wanted.intersection(name.split("."))
    ]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""
