"""What no Zoe looks after any more is ended without one, and by nobody as long as one lives."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.docker.conftest import DockerWorld
from zoe_jupyter.backends.base import Bounds, SeenState, Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import DockerBackend, stopping, watchman
from zoe_jupyter.backends.docker.notes import Notes, read_bounds
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = pytest.mark.docker
SOON = Bounds(silence_s=1.0)


def is_watched(world: DockerWorld) -> bool:
    with Path(world.data_dir, "docker", "watchman.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


async def test_who_was_replaced_ends_nothing_that_another_core_looks_after(
    world: DockerWorld, engine: Any, tmp_path: Path
) -> None:
    """Of several servers on one store, with folders of their own: neither its watchman does, nor it itself when it acts again."""
    world.options["shared_store"] = "shared"
    runner = Runner(world, await world.open())
    await runner.start("one", bounds=Bounds(silence_s=4.0))
    await world.close(runner.backend)
    other = DockerWorld(tmp_path / "other")
    other.deployment = world.deployment
    other.options["shared_store"] = "shared"
    runner.backend = await other.open()

    async def has_gone() -> bool:
        return not is_watched(world)

    await eventually(has_gone, deadline_s=60)
    await runner.until("one", "app.main-0", SeenState.READY)
    runner.backend = await world.open()
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    assert seen.attempt == 1
    await other.close(other.opened[0])
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


@pytest.mark.parametrize("stores", [("", ""), ("one", "another")])
async def test_who_has_another_store_looks_after_nothing_of_it(
    world: DockerWorld, engine: Any, tmp_path: Path, stores: tuple[str, str]
) -> None:
    """Two with one ``deployment``, as all have that do not name one."""
    other = DockerWorld(tmp_path / "other")
    other.deployment = world.deployment
    world.options["shared_store"], other.options["shared_store"] = stores
    runner = Runner(world, await world.open())
    await runner.start("one", bounds=Bounds(silence_s=4.0))
    await world.close(runner.backend)
    second = await other.open()
    await Runner(other, second).start("two", bounds=Bounds(silence_s=3600.0))
    await second._claims.take()
    name = Attempt(world.deployment, "one", "app.main-0", 1).name

    async def has_ended() -> bool:
        return not engine.inspect_container(name)["State"]["Running"]

    await eventually(has_ended, deadline_s=60)
    for execution_id in ("one", "two"):
        await second.clean(execution_id, keep_logs=False)
    await other.close(second)


async def test_without_a_core_the_watchman_ends_it_and_the_next_core_knows_why(world: DockerWorld, engine: Any) -> None:
    runner = Runner(world, await world.open())
    await runner.start("one", bounds=SOON)
    await runner.start("two", bounds=Bounds(silence_s=3600.0))
    await world.close(runner.backend)
    assert is_watched(world)
    states = {name: Attempt(world.deployment, name, "app.main-0", 1).name for name in ("one", "two")}

    async def has_ended() -> bool:
        return not engine.inspect_container(states["one"])["State"]["Running"]

    await eventually(has_ended)
    assert engine.inspect_container(states["two"])["State"]["Running"]
    runner.backend = await world.open()
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "expired"
    assert "no Zoe was heard from for" in seen.reason.text
    await runner.until("two", "app.main-0", SeenState.READY)
    for name in ("one", "two"):
        await runner.backend.clean(name, keep_logs=False)

    async def is_left_alone() -> bool:
        return not is_watched(world)

    await eventually(is_left_alone)
    await world.close(runner.backend)


async def test_while_a_core_lives_nothing_is_ended(world: DockerWorld) -> None:
    backend = await world.open()
    assert isinstance(backend, DockerBackend)
    runner = Runner(world, backend)
    await runner.start("one", bounds=SOON)
    for _ in range(2):
        await asyncio.to_thread(backend._guard.see_to_it)
    assert is_watched(world)
    await asyncio.sleep(3.0)
    assert is_watched(world)
    assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None
    await backend.clean("one", keep_logs=False)
    await world.close(backend)


def watched_s(folder: Path, told: str) -> float:
    """How long it took until nobody watches any more."""
    Path(folder, "watchman.json").write_text(told)
    began = time.monotonic()
    watchman.watch(folder, told)
    return time.monotonic() - began


async def test_an_engine_that_is_gone_for_good_is_given_up_and_left_to_the_next_core(
    world: DockerWorld, monkeypatch: pytest.MonkeyPatch, engine: Any
) -> None:
    """Played in a thread, with a shorter day."""
    monkeypatch.setattr(watchman, "GIVE_UP_S", 2.0)
    monkeypatch.setattr(watchman.Guard, "see_to_it", lambda guard: None)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gone = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
    world.options["engines"] = [EngineSettings(), EngineSettings(name="gone", url=gone)]
    backend = await world.open()
    assert isinstance(backend, DockerBackend)
    runner = Runner(world, backend)
    await runner.start("one", bounds=SOON)
    await world.close(backend)
    taken_s = await asyncio.to_thread(watched_s, world.data_dir / "docker", backend._guard._told)
    assert 3.0 <= taken_s < 20.0
    assert not engine.inspect_container(Attempt(world.deployment, "one", "app.main-0", 1).name)["State"]["Running"]
    world.options.clear()
    runner.backend = await world.open()
    reason = (await runner.ended("one")).reason
    assert reason is not None
    assert reason.code == "expired"
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


async def test_what_was_suspended_while_no_core_was_there_is_started_again_and_goes_on(
    world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The silence ends what ran in it, and not what the next core starts."""
    monkeypatch.setattr(watchman.Guard, "see_to_it", lambda guard: None)
    runner = Runner(world, await world.open())
    await runner.start("one", "app.idle-0")
    await runner.backend.stop("one", "app.idle-0", 1, grace_s=0)
    await runner.ended("one", "app.idle-0")
    await runner.start("one", "app.busy-0")
    await world.close(runner.backend)
    file = world.data_dir / "docker" / "notes.json"
    long_ago = time.time() - 90_000.0
    file.write_text(json.dumps({**json.loads(file.read_text()), "heard_at": long_ago}))
    os.utime(file, (long_ago, long_ago))
    runner.backend = await world.open()
    again = await runner.start("one", "app.idle-0", attempt=2)
    busy = await runner.ended("one", "app.busy-0")
    assert busy.reason is not None
    assert busy.reason.code == "expired"
    ended = json.loads(file.read_text())["verdicts"]
    assert busy.handle["container_id"] in ended
    assert again.handle["container_id"] not in ended
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


async def test_what_is_over_ends_also_where_the_engine_is_too_busy_to_ask_it(
    world: DockerWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And also where an earlier core came no further than to write down why."""
    monkeypatch.setattr(watchman.Guard, "see_to_it", lambda guard: None)
    runner = Runner(world, await world.open())
    ids = [(await runner.start(name)).handle["container_id"] for name in ("one", "two")]
    await world.close(runner.backend)
    file = world.data_dir / "docker" / "notes.json"
    long_ago, why = time.time() - 90_000.0, asdict(Reason("expired", "ended since nobody was there"))
    file.write_text(json.dumps({**json.loads(file.read_text()), "heard_at": long_ago, "verdicts": {ids[1]: why}}))
    os.utime(file, (long_ago, long_ago))
    monkeypatch.setattr(stopping, "_ask", AsyncMock(side_effect=Retryable("the engine refused: it is busy")))
    runner.backend = await world.open()
    for name in ("one", "two"):
        reason = (await runner.ended(name)).reason
        assert reason is not None
        assert reason.code == "expired"
        await runner.backend.clean(name, keep_logs=False)
    await world.close(runner.backend)


async def test_an_engine_that_is_silent_keeps_nothing_from_being_forgotten_that_was_never_there(
    world: DockerWorld,
) -> None:
    """What was there is not forgotten before it is gone."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        gone = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
    world.options["engines"] = [EngineSettings(), EngineSettings(name="gone", url=gone)]
    file = world.data_dir / "docker" / "notes.json"
    file.parent.mkdir(parents=True)
    Notes(file).set_bounds("two", Bounds(silence_s=3600.0), engine="gone")
    backend = await world.open()
    runner = Runner(world, backend)
    await runner.start("one")
    await backend.clean("one", keep_logs=False)
    with pytest.raises(Unreachable):
        await backend.clean("two", keep_logs=False)
    assert set(read_bounds(file)) == {"two"}
    await world.close(backend)


async def test_of_what_is_gone_no_bounds_are_kept(world: DockerWorld) -> None:
    """Its core was killed while it cleaned up: nobody watches it for ever."""
    file = Path(world.data_dir, "docker", "notes.json")
    left = Notes(file)
    file.parent.mkdir(parents=True)
    left.set_bounds("gone", SOON)
    backend = await world.open()
    assert read_bounds(file) == {}
    await world.close(backend)
    assert not is_watched(world)


async def test_what_was_ended_once_is_ended_again_where_a_core_had_started_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    rounds: list[Path] = []

    def bounds(file: Path) -> dict[str, Bounds]:
        rounds.append(file)
        return {"short": Bounds(silence_s=0.4), "long": Bounds()}

    monkeypatch.setattr(watchman, "read_bounds", bounds)
    monkeypatch.setattr(watchman, "_end", lambda folder, deployment, store, line, found: not ended.extend(found))
    told = json.dumps(
        {"deployment": "test", "store": "", "engines": [asdict(EngineSettings(name="e", url="unix:///nowhere"))]}
    )
    (tmp_path / "watchman.json").write_text(told)
    watching = asyncio.create_task(asyncio.to_thread(watchman.watch, tmp_path, told))
    try:
        await until(lambda: ended == ["short"])
        core, seen = watchman.live(tmp_path), len(rounds)
        await until(lambda: len(rounds) > seen + 2)
        core.close()
        await until(lambda: ended == ["short", "short"])
    finally:
        (tmp_path / "watchman.json").unlink()
        await watching


async def until(condition: Callable[[], bool]) -> None:
    async def is_so() -> bool:
        return condition()

    await eventually(is_so)


def test_what_cannot_be_ended_is_given_up_after_a_day() -> None:
    assert watchman.given_up({"long": 0.0, "short": 10.0}, 86405.0) == {"long"}


def test_a_lifetime_and_a_silence_are_over_when_they_are() -> None:
    bounds = {"day": Bounds(), "short": Bounds(silence_s=10.0), "timed": Bounds(ends_at=1000.0)}
    assert watchman.over(bounds, 5.0, 999.0) == {}
    assert watchman.over(bounds, 11.0, 999.0) == {"short": "no Zoe was heard from for 11 s"}
    assert watchman.over(bounds, 5.0, 1001.0) == {"timed": "its time was over while no Zoe was there"}
    assert set(watchman.over(bounds, 90000.0, 1001.0)) == {"day", "short", "timed"}
