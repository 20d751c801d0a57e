"""Zoe's own disk is full: what runs goes on, what is launched starts, what has to end is ended, and what was not written down is written later."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.disks import Disk, small_disk
from zoe_jupyter.backends.base import Bounds, SeenState
from zoe_jupyter.backends.docker import DockerBackend
from zoe_jupyter.backends.docker.notes import read_bounds
from zoe_jupyter.model.application import Probe
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk"),
]


@pytest.fixture
async def disk(world: DockerWorld, tmp_path: Path) -> AsyncIterator[Disk]:
    with small_disk(tmp_path / "small") as disk:
        world.data_dir = disk.folder / "data"
        world.data_dir.mkdir()
        yield disk


@pytest.fixture
async def runner(world: DockerWorld, disk: Disk) -> AsyncIterator[Runner]:
    runner = Runner(world, await world.open())
    yield runner
    for execution_id in ("one", "two"):
        await runner.backend.clean(execution_id, keep_logs=False)
    for backend in world.opened:
        await backend.close()


async def test_on_a_full_disk_all_goes_on_and_is_written_down_later(
    runner: Runner, world: DockerWorld, disk: Disk
) -> None:
    await runner.start("one")
    disk.fill()
    half_an_hour = Bounds(silence_s=1800.0)
    await runner.start("two", ready=Probe(command=("true",)), bounds=half_an_hour)
    never = Probe(log="never", timeout_s=1)
    await runner.launch(runner.order("two", "app.late-0", ready=never, bounds=half_an_hour))
    late = await runner.ended("two", "app.late-0")
    assert late.reason is not None
    assert late.reason.code == "not_ready"
    await runner.start("two", "app.late-0", attempt=2, bounds=half_an_hour)
    await runner.backend.bound("one", Bounds(silence_s=900.0))

    disk.empty()
    file = world.data_dir / "docker" / "notes.json"

    async def is_written() -> bool:
        return {key: each.silence_s for key, each in read_bounds(file).items()} == {"one": 900.0, "two": 1800.0}

    await eventually(is_written)
    later = Runner(world, await world.open())
    await later.until("two", "app.main-0", SeenState.READY)


async def test_on_a_full_disk_what_goes_on_without_a_core_for_too_long_is_ended(
    world: DockerWorld, disk: Disk, engine: Any
) -> None:
    backend = await world.open()
    assert isinstance(backend, DockerBackend)
    started = await Runner(world, backend).start("one", bounds=Bounds(silence_s=1.0))
    await asyncio.to_thread(backend._guard.see_to_it)
    disk.fill()
    await backend.close()

    async def has_ended() -> bool:
        return not engine.inspect_container(started.handle["container_id"])["State"]["Running"]

    await eventually(has_ended)
    disk.empty()
    later = await world.open()
    await later.clean("one", keep_logs=False)
    await later.close()
