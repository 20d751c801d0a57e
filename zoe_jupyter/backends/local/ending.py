"""Ends what looked after an execution, and what that left."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from zoe_jupyter.backends.local.supervisor import cages
from zoe_jupyter.backends.local.supervisor.processes import is_alive, send
from zoe_jupyter.backends.local.supervisor.sweep import believed, sweep
from zoe_jupyter.backends.local.supervisors import Written, read


def identity(written: Written) -> tuple[int, int]:
    """Process id and start time of its supervisor."""
    return written.state["supervisor"]["pid"], written.state["supervisor"]["start"]


def wait_for_end(pid: int, start: int, limit_s: float) -> None:
    """Wait until that process has gone, and kill it when it does not go."""
    end = time.monotonic() + limit_s
    while is_alive(pid, start) and time.monotonic() < end:
        time.sleep(0.01)
    send(pid, start, signal.SIGKILL)


def clear(run_dir: Path, deployment: str) -> bool:
    """End what a supervisor left, and give its control groups back; says whether nothing lives any more."""
    left = believed(read(run_dir).state, deployment, run_dir.name)
    if not sweep(str(run_dir), left):
        return False
    for record in left["services"].values():
        cages.remove(record.get("cages", ()), limit_s=1.0)
    return True
