"""Zoe's own disk is full, or read-only: what runs goes on, what is launched starts, what has to end is ended, and all is written down later."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.disks import Disk, small_disk
from zoe_jupyter.backends.base import Bounds, SeenState
from zoe_jupyter.backends.docker import DockerBackend
from zoe_jupyter.backends.docker.notes import Notes, add_verdicts, read_bounds
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import Retryable, Unavailable
from zoe_jupyter.model.execution import Reason
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


WAYS = {"full": (Disk.fill, Disk.empty), "read-only": (Disk.close, Disk.reopen)}
Way = Callable[[Disk], None]
troubled = pytest.mark.parametrize(("spoil", "mend"), WAYS.values(), ids=WAYS)


@troubled
async def test_on_a_full_disk_all_goes_on_and_is_written_down_later(
    runner: Runner, world: DockerWorld, disk: Disk, spoil: Way, mend: Way
) -> None:
    await runner.start("one")
    spoil(disk)
    half_an_hour = Bounds(silence_s=1800.0)
    await runner.start("two", ready=Probe(command=("true",)), bounds=half_an_hour)
    never = Probe(log="never", timeout_s=1)
    await runner.launch(runner.order("two", "app.late-0", ready=never, bounds=half_an_hour))
    late = await runner.ended("two", "app.late-0")
    assert late.reason is not None
    assert late.reason.code == "not_ready"
    await runner.start("two", "app.late-0", attempt=2, bounds=half_an_hour)
    await runner.backend.bound("one", Bounds(silence_s=900.0))

    mend(disk)
    file = world.data_dir / "docker" / "notes.json"

    async def is_written() -> bool:
        return {key: each.silence_s for key, each in read_bounds(file).items()} == {"one": 900.0, "two": 1800.0}

    await eventually(is_written)
    later = Runner(world, await world.open())
    await later.until("two", "app.main-0", SeenState.READY)


@troubled
async def test_on_a_full_disk_what_goes_on_without_a_core_for_too_long_is_ended(
    world: DockerWorld, disk: Disk, engine: Any, spoil: Way, mend: Way
) -> None:
    backend = await world.open()
    assert isinstance(backend, DockerBackend)
    started = await Runner(world, backend).start("one", bounds=Bounds(silence_s=1.0))
    await asyncio.to_thread(backend._guard.see_to_it)
    spoil(disk)
    await backend.close()

    async def has_ended() -> bool:
        return not engine.inspect_container(started.handle["container_id"])["State"]["Running"]

    await eventually(has_ended)
    mend(disk)
    later = await world.open()
    await later.clean("one", keep_logs=False)
    await later.close()


@troubled
async def test_what_a_service_said_is_kept_on_the_engine_as_long_as_the_disk_does_not_take_it(
    runner: Runner, world: DockerWorld, disk: Disk, engine: Any, spoil: Way, mend: Way
) -> None:
    code = "print('x' * 100_000, flush=True); print('kept', flush=True)"
    await runner.launch(runner.order("one", code=code))
    await runner.ended("one")
    spoil(disk)
    with pytest.raises(Retryable, match=r"what app\.main-0 said cannot be written down: (No space left|Read-only)"):
        await runner.backend.clean("one", keep_logs=True)
    assert b"kept" in await runner.output("one")
    mend(disk)
    await runner.backend.clean("one", keep_logs=True)
    assert not world.left(engine)
    assert b"kept" in await runner.output("one")


async def test_zoe_starts_on_a_read_only_disk_and_goes_on_with_what_it_finds(
    runner: Runner, world: DockerWorld, disk: Disk
) -> None:
    await runner.start("one")
    disk.close()
    later = Runner(world, await world.open())
    await later.until("one", "app.main-0", SeenState.READY)
    await later.start("two")
    await later.backend.stop("one", "app.main-0", 1, grace_s=1)
    await later.ended("one")
    disk.reopen()


async def test_zoe_says_why_it_cannot_begin_on_a_read_only_disk(world: DockerWorld, disk: Disk) -> None:
    disk.close()
    with pytest.raises(Unavailable, match="docker cannot be used: Read-only file system"):
        await world.open()
    disk.reopen()


def test_what_a_watchman_would_have_ended_long_ago_has_had_a_core(tmp_path: Path) -> None:
    """Which could not write down that it lived; else the next one would end what runs."""
    bounds = {key: asdict(Bounds(silence_s=silence_s)) for key, silence_s in {"long": 600.0, "just": 7190.0}.items()}
    file = tmp_path / "notes.json"
    file.write_text(json.dumps({"bounds": bounds}))
    backdate(file, 7200.0)
    assert set(Notes(file).read()) == {"long", "just"}
    assert set(Notes(file).read(watched_s=86400.0)) == {"just"}
    assert set(Notes(file).read(watched_s=1000.0)) == {"long", "just"}


def backdate(file: Path, ago_s: float) -> None:
    """As if its core was heard of last so long ago."""
    at = time.time() - ago_s
    file.write_text(json.dumps({**json.loads(file.read_text()), "heard_at": at}))
    os.utime(file, (at, at))


def test_a_core_on_a_full_disk_is_heard_of_all_the_same(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small") as disk:
        file = disk.folder / "notes.json"
        notes = Notes(file)
        notes.set_bounds("one", Bounds(silence_s=600.0))
        backdate(file, 630.0)
        assert set(Notes(file).read()) == {"one"}
        add_verdicts(file, {"c0": Reason("expired", "said by the watchman")})
        assert set(Notes(file).read()) == {"one"}
        disk.fill()
        notes.set_ready("c1")
        assert Notes(file).read() == {}
        assert not Notes(file).is_ready("c1")
