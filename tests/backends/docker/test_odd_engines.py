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
from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.images import known_prefix, way_out
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import calls, images, logs, meter, probing
from zoe_jupyter.backends.docker import engine as engines
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.launching import Launcher
from zoe_jupyter.backends.docker.settings import ContainerSettings, EngineSettings
from zoe_jupyter.backends.docker.site import Site
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.errors import Fatal, Retryable, ZoeError
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
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    info: Sequence[bytes] = (b"{}",),
    trouble: Sequence[bytes] = (),
) -> None:
    """As an engine that has nothing; its one event is of a kind of its own. ``info`` has what it says of itself now, or nothing.

    ``trouble``: what it answers to everything but the question for its version, while there is some.
    """
    while True:
        line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
        if trouble and b"/version" not in line:
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % trouble[0])
            continue
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


@pytest.mark.parametrize("status", [b"503 Service Unavailable", b"403 Forbidden", b"404 Not Found"])
async def test_an_engine_of_which_nothing_but_trouble_is_heard_is_silent(place: Path, status: bytes) -> None:
    """Somebody answers in its place, say; what it had is not what it has."""
    trouble: list[bytes] = []
    async with served(place, partial(_answer, trouble=trouble)):
        engine = an_engine(place)
        await engine.look()
        trouble.append(status)
        with pytest.raises(Unreachable, match="the engine odd does not say what it runs"):
            await engine.look()
        assert engine.silent_since is not None
        trouble.clear()
        await engine.look()
        assert engine.silent_since is None
        engine.close()


async def test_an_engine_that_was_silent_is_asked_again_whatever_it_answered(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(
        [EngineSettings(name="odd", url=f"unix://{place / 's'}")], ContainerSettings(), folder=place, pool="10.213.0.0/16",
        overcommit=1, memory_fraction=1, on_news=lambda: None,
    )  # fmt: skip
    engine = site.place("odd").engine
    engine.silent_since = 1.0
    asked = AsyncMock(side_effect=[TypeError("nobody foresaw this"), None])
    monkeypatch.setattr(engine, "look", asked)
    for _ in range(2):
        with pytest.raises(Unreachable):
            await site.look()
        await asyncio.wait(site._looks.values())
    assert asked.await_count == 2
    site.close()


async def test_what_began_before_the_events_are_heard_is_listed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a list and a subscription nobody would tell it."""
    ids, may_be_heard = list[str](), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
            if b"/events" in line:
                await may_be_heard.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                await asyncio.Event().wait()
            listed = json.dumps([{"Id": each, "State": "running", "Labels": {}} for each in ids]).encode()
            kinds = {b"/version": VERSION, b"/info": b'{"NCPU": 4}', b"/containers/json": listed}
            body = next((body for path, body in kinds.items() if path in line), b"[]")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with served(place, answer):
        engine = an_engine(place)
        monkeypatch.setattr(engine, "_inspect", AsyncMock(return_value=FOUND))
        engine.start()
        await engine.look()
        assert not engine.containers
        ids.append(FOUND.id)
        may_be_heard.set()
        await eventually(lambda: _has_heard(engine))
        await engine.look()
        assert engine.containers == {FOUND.id: FOUND}
        engine.close()


async def test_one_that_the_engine_is_busy_with_keeps_no_look_waiting(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_INSPECT_S", 0.05)
    news, is_started, other = asyncio.Event(), asyncio.Event(), replace(FOUND, id="other")
    engine = an_engine(place)
    engine._on_news = news.set

    async def inspect(container_id: str) -> Container:
        if container_id == FOUND.id:
            await is_started.wait()
        return {each.id: each for each in (FOUND, other)}[container_id]

    monkeypatch.setattr(engine, "_inspect", inspect)
    for each in (FOUND, other):
        engine.touch(each.id)
    for _ in range(2):
        await asyncio.wait_for(engine._inspect_dirty(), 5)
        assert set(engine.containers) == {other.id}
    assert not news.is_set()
    is_started.set()
    await asyncio.wait_for(news.wait(), 5)
    await engine._inspect_dirty()
    assert set(engine.containers) == {FOUND.id, other.id}
    engine.close()


async def test_an_answer_that_was_late_is_not_believed_where_somebody_asked_since(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it lost what that question might have found: it is asked again."""
    monkeypatch.setattr(engines, "_INSPECT_S", 0.05)
    engine, may_answer, asked = an_engine(place), asyncio.Event(), list[int]()
    made, ended = replace(FOUND, is_created=True, is_running=False), replace(FOUND, is_running=False)

    async def inspect(_: str, *, limit_s: int = 0) -> Container:
        asked.append(limit_s)
        if len(asked) == 1:
            await may_answer.wait()
        return [made, FOUND, ended][len(asked) - 1]

    monkeypatch.setattr(engine, "_inspect", inspect)
    monkeypatch.setattr(engine, "_begun", AsyncMock(return_value=0.0))
    engine.touch(FOUND.id)
    await engine._inspect_dirty()
    await engine.inspect(FOUND.id)
    assert engine.containers == {FOUND.id: FOUND}
    may_answer.set()
    await engine._inspect_dirty()
    assert engine.containers == {FOUND.id: ended}
    engine.close()


@pytest.mark.parametrize(
    ("said", "is_blameless"),
    [
        ('connection error: desc = "transport: Error while dialing dial unix /run/containerd/containerd.sock"', True),
        ("OCI runtime create failed: container_linux.go:380: starting container process caused: no such device", False),
    ],
)
async def test_an_engine_that_cannot_start_anything_is_nobodys_failure(said: str, is_blameless: bool) -> None:
    refused = calls._refused(said, is_trouble=True)
    do = AsyncMock(side_effect=[refused, None])
    engine: Any = SimpleNamespace(
        calls=SimpleNamespace(do=do), containers={}, inspect=AsyncMock(return_value=replace(FOUND, is_created=True))
    )
    launcher: Any = Launcher(engine, AsyncMock(), AsyncMock(), ContainerSettings())
    with pytest.raises(Retryable, match=said.partition(":")[0]) as failed:
        await launcher._start(FOUND, SimpleNamespace(service="app.main-0"))
    assert failed.value.is_blameless is is_blameless


async def test_what_all_containers_use_is_asked_of_a_few_at_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, asking, most = an_engine(place), 0, 0

    async def do(*_: Any) -> dict[str, Any]:
        nonlocal asking, most
        asking, most = asking + 1, max(most, asking + 1)
        await asyncio.sleep(0)
        asking -= 1
        return {}

    monkeypatch.setattr(engine.calls, "do", do)
    await asyncio.gather(*(meter.figures(engine, str(number)) for number in range(20)))
    assert most <= 3
    engine.close()


async def test_logs_that_an_engine_does_not_give_keep_no_other_execution_waiting(place: Path) -> None:
    """Who is ready says so in its log."""
    other = replace(FOUND, id="c2", attempt=replace(FOUND.attempt, execution_id="x2"))
    said = b"2026-01-01T00:00:00Z ready\n"
    framed, asked = b"\1\0\0\0" + len(said).to_bytes(4, "big") + said, asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            line = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]
            if b"/c1/logs" in line:
                asked.release()
                await asyncio.Event().wait()
            body = VERSION if b"/version" in line else framed
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    async with served(place, answer):
        engine = an_engine(place)
        stuck = [asyncio.ensure_future(probing._LogMatch(engine, FOUND, "ready")()) for _ in range(100)]
        for _ in range(8):
            await asyncio.wait_for(asked.acquire(), 10)
        assert await asyncio.wait_for(probing._LogMatch(engine, other, "ready")(), 10)
        assert asked.locked()
        for each in stuck:
            each.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)
        engine.close()


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
    found: Any = SimpleNamespace(id="c", attempt=FOUND.attempt, has_variables=False)
    assert await probing.run(engine, found, ("sleep", "9"), limit_s=5) == (7, b"abc")


def test_an_image_of_zoe_s_own_that_no_registry_answers_for_is_told_with_the_way_out() -> None:
    said = "dial tcp: lookup registry.site: no such host"
    own = images._refused("zoe/spark:4", said, way_out("zoe/spark:4", "zoe/"))
    assert isinstance(own, Retryable)
    assert own.message == (
        f"the image zoe/spark:4 could not be pulled: {said}. "
        "Build it with `jupyter zoe image build spark`, or set `image_prefix` to where it is"
    )
    other = images._refused("registry.site/other:1", said, way_out("registry.site/other:1", "zoe/"))
    assert other.message.endswith("no such host")


async def test_what_the_shop_calls_its_own_is_told_with_a_prefix_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    there: Any = images.Images(SimpleNamespace(), pulls=False, on_progress=lambda: None, prefix="newuser")

    async def missing(image: str) -> None:
        raise NotFound("no such image")

    monkeypatch.setattr(there, "_inspect", missing)
    with pytest.raises(Fatal) as caught:
        await there.ensure("newuserspark:4", "zoe/spark:4")
    assert caught.value.message.startswith(
        "there is no image newuserspark:4: this site pulls none (`pull`). `image_prefix` is 'newuser'"
    )
    assert "`jupyter zoe image build spark`" in caught.value.message
    with pytest.raises(Fatal) as caught:
        await there.ensure("postgres:16", "postgres:16")
    assert caught.value.message.endswith("(`pull`)")


@pytest.mark.parametrize("prefix", ["https://registry.site/zoe/", "zoe /", "zoe@", "zé/"])
def test_a_prefix_that_no_name_begins_with_is_refused(prefix: str) -> None:
    with pytest.raises(ZoeError, match="image_prefix="):
        known_prefix(prefix)


def test_a_prefix_that_runs_into_the_names_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for prefix in ("newuser", "", "zoe/", "[::1]:5000/zoe-"):
        assert known_prefix(prefix) == prefix
    assert [each.getMessage() for each in caplog.records] == [
        "image_prefix='newuser' does not end with /: zoe/spark:4 is newuserspark:4"
    ]


async def test_why_one_has_ended_that_was_asked_to_is_no_question(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a busy engine asked when it has begun, as it is for each end that nobody wanted."""
    engine, begun = an_engine(place), AsyncMock(return_value=5.0)
    monkeypatch.setattr(engine, "_begun", begun)
    engine.containers[FOUND.id] = FOUND
    ended = replace(FOUND, is_running=False)
    await engine._look_at_ends([ended])
    assert begun.await_count == 1
    engine.expect_end(FOUND.id)
    await engine._look_at_ends([ended])
    assert begun.await_count == 1
