"""Whether a line is in a log that is much, is still written, or is looked through beside many others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from tests.backends.docker.test_probing import FOUND
from tests.effort import is_linear
from zoe_jupyter.backends.containers.lines import PIECE
from zoe_jupyter.backends.docker import probing
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.turns import Turns

EPOCH_S = 1_454_241_600


class Told:
    """An engine whose container said that, each line at its moment; ``since`` is what it was asked for."""

    def __init__(self, said: bytes) -> None:
        self.said = said
        self.since: list[str] = []
        self.calls = self
        self.asking = nullcontext
        self._searches = Turns(1, 1, 1)
        self.turns = Counter[str]()

    def searching(self, found: Container) -> AbstractAsyncContextManager[None]:
        self.turns[found.attempt.execution_id] += 1
        return self._searches.of(found.attempt.execution_id, found.owner)

    @asynccontextmanager
    async def flow(self, _: str, __: str, query: Mapping[str, Any], **___: object) -> AsyncIterator[Any]:
        self.since.append(query["since"])

        async def content() -> AsyncIterator[bytes]:
            yield b"\1\0\0\0" + len(self.said).to_bytes(4, "big") + self.said

        yield content()


def looking(engine: Any, pattern: str, *, execution: str = "one", owner: str = "ada") -> probing._LogMatch:
    """In the log of its container."""
    found = replace(FOUND, attempt=replace(FOUND.attempt, execution_id=execution), owner=owner)
    return probing._LogMatch(engine, found, pattern)


@pytest.mark.parametrize(("said", "is_ready"), [(b"ab" * 500_000, False), (b"ab" * 500_000 + b"\nT acbc\n", True)])
async def test_a_pattern_is_looked_for_in_lines_of_any_length(said: bytes, is_ready: bool) -> None:
    looks = looking(Told(b"T " + said), "a.*b.*c")
    assert await looks() is is_ready


def test_a_line_of_any_length_holds_up_nobody_while_a_pattern_is_looked_for() -> None:
    def work(count: int) -> Callable[[], None]:
        engine = Told(b"T " + b"ab" * count)

        def look() -> None:
            assert not asyncio.run(looking(engine, "a.*b.*c")())

        return look

    assert is_linear(work, 5 * probing._LOOKED_AT)


async def test_the_log_is_read_on_by_the_engines_clock() -> None:
    engine = Told(b"")
    looks = looking(engine, "^ready$")
    assert not await looks()
    engine.said = b"2016-01-31T12:00:00.9Z not yet\n2016-01-31T12:00:07.123456789Z ready?\r\n"
    assert not await looks()
    engine.said = b"\x85 no moment\n"
    assert not await looks()
    engine.said = b"2016-01-31T12:00:07.2Z ready\r\n"
    assert await looks()
    assert engine.since == [f"{second}.000000000" for second in (0, 0, 1454241607, 1454241607)]


async def test_of_one_who_says_much_so_much_is_looked_at_for_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the next goes on from there, also where all of it was said in one moment."""
    monkeypatch.setattr(probing, "_AT_ONCE_BYTES", 1)
    engine = Told(b"2016-01-31T12:00:07.123456789Z much\n")
    looks = looking(engine, "^ready$")
    for _ in range(3):
        assert not await looks()
    assert engine.since == ["0.000000000", "1454241607.123456789", "1454241607.123456790"]


async def test_the_beginning_of_a_line_that_has_no_end_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is not begun with again and again."""
    monkeypatch.setattr(probing, "_AT_ONCE_BYTES", 1)
    engine = Told(b"2016-01-31T12:00:07.1Z go" + b"x" * 10_000)
    assert await looking(engine, "^go")()
    looks = looking(engine, "^stop")
    for _ in range(2):
        assert not await looks()
    assert engine.since[1:] == ["0.000000000", "1454241607.100000000"]


async def test_however_much_a_service_says_others_have_turns_while_a_pattern_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, lines = Told(b"T a\n" * (1 << 18)), [0]
    is_it = probing._LogMatch._is_it

    def look(match: probing._LogMatch, line: bytes) -> bool:
        lines[-1] += 1
        return is_it(match, line)

    async def take_turns() -> None:
        while True:
            lines.append(0)
            await asyncio.sleep(0)

    monkeypatch.setattr(probing._LogMatch, "_is_it", look)
    others = asyncio.create_task(take_turns())
    assert not await looking(engine, "^never")()
    others.cancel()
    assert sum(lines) == 1 << 18
    assert max(lines) <= PIECE


@pytest.mark.parametrize(("execution", "owner"), [("two", "ada"), ("two", "bob")])
async def test_many_who_look_through_much_take_no_turns_from_other_executions_and_owners(
    execution: str, owner: str
) -> None:
    much, little = Told(b"T a\n" * (1 << 18)), Told(b"T a\n" * (1 << 16))
    little.searching = much.searching  # type: ignore[method-assign]
    theirs = ["one"] * 16 if owner == "ada" else [f"one-{n}" for n in range(16)]
    many = [asyncio.create_task(looking(much, "^never", execution=each)()) for each in theirs]
    await asyncio.sleep(0)
    await looking(little, "^never", execution=execution, owner=owner)()
    own = much.turns.pop(execution)
    assert much.turns.total() <= own + len(many), "all have asked for one, and then every other turn is another's"
    for each in many:
        each.cancel()


class Talker(Told):
    """Says a long line a second, and another whenever it is asked; its log is given from the moment on that is asked for."""

    def __init__(self, *, lines: int, last: bytes) -> None:
        super().__init__(b"")
        self.lines, self.last = lines, last
        self.containers = {FOUND.id: FOUND}

    async def do(self, *_: object, **__: object) -> bytes:
        return b""

    @asynccontextmanager
    async def flow(self, _: str, path: str, query: Mapping[str, Any], **___: object) -> AsyncIterator[Any]:
        second, _, rest = query.get("since", "").partition(".")
        begin = self.lines - 1 if "tail" in query else max(0, int(second) - EPOCH_S + (int(rest) > 0))
        said = [b"x" * PIECE] * (self.lines - begin)
        if self.last:
            said[-1] = self.last
        else:
            self.lines += 1
        at = (datetime.fromtimestamp(EPOCH_S + n, timezone.utc).isoformat()[:19] for n in range(begin, self.lines))
        self.said = b"".join(
            f"{moment}.000000000Z ".encode() + line + b"\n" for moment, line in zip(at, said, strict=False)
        )
        async with super().flow(_, path, {"since": ""}) as content:
            yield content


@pytest.mark.parametrize(("last", "what"), [(b"ready", "ready"), (b"", "not_ready")])
async def test_nobody_is_late_before_all_was_looked_at_that_was_said_in_time(
    monkeypatch: pytest.MonkeyPatch, last: bytes, what: str
) -> None:
    """And whoever goes on to talk is late all the same."""
    monkeypatch.setattr(probing, "_AT_ONCE_BYTES", 1)
    became: asyncio.Queue[str] = asyncio.Queue()

    async def late(_: object, __: object, reason: Reason) -> None:
        became.put_nowait(reason.code)

    engine: Any = Talker(lines=5, last=last)
    prober = probing.Prober(on_ready=lambda _: became.put_nowait("ready"), on_late=late)
    prober.begin(engine, replace(FOUND, probe=Probe(log="^ready$", timeout_s=0.05)))
    assert await asyncio.wait_for(became.get(), 20) == what
    prober.close()
