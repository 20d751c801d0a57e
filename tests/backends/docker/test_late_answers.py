"""Engines that tell late how their containers are: what was not told yet has not vanished, what is known stays, and nobody else waits. Played by a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest

from tests.backends.docker.test_odd_engines import FOUND, VERSION, an_engine, place, served
from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker import DockerBackend, stopping
from zoe_jupyter.backends.docker import engine as engines
from zoe_jupyter.backends.docker import site as sites
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.notes import Notes
from zoe_jupyter.backends.docker.settings import ContainerSettings, EngineSettings
from zoe_jupyter.backends.docker.site import Site
from zoe_jupyter.backends.docker.translate import LABEL, Container
from zoe_jupyter.backends.docker.tunnel import Tunnel
from zoe_jupyter.backends.docker.watchman import NOTES
from zoe_jupyter.model.errors import Busy
from zoe_jupyter.testing.backend_contract import eventually

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
        b"/containers/json": json.dumps([listed(each) for each in BOTH.values()]).encode(), b"/volumes": b'{"Volumes": []}',
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
        await eventually(lambda: _tells_of_both(backend))


async def _tells_of_both(backend: DockerBackend) -> bool:
    observation = await backend.observe()
    return [each.execution_id for each in observation.services] == ["x1", "x2"] and not observation.unreachable


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


async def test_questions_that_hang_keep_no_look_waiting(place: Path) -> None:
    """Nor do they take all threads when they are asked again."""
    asked = asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        while b"/stuck" not in line:
            body = VERSION if b"/version" in line else b"{}" if b"/info" in line else b"[]"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            line = await reader.readuntil(b"\r\n\r\n")
        asked.release()
        await asyncio.Event().wait()

    async with served(place, answer):
        engine = an_engine(place)
        stuck = [asyncio.ensure_future(engine._inspect("stuck")) for _ in range(16)]
        for _ in range(8):
            await asyncio.wait_for(asked.acquire(), 5)
        await asyncio.wait_for(engine.look(), 5)
        for each in stuck:
            each.cancel()
        engine.close()


async def test_what_was_asked_in_vain_takes_few_turns(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "_INSPECT_S", 0.05)
    engine, asked, hangs = an_engine(place), list[str](), asyncio.Event()

    async def inspect(container_id: str) -> Container:
        asked.append(container_id)
        if container_id == FOUND.id:
            return FOUND
        if hangs.is_set():
            await asyncio.Event().wait()
        raise Unreachable("no answer in time")

    monkeypatch.setattr(engine, "_inspect", inspect)
    stuck = {str(number) for number in range(20)}
    for each in stuck:
        engine.touch(each)
    await engine._inspect_dirty()
    asked.clear()
    hangs.set()
    await engine._inspect_dirty()
    assert 0 < len(asked) < 8
    engine.touch(FOUND.id)
    await engine._inspect_dirty()
    assert set(engine.containers) == {FOUND.id}
    engine.close()


async def test_a_question_that_hangs_makes_only_the_look_wait_that_asks_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_INSPECT_S", 5.0)
    engine, is_asked = an_engine(place), asyncio.Event()

    async def inspect(container_id: str) -> Container:
        if container_id == OTHER.id:
            is_asked.set()
            await asyncio.Event().wait()
        return FOUND

    monkeypatch.setattr(engine, "_inspect", inspect)
    engine.touch(OTHER.id)
    looking = asyncio.ensure_future(engine._inspect_dirty())
    await asyncio.wait_for(is_asked.wait(), 5)
    looking.cancel()
    engine.touch(FOUND.id)
    await asyncio.wait_for(engine._inspect_dirty(), 2)
    assert set(engine.containers) == {FOUND.id}
    engine.close()


async def test_what_was_asked_in_vain_of_an_engine_that_was_silent_is_asked_at_once(place: Path) -> None:
    """What is not listed any more is forgotten."""
    async with served(place, lists_both):
        engine, asked = an_engine(place), list[str]()

        async def inspect(container_id: str, **_: Any) -> Container:
            asked.append(container_id)
            return BOTH[container_id]

        engine._inspect, engine._subscribe = inspect, Mock()  # type: ignore[method-assign]
        engine._in_vain, engine.silent_since = {OTHER.id, "gone"}, 1.0
        async with engine.again, engine.again, engine.again:
            await engine.look()
            assert set(asked) == set(engine.containers) == set(BOTH)
        engine._in_vain, engine._listed_at = {OTHER.id, "gone"}, None
        await engine.look()
        assert engine._in_vain == {OTHER.id}
        engine.close()


async def test_a_kill_waits_for_no_look_that_hangs(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, killed = an_engine(place), AsyncMock(side_effect=[Unreachable("no answer in time"), None])
    monkeypatch.setattr(stopping, "kill", killed)
    monkeypatch.setattr(stopping, "_KILL_AGAIN_S", 0.01)
    engine.containers = {FOUND.id: FOUND}
    async with engine.again, engine.again, engine.again:
        await asyncio.wait_for(stopping.Stopper()._kill(engine, FOUND, 0.0), 5)
    assert killed.await_count == 2
    engine.close()


@pytest.fixture
def site(place: Path) -> Iterator[Site]:
    """Of two engines that were listed once."""
    site = Site(
        [EngineSettings(name=name, url=f"unix://{place / name}") for name in ("slow", "quick")], ContainerSettings(),
        folder=place, pool="10.213.0.0/16", overcommit=1, memory_fraction=1, on_news=Mock(),
    )  # fmt: skip
    for each in site.places.values():
        each.engine.is_known = True
    yield site
    site.close()


async def test_a_slow_engine_keeps_no_other_one_s_news_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of it stays, and it is looked at to the end; that is news then, also where it falls silent."""
    slow, quick = (site.place(name).engine for name in ("slow", "quick"))
    may_answer, looks = asyncio.Event(), list[int]()
    slow.containers = {FOUND.id: FOUND}

    async def look_slowly() -> None:
        looks.append(1)
        await may_answer.wait()
        slow.silent_since = 1.0
        raise Unreachable("no answer in time")

    async def look_quickly() -> None:
        quick.containers = {OTHER.id: OTHER}

    monkeypatch.setattr(slow, "look", look_slowly)
    monkeypatch.setattr(quick, "look", look_quickly)
    monkeypatch.setattr(sites, "_PATIENCE_S", 0.05)
    for _ in range(3):
        await asyncio.wait_for(site.look(), 5)
        assert site.containers() == {FOUND.id, OTHER.id}
    assert looks == [1]
    assert not site._on_news.called  # type: ignore[attr-defined]
    may_answer.set()
    await asyncio.wait(site._looks.values())
    await asyncio.sleep(0)
    assert site._on_news.call_count == 1  # type: ignore[attr-defined]
    assert set(site.silent()) == {slow}


async def test_a_look_that_is_under_way_is_followed_by_one_that_begins_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have passed by what has happened since."""
    slow, may_answer, looks = site.place("slow").engine, asyncio.Event(), list[int]()

    async def look() -> None:
        looks.append(len(looks))
        if len(looks) == 1:
            await may_answer.wait()

    monkeypatch.setattr(slow, "look", look)
    monkeypatch.setattr(site.place("quick").engine, "look", AsyncMock())
    looking = [asyncio.ensure_future(site.look()) for _ in range(3)]
    await eventually(lambda: _is_begun(looks))
    may_answer.set()
    await asyncio.wait_for(asyncio.gather(*looking), 5)
    assert looks == [0, 1]


async def _is_begun(looks: list[int]) -> bool:
    return bool(looks)


async def test_an_engine_of_which_nothing_is_known_yet_is_waited_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else all that runs there had vanished when Zoe begins."""
    slow, may_answer = site.place("slow").engine, asyncio.Event()
    slow.is_known = False
    monkeypatch.setattr(slow, "look", may_answer.wait)
    monkeypatch.setattr(site.place("quick").engine, "look", AsyncMock())
    monkeypatch.setattr(sites, "_PATIENCE_S", 0.05)
    looking = asyncio.ensure_future(site.look())
    done, _ = await asyncio.wait([looking], timeout=0.5)
    assert not done
    may_answer.set()
    await asyncio.wait_for(looking, 5)


@pytest.mark.parametrize("older", [{}, {"is_created": True, "is_running": False}])
async def test_what_has_ended_does_not_run_again_by_an_answer_that_is_older(
    place: Path, monkeypatch: pytest.MonkeyPatch, older: dict[str, bool]
) -> None:
    """The newer question was asked and answered while the older answer was on its way. What somebody starts again is seen by the next look."""
    engine, is_asked, may_answer = an_engine(place), asyncio.Event(), asyncio.Event()
    ended = replace(FOUND, is_running=False)
    now = {"seen": ended}

    async def inspect(_: str, *, limit_s: int = 0) -> Container:
        if limit_s:
            is_asked.set()
            await may_answer.wait()
            return replace(FOUND, **older)
        return now["seen"]

    monkeypatch.setattr(engine, "_inspect", inspect)
    monkeypatch.setattr(engine, "_begun", AsyncMock(return_value=0.0))
    launching = asyncio.ensure_future(engine.inspect(FOUND.id))
    await is_asked.wait()
    engine.touch(FOUND.id)
    await engine._inspect_dirty()
    may_answer.set()
    assert await launching == ended
    assert engine.containers == {FOUND.id: ended}
    now["seen"] = FOUND
    await engine._inspect_dirty()
    assert engine.containers == {FOUND.id: FOUND}
    engine.close()


async def test_a_port_that_is_given_back_keeps_no_look_waiting(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even while everything that is slow takes all threads for it; what is wanted by then is kept."""
    engine, is_asked, may_end = an_engine(place), asyncio.Event(), asyncio.Event()
    tunnel: Any = Tunnel(EngineSettings(name="odd", url="ssh://odd"), place / "link")
    tunnel._ports = {7: 70, 8: 80}
    engine._tunnel = tunnel
    monkeypatch.setattr(engine, "_look", AsyncMock())

    async def off(work: Callable[[], None], **_: Any) -> None:
        is_asked.set()
        await may_end.wait()
        work()

    monkeypatch.setattr(engine.calls, "off", off)
    await asyncio.wait_for(engine.look(), 5)
    await asyncio.wait_for(engine.look(), 5)
    await asyncio.wait_for(is_asked.wait(), 5)
    engine.containers = {FOUND.id: replace(FOUND, published={"web": 8})}
    may_end.set()
    assert engine._letting_go is not None
    await asyncio.wait_for(engine._letting_go, 5)
    assert tunnel._ports == {8: 80}
    engine.close()


async def test_whether_an_engine_answers_is_asked_once_for_all_probes(tmp_path: Path) -> None:
    """Each ping of one that hangs takes a turn of the looks, which are to find out that it is silent."""
    settings = EngineSettings(name="odd", url=f"unix://{tmp_path / 's'}", probes="exec")
    engine = Engine(settings, deployment="lab", folder=tmp_path, on_news=lambda: None)
    engine.calls.do = do = AsyncMock()  # type: ignore[method-assign]
    assert set(await asyncio.gather(*(engine.answers() for _ in range(100)))) == {True}
    assert do.await_count == 1
    do.side_effect = Unreachable("it hangs")
    assert not await engine.answers()
    assert do.await_count == 2
    assert not engine.is_here, (
        "an engine that is asked through a container, or a forwarded socket, has folders of its own"
    )
    engine.close()
