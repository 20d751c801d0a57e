"""A world of its own for each test, and the proof that nothing of it is left at the end."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from zoe_jupyter.backends.base import Backend
from zoe_jupyter.backends.local import LocalBackend
from zoe_jupyter.testing.backend_contract import Runner, World


class LocalWorld(World):
    def __init__(self, data_dir: Path) -> None:
        self.deployment = f"test-{uuid.uuid4().hex[:12]}"
        self.data_dir = data_dir
        self.python = sys.executable
        self.options: dict[str, object] = {}
        self.opened: list[Backend] = []

    async def open(self) -> LocalBackend:
        backend = LocalBackend(deployment=self.deployment, data_dir=self.data_dir, **self.options)
        await backend.start()
        self.opened.append(backend)
        return backend

    def run_dir(self, execution_id: str) -> Path:
        return self.data_dir / "run" / execution_id

    def marked(self, what: str = "") -> list[int]:
        """Processes that bear this world's marker in their environment; ``what`` narrows it down."""
        wanted = [f"{name}={self.deployment}/{what}".encode() for name in ("ZOE_SERVICE", "ZOE_SUPERVISOR")]
        return [pid for pid in pids() if any(mark in environ(pid) for mark in wanted)]

    def groups(self) -> list[Path]:
        found: list[Path] = []
        for top, folders, _ in os.walk("/sys/fs/cgroup"):
            found += [Path(top) / name for name in folders if self.deployment in name]
        return found


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def status(pid: int, name: str) -> str:
    """What ``/proc/PID/NAME`` says."""
    return Path(f"/proc/{pid}/{name}").read_text(errors="replace")


def exists(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def world(tmp_path: Path) -> Iterator[LocalWorld]:
    world = LocalWorld(tmp_path / "data")
    yield world
    end = time.monotonic() + 10
    while (world.marked() or world.groups()) and time.monotonic() < end:
        time.sleep(0.05)
    left = {
        pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ") for pid in world.marked() if exists(pid)
    }
    for pid in left:
        os.kill(pid, 9)
    assert not left, "processes are left"
    assert not world.groups(), "control groups are left"


@pytest.fixture
async def runner(world: LocalWorld) -> AsyncIterator[Runner]:
    runner = Runner(world, await world.open())
    yield runner
    executions = set(os.listdir(world.data_dir / "run")) if (world.data_dir / "run").exists() else set()
    for execution_id in executions:
        await runner.backend.clean(execution_id, keep_logs=False)
    for backend in world.opened:
        await backend.close()
