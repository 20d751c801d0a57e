"""Find and end what a dead supervisor left behind: daemonised grandchildren, which nothing else reaches. Shared with the backend.

A left process is known by its marker in the environment; by being in a list of pids and start times written down earlier; by the session of a
service; by a control group of ours; or, when it overwrote its environment, by working inside the run folder. A supervisor that is not the one that is
written down is left, too.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Mapping
from typing import Any

from . import cages
from .processes import (
    Process,
    boot_id,
    folder_of,
    is_alive,
    is_supervisor,
    owner_of,
    raw_environment,
    scan,
    send,
    start_of,
)

_OWN_PREFIX = b"ZOE_SERVICE="
_FREEZES = 20
"""How often at most to look for more before all are killed."""


def leftovers(run_dir: str, state: Mapping[str, Any], *, service: str = "") -> dict[int, int]:
    """``{pid: start time}`` of what still lives of an execution (of one of its services). Nothing after a restart of the machine."""
    if state.get("boot_id") != boot_id():
        return {}
    mark = f"{state.get('deployment', '')}/{state.get('execution', '')}"
    in_charge = tuple(state.get("supervisor", {}).get(part) for part in ("pid", "start"))
    # Who was started as one after us will see that we are here, and go.
    since = start_of(os.getpid()) if is_supervisor(os.getpid(), mark) else math.inf
    records = {name: record for name, record in state.get("services", {}).items() if service in ("", name)}
    known = _known(records)
    prefix = _marker_prefix(state, service)
    found = {}
    for process in scan().values():
        if process.pid == os.getpid() or process.is_dead or owner_of(process.pid) != os.getuid():
            continue
        is_one = process.start < since and is_supervisor(process.pid, mark)
        if service and is_one and (process.pid, process.start) == in_charge:
            continue
        if (is_one and not service) or _is_left(
            process, run_dir, records, known=known, prefix=prefix, is_whole=not service
        ):
            found[process.pid] = process.start
    return found


def recalled(deployment: str, execution: str) -> dict[str, Any]:
    """What is known of an execution whose state is gone: a service may have removed or spoilt it."""
    groups = cages.named(f"zoe.{deployment}.{execution}.")
    return {
        "deployment": deployment, "execution": execution, "boot_id": boot_id(), "services": {"": {"cages": groups}},
    }  # fmt: skip


def believed(state: Mapping[str, Any], deployment: str, execution: str) -> dict[str, Any]:
    """What is known of an execution with and without what is written: that may be of another start of the machine, or spoilt in whatever it names."""
    known = recalled(deployment, execution)
    if state.get("boot_id") != known["boot_id"]:
        return known
    return {**state, **known, "services": {**state.get("services", {}), **known["services"]}}


def sweep(
    run_dir: str, state: Mapping[str, Any], *, service: str = "", grace_s: float = 0.5, limit_s: float = 5.0
) -> bool:
    """Ask what is left to end, kill it after the grace; says whether all of it is gone. Blocks up to ``limit_s``."""
    end = time.monotonic() + limit_s
    kill_at = time.monotonic() + grace_s
    asked: set[int] = set()
    while True:
        found = leftovers(run_dir, state, service=service)
        if not found:
            return True
        now = time.monotonic()
        if now >= kill_at:
            _kill(run_dir, state, found, service=service)
        for pid, start in found.items():
            if pid not in asked:
                send(pid, start, signal.SIGTERM)
                asked.add(pid)
        if now >= end:
            return False
        time.sleep(0.02)


def _kill(run_dir: str, state: Mapping[str, Any], found: dict[int, int], *, service: str) -> None:
    """All at once: those that start others faster than they are killed are kept from that first."""
    for name, record in state.get("services", {}).items():
        if service in ("", name):
            cages.seal(record.get("cages", ()))
    frozen: dict[int, int] = {}
    for _ in range(_FREEZES):
        new = dict(found.items() - frozen.items())
        if not new:
            break
        for pid, start in new.items():
            send(pid, start, signal.SIGSTOP)
        frozen.update(new)
        found = leftovers(run_dir, state, service=service)
    for pid, start in frozen.items():
        send(pid, start, signal.SIGKILL)


def _known(records: Mapping[str, Any]) -> set[tuple[int, int]]:
    """Everything that was written down with its start time, or sits in one of our control groups."""
    known: set[tuple[int, int]] = set()
    for record in records.values():
        known.update((int(pid), int(start)) for pid, start in record.get("members", ()))
        if record.get("pid"):
            known.add((int(record["pid"]), int(record.get("start", 0))))
        for pid in cages.pids_in(record.get("cages", ())):
            known.add((pid, -1))
    return known


def _marker_prefix(state: Mapping[str, Any], service: str) -> bytes:
    whole = f"{state.get('deployment', '')}/{state.get('execution', '')}/"
    return _OWN_PREFIX + (f"{whole}{service}#" if service else whole).encode()


def _is_left(
    process: Process,
    run_dir: str,
    records: Mapping[str, Any],
    *,
    known: set[tuple[int, int]],
    prefix: bytes,
    is_whole: bool,
) -> bool:
    if (process.pid, process.start) in known or (process.pid, -1) in known:
        return True
    environment = raw_environment(process.pid)
    if any(entry.startswith(prefix) for entry in environment.split(b"\0")):
        return True
    if b"PATH=" in environment:  # a whole environment without our marker: not ours
        return False
    if any(_is_of_session(process, record) for record in records.values()):
        return True
    folder = folder_of(process.pid)
    return is_whole and (folder == run_dir or folder.startswith(run_dir + "/"))


def _is_of_session(process: Process, record: Mapping[str, Any]) -> bool:
    """Whether it is in the session that the service led; a pid cannot be given anew while a session bears its number."""
    leader, start = int(record.get("pid") or 0), int(record.get("start") or 0)
    if not leader or process.session != leader or process.start < start:
        return False
    return process.pid != leader and not _is_another(leader, start)


def _is_another(pid: int, start: int) -> bool:
    return os.path.exists(f"/proc/{pid}") and not is_alive(pid, start)
