"""Engines that tell late how their containers are: what was not told yet has not vanished, what is known stays, and nobody else waits. Played by a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.docker.test_odd_engines import FOUND, VERSION, an_engine, place, served
from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker import DockerBackend
from zoe_jupyter.backends.docker import engine as engines
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.notes import Notes
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.translate import LABEL, Container
from zoe_jupyter.backends.docker.watchman import NOTES
from zoe_jupyter.model.errors import Busy

__all__ = ["place"]

OTHER = replace(FOUND, id="c2", attempt=replace(FOUND.attempt, execution_id="x2"))
BOTH = {each.id: each for each in (FOUND, OTHER)}
Inspect = Callable[[str], Awaitable[Container]]


def listed(found: Container) -> dict[str, Any]:
    who = found.attempt
    labels = {"deployment": who.deployment, "execution": who.execution_id, "service": who.service, "attempt": "1"}
    return {"Id": found.id, "State": "running", "Labels": {f"{LABEL}{key}": value for key, value in labels.items()}}


async def lists_both(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As an engine that has two containers, and nothing happens."""
    bodies = {
        b"/version": VERSION, b"/info": b'{"NCPU": 4, "MemTotal": 1000}',
        b"/containers/json": json.dumps([listed(each) for each in BOTH.values()]).encode(),
    }  # fmt: skip
    while True:
        line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
        if b"/events" in line:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await asyncio.Event().wait()
        body = next((body for path, body in bodies.items() if path in line), b"[]")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


@asynccontextmanager
async def started(place: Path, inspect: Inspect) -> AsyncIterator[tuple[DockerBackend, Engine]]:
    """A core that begins beside both, which the engine tells of as ``inspect`` does."""
    settings = EngineSettings(name="odd", url=f"unix://{place / 's'}")
    backend = DockerBackend(deployment="lab", data_dir=place, engines=[settings])
    engine = backend._site.place("odd").engine
    async with served(place, lists_both):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engines, "_INSPECT_S", 0.05)
            patch.setattr(engine, "_inspect", inspect)
            await backend.start()
            try:
                yield backend, engine
            finally:
                await backend.close()


async def hanging(may_answer: asyncio.Event, container_id: str, **_: Any) -> Container:
    if container_id == OTHER.id:
        await may_answer.wait()
    return BOTH[container_id]


async def refusing(may_answer: asyncio.Event, container_id: str, **_: Any) -> Container:
    if container_id == OTHER.id and not may_answer.is_set():
        raise Busy("the engine refused: its lock is held")
    return BOTH[container_id]


@pytest.mark.parametrize("inspect", [hanging, refusing])
async def test_what_an_engine_has_not_told_of_yet_when_zoe_begins_has_not_vanished(
    place: Path, inspect: Callable[..., Awaitable[Container]]
) -> None:
    may_answer = asyncio.Event()
    async with started(place, partial(inspect, may_answer)) as (backend, _):
        for _ in range(3):
            observation = await backend.observe()
            assert [each.execution_id for each in observation.services] == ["x1"]
            assert observation.unreachable == {"x2": "the engine odd has not said yet how its containers are"}
            assert observation.kept == {"x1", "x2"}
        with pytest.raises(Unreachable, match=r"whether app\.main-0 runs is unknown: the engine odd has not said yet"):
            await backend.stop("x2", "app.main-0", 1, grace_s=0)
        await backend.stop("x1", "app.unknown-0", 1, grace_s=0)
        may_answer.set()
        observation = await backend.observe()
        assert [each.execution_id for each in observation.services] == ["x1", "x2"]
        assert not observation.unreachable


async def test_what_is_gone_when_it_is_asked_for_is_not_waited_for(place: Path) -> None:
    gone = AsyncMock(side_effect=lambda container_id, **_: {FOUND.id: FOUND}.get(container_id))
    async with started(place, gone) as (backend, engine):
        assert set(engine.containers) == {FOUND.id}
        assert not (await backend.observe()).unreachable


async def test_who_was_ready_is_remembered_also_where_the_engine_has_not_told_of_it_yet(place: Path) -> None:
    (place / "docker").mkdir()
    before = Notes(place / "docker" / NOTES)
    for container_id in (*BOTH, "gone"):
        before.set_ready(container_id)
    async with started(place, partial(hanging, asyncio.Event())) as (backend, engine):
        assert set(engine.containers) == {FOUND.id}
        assert [backend._notes.is_ready(each) for each in (*BOTH, "gone")] == [True, True, False]


async def test_what_began_while_a_list_was_made_is_not_dropped_by_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, is_asked, may_answer = replace(FOUND, id="new"), asyncio.Event(), asyncio.Event()
    engine = an_engine(place)

    async def begun() -> float:
        is_asked.set()
        await may_answer.wait()
        return 0.0

    monkeypatch.setattr(engine, "_begun", begun)
    monkeypatch.setattr(engine, "_inspect", AsyncMock(side_effect=lambda key, **_: {**BOTH, new.id: new}[key]))
    async with served(place, lists_both):
        looking = asyncio.ensure_future(engine.look())
        await is_asked.wait()
        await engine.inspect(new.id)
        may_answer.set()
        await looking
        assert set(engine.containers) == {*BOTH, new.id}
        engine.close()
