"""Engines that accept and say nothing, or say what nobody foresaw: played by a socket, since no real one does it when asked."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import calls, logs, probing
from zoe_jupyter.backends.docker import engine as engines
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import eventually

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
VERSION = json.dumps({"ApiVersion": "1.41", "Version": "20.10"}).encode()
ODD = b'{"status":"start","id":"abc"}\n'
FOUND = Container(
    "c1", Attempt("lab", "x1", "app.main-0", 1), False, True, 0, False, 0.0, 0.0, "app-main-0", "10.0.0.2"
)  # fmt: skip


@pytest.fixture
def place() -> Iterator[Path]:
    """With a short path, as sockets want it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def an_engine(place: Path) -> Engine:
    settings = EngineSettings(name="odd", url=f"unix://{place / 's'}")
    return Engine(settings, deployment="lab", folder=place, on_news=lambda: None)


@asynccontextmanager
async def served(place: Path, answer: Answer) -> AsyncIterator[None]:
    """Whoever connects is answered so, and nothing of it is left open."""
    tasks: list[asyncio.Task[None]] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await answer(reader, writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.get_running_loop().create_task(hold(reader, writer)))

    async with await asyncio.start_unix_server(accept, place / "s"):
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


async def test_an_engine_that_accepts_and_says_nothing_holds_up_nobody(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "QUICK_S", 2)
    monkeypatch.setattr(engines, "QUICK_S", 2)

    is_asked = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_asked.set()
        await asyncio.Event().wait()

    async with served(place, say_nothing):
        engine = an_engine(place)
        looking = asyncio.ensure_future(engine.look())
        await is_asked.wait()
        assert not looking.done(), "the loop stood still until it was given up"
        with pytest.raises(Unreachable):
            await looking
        engine.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, info: Sequence[bytes] = (b"{}",)
) -> None:
    """As an engine that has nothing; its one event is of a kind of its own. ``info`` has what it says of itself now, or nothing."""
    while True:
        line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
        if b"/events" in line:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(ODD), ODD))
            continue
        kinds = {b"/version": VERSION, b"/_ping": b"OK", b"/info": b"".join(info) or b'{"message": "busy"}'}
        body = next((body for path, body in kinds.items() if path in line), b"[]")
        status = b"500 Internal Server Error" if b"/info" in line and not info else b"200 OK"
        head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        writer.write(head + body)


async def test_an_event_of_an_unknown_form_ends_no_listening(place: Path) -> None:
    async with served(place, _answer):
        engine = an_engine(place)
        engine.start()
        await eventually(lambda: _has_heard(engine))
        await engine.look()
        assert engine._listening is not None
        assert not engine._listening.done()
        engine.close()


async def test_an_engine_that_says_nothing_of_itself_is_looked_at_all_the_same(place: Path) -> None:
    """And what it said last counts; who never said anything is asked again by each look."""
    told: list[bytes] = []
    async with served(place, partial(_answer, info=told)):
        engine = an_engine(place)
        engine.start()
        await eventually(lambda: _has_heard(engine))
        for _ in range(2):
            await engine.look()
            assert (engine.silent_since, engine.info) == (None, {})
        told.append(b'{"NCPU": 4}')
        await engine.look()
        assert engine.cores == 4

        told.clear()
        engine._listed_at = None
        await engine.look()
        assert (engine.silent_since, engine.cores) == (None, 4)
        engine.close()


async def _has_heard(engine: Engine) -> bool:
    return engine._is_subscribed


async def test_what_had_news_when_the_engine_fell_silent_is_looked_at_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also whose health is all that changed: no list tells it."""
    engine = an_engine(place)
    sick = replace(FOUND, id="sick")
    engine.containers = {each.id: each for each in (FOUND, sick)}
    now = {FOUND.id: replace(FOUND, is_running=False), sick.id: replace(sick, health="unhealthy")}
    answers: list[Any] = [Unreachable("it stands still"), []]
    monkeypatch.setattr(engine, "_inspect", AsyncMock(side_effect=now.get))
    monkeypatch.setattr(engine, "_default_networks", AsyncMock(side_effect=answers))
    for container_id in now:
        engine.touch(container_id)
    with pytest.raises(Unreachable):
        await engine._inspect_dirty()
    await engine._inspect_dirty()
    assert engine.containers == now
    engine.close()


async def test_an_engine_that_cannot_say_when_it_began_did_so_when_it_said_last(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = an_engine(place)
    engine._began_at = 5.0
    monkeypatch.setattr(engine, "_default_networks", AsyncMock(side_effect=Retryable("it is busy")))
    assert await engine._begun() == 5.0
    engine.close()


async def test_logs_with_which_an_engine_does_not_go_on_keep_no_other_engine_waiting(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, other = an_engine(place), an_engine(place)

    async def follow(engine: Engine, _: str, **__: Any) -> AsyncIterator[bytes]:
        if engine is frozen:
            await asyncio.Event().wait()
        yield b"said"

    monkeypatch.setattr(logs, "follow", follow)
    kept = logs.KeptLogs(place / "logs", limit_bytes=10**9)
    stuck = [asyncio.ensure_future(kept.keep(frozen, FOUND)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.wait_for(kept.keep(other, FOUND), 10)
    assert kept.file(FOUND.attempt).read_bytes() == b"said"
    for each in stuck:
        each.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    for engine in (frozen, other):
        engine.close()


class _Broken:
    """Calls of an engine that goes away in the middle of a command, and comes back before it knows the command's end."""

    def __init__(self) -> None:
        self.codes = [None, None, 7]

    async def do(self, work: Any, **_: Any) -> Any:
        client = SimpleNamespace(
            exec_create=lambda *_, **__: {"Id": "e"}, exec_inspect=lambda _: {"ExitCode": self.codes.pop(0)}
        )
        return work(client)

    @asynccontextmanager
    async def flow(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        async def content() -> AsyncIterator[bytes]:
            yield b"\1\0\0\0\0\0\0\3abc"

        yield content()


async def test_a_command_whose_end_is_not_known_yet_has_not_succeeded() -> None:
    engine: Any = SimpleNamespace(calls=_Broken(), command=nullcontext)
    found: Any = SimpleNamespace(id="c", attempt=Attempt("lab", "x1", "app.main-0", 1))
    assert await probing.run(engine, found, ("sleep", "9"), limit_s=5) == (7, b"abc")
