"""What a supervisor said before is used again, in whatever order hints, answers, orders, silences and ends come."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.backends.local.test_survival import supervisor_of
from zoe_jupyter.backends.base import Observation, SeenState
from zoe_jupyter.backends.local import LocalBackend
from zoe_jupyter.backends.local import link as link_module
from zoe_jupyter.backends.local.link import KNOWN_S, Gone, Link, Silent
from zoe_jupyter.backends.local.supervisor.control import Control
from zoe_jupyter.backends.local.supervisor.files import SOCKET_FILE
from zoe_jupyter.backends.local.supervisor.loop import Loop
from zoe_jupyter.backends.local.supervisors import Supervisors
from zoe_jupyter.engine.loop import LOOK_S
from zoe_jupyter.testing.backend_contract import Runner, eventually

STATE = {
    "deployment": "test", "execution": "one", "boot_id": "", "supervisor": {"pid": 1, "start": 1},
    "bounds": {"silence_s": 60.0}, "services": {},
}  # fmt: skip
OLD, NEW = {**STATE, "sequence": 1}, {**STATE, "sequence": 2}
LIMIT_S = 10.0


class Told:
    """The other end of a link: it says what the test tells it to, when the test tells it to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def asked(self, do: str) -> int:
        """The number of the next request, which must be this one."""
        request = json.loads(await asyncio.wait_for(self._reader.readline(), LIMIT_S))
        assert request["do"] == do
        return int(request["id"])

    def answer(self, number: int, state: object = STATE) -> None:
        self.say({"id": number, "ok": state})

    def hint(self) -> None:
        self.say({"changed": 1})

    def say(self, message: object) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self._writer.close()


class Pair:
    """A link and its other end."""

    def __init__(self, link: Link, told: Told, hinted: asyncio.Event) -> None:
        self.link = link
        self.told = told
        self.hinted = hinted

    def begin(self, do: str, *, limit_s: float = LIMIT_S) -> asyncio.Task[Any]:
        work = self.link.observe(limit_s=limit_s) if do == "observe" else self.link.ask(do, limit_s=limit_s)
        return asyncio.create_task(work)

    async def whole(self, do: str, answer: object = STATE) -> None:
        task = self.begin(do)
        self.told.answer(await self.told.asked(do), answer)
        await task

    async def hint(self) -> None:
        """Say that something changed, and wait until it was heard."""
        self.hinted.clear()
        self.told.hint()
        await asyncio.wait_for(self.hinted.wait(), LIMIT_S)


@asynccontextmanager
async def opened(run_dir: Path) -> AsyncIterator[Pair]:
    arrived: asyncio.Queue[Told] = asyncio.Queue()
    hinted = asyncio.Event()
    path = run_dir / SOCKET_FILE
    server = await asyncio.start_unix_server(lambda *ends: arrived.put_nowait(Told(*ends)), path)
    opening = asyncio.create_task(Link.open(run_dir, os.getpid(), on_change=hinted.set, timeout_s=LIMIT_S))
    told = await asyncio.wait_for(arrived.get(), LIMIT_S)
    told.answer(await told.asked("subscribe"))
    link = await opening
    try:
        yield Pair(link, told, hinted)
    finally:
        told.close()
        await link.close()
        server.close()
        path.unlink()


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with opened(tmp_path) as pair:
        yield pair


async def test_a_new_link_knows_nothing_before_it_has_asked(pair: Pair) -> None:
    assert pair.link.known() is None
    await pair.whole("observe", OLD)
    assert pair.link.known() == OLD


async def test_who_refuses_to_tell_its_state_is_taken_as_silent(pair: Pair) -> None:
    asking = pair.begin("observe")
    pair.told.say({"id": await pair.told.asked("observe"), "error": {"kind": "retryable", "text": "failed at it"}})
    with pytest.raises(Silent, match="failed at it"):
        await asking


async def test_a_hint_after_an_answer_ends_what_is_known(pair: Pair) -> None:
    await pair.whole("observe")
    await pair.hint()
    assert pair.link.known() is None
    await pair.whole("observe", NEW)
    assert pair.link.known() == NEW


async def test_a_hint_while_the_answer_is_under_way_makes_it_be_asked_again(pair: Pair) -> None:
    asking = pair.begin("observe")
    number = await pair.told.asked("observe")
    await pair.hint()
    pair.told.answer(number, OLD)
    assert await asking == OLD
    assert pair.link.known() is None


async def test_a_hint_in_one_piece_with_the_answer_is_not_overheard(pair: Pair) -> None:
    asking = pair.begin("observe")
    pair.told.answer(await pair.told.asked("observe"))
    pair.told.hint()
    await asking
    await asyncio.wait_for(pair.hinted.wait(), LIMIT_S)
    assert pair.link.known() is None


async def test_of_two_questions_the_one_before_a_hint_cannot_outdo_the_one_after(pair: Pair) -> None:
    early = pair.begin("observe")
    first = await pair.told.asked("observe")
    await pair.hint()
    late = pair.begin("observe")
    second = await pair.told.asked("observe")
    pair.told.answer(first, OLD)
    await early
    assert pair.link.known() is None
    pair.told.answer(second, NEW)
    await late
    assert pair.link.known() == NEW


@pytest.mark.parametrize("do", ["reserve", "launch", "stop", "run", "bound", "finish"])
async def test_an_order_ends_what_is_known_from_its_beginning_to_its_end(pair: Pair, do: str) -> None:
    await pair.whole("observe")
    ordering = pair.begin(do)
    number = await pair.told.asked(do)
    assert pair.link.known() is None
    await pair.whole("observe")
    assert pair.link.known() is not None
    pair.told.answer(number)
    await ordering
    assert pair.link.known() is None


async def test_an_order_after_the_question_and_before_its_answer_counts_too(pair: Pair) -> None:
    asking = pair.begin("observe")
    number = await pair.told.asked("observe")
    ordering = pair.begin("launch")
    pair.told.answer(await pair.told.asked("launch"))
    await ordering
    pair.told.answer(number)
    await asking
    assert pair.link.known() is None


async def test_an_order_that_is_given_up_ends_what_is_known(pair: Pair) -> None:
    ordering = pair.begin("launch")
    await pair.told.asked("launch")
    await pair.whole("observe")
    ordering.cancel()
    await asyncio.wait({ordering})
    assert pair.link.known() is None


@pytest.mark.parametrize("do", ["usage", "ping"])
async def test_what_changes_nothing_leaves_it_known(pair: Pair, do: str) -> None:
    await pair.whole("observe")
    await pair.whole(do)
    assert pair.link.known() == STATE


@pytest.mark.parametrize("do", ["observe", "usage", "ping", "stop"])
async def test_a_silence_ends_what_is_known_and_a_late_answer_does_not_bring_it_back(pair: Pair, do: str) -> None:
    await pair.whole("observe")
    with pytest.raises(Silent):
        await pair.begin(do, limit_s=0.01)
    assert pair.link.known() is None
    pair.told.answer(await pair.told.asked(do))
    await pair.hint()
    assert pair.link.known() is None


async def test_nothing_is_known_over_a_link_that_broke_nor_over_the_next_one(pair: Pair, tmp_path: Path) -> None:
    await pair.whole("observe")
    pair.told.close()
    await asyncio.wait_for(pair.hinted.wait(), LIMIT_S)
    assert pair.link.known() is None
    with pytest.raises(Gone):
        await pair.link.observe(limit_s=LIMIT_S)
    (tmp_path / "next").mkdir()
    async with opened(tmp_path / "next") as again:
        assert again.link.known() is None


async def test_what_is_known_grows_old_before_a_slow_round_comes(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KNOWN_S < LOOK_S
    monkeypatch.setattr(link_module, "KNOWN_S", 0.0)
    await pair.whole("observe")
    assert pair.link.known() is None


def test_a_reader_that_is_slow_gets_the_newest_hint_after_what_it_did_not_read_yet(tmp_path: Path) -> None:
    """The change came after the answer was made, and while there was no room for a hint."""
    loop = Loop()
    size = 8 << 20

    def handle(request: Any, reply: Any) -> None:
        if request["do"] == "end":
            loop.stop()
            return
        reply({"ok": "x" * size if request["do"] == "observe" else ""})
        if request["do"] == "observe":
            for number in (1, 2, 3):
                control.tell({"changed": number})

    control = Control(loop, str(tmp_path / "socket"), handle, on_gone=lambda: None)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(LIMIT_S)
            peer.connect(str(tmp_path / "socket"))
            with peer.makefile("rwb") as lines:
                lines.write(b'{"id": 1, "do": "subscribe"}\n{"id": 2, "do": "observe"}\n')
                lines.flush()
                assert json.loads(lines.readline()) == {"id": 1, "ok": ""}
                assert len(json.loads(lines.readline())["ok"]) == size
                assert json.loads(lines.readline()) == {"changed": 3}
                lines.write(b'{"id": 3, "do": "ping"}\n{"id": 4, "do": "end"}\n')
                lines.flush()
                assert json.loads(lines.readline()) == {"id": 3, "ok": ""}
    finally:
        loop.stop()
        thread.join(LIMIT_S)
        control.close()
    assert not thread.is_alive()


class Looker:
    """Looks as the core does: because of a hint, or because it is time. ``asked`` are those whom the last look asked."""

    def __init__(self, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend = backend
        self.asked: list[str] = []
        self._hinted = asyncio.Event()
        observe = Supervisors.observe

        async def spied(supervisors: Supervisors, execution_id: str) -> Any:
            self.asked.append(execution_id)
            return await observe(supervisors, execution_id)

        monkeypatch.setattr(Supervisors, "observe", spied)

    async def listen(self) -> None:
        async for _ in self.backend.changes():
            self._hinted.set()

    async def look(self) -> Observation:
        self.asked.clear()
        self._hinted.clear()
        return await self.backend.observe()

    async def after_a_hint(self) -> Observation:
        await asyncio.wait_for(self._hinted.wait(), LIMIT_S)
        return await self.look()

    async def calm(self, *ids: str) -> None:
        """Wait until these are known and nothing new is said of them."""

        async def is_calm() -> bool:
            await self.look()
            await asyncio.sleep(0.3)
            return not self._hinted.is_set() and all(self.backend._supervisors.known(name) for name in ids)

        await eventually(is_calm)

    def states(self, observation: Observation) -> dict[str, SeenState]:
        return {seen.execution_id: seen.state for seen in observation.services}


@pytest.fixture
async def looker(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Looker]:
    assert isinstance(runner.backend, LocalBackend)
    monkeypatch.setattr(link_module, "KNOWN_S", 120.0)
    looker = Looker(runner.backend, monkeypatch)
    listening = asyncio.create_task(looker.listen())
    yield looker
    listening.cancel()
    await asyncio.wait({listening})


async def pid_of(runner: Runner, execution_id: str) -> int:
    seen = await runner.seen(execution_id)
    assert seen is not None
    return int(seen.handle["pid"])


async def test_after_a_hint_only_who_gave_it_is_asked_and_the_look_is_whole(runner: Runner, looker: Looker) -> None:
    for name in ("one", "two", "three"):
        await runner.start(name)
    pid = await pid_of(runner, "two")
    await looker.calm("one", "two", "three")
    await looker.look()
    assert sorted(looker.asked) == ["one", "three", "two"], "a look without news asks all"
    os.kill(pid, signal.SIGKILL)

    async def has_ended() -> bool:
        observation = await looker.after_a_hint()
        assert looker.asked == ["two"]
        assert sorted(looker.states(observation)) == sorted(observation.kept) == ["one", "three", "two"]
        return looker.states(observation)["two"] is SeenState.EXITED

    await eventually(has_ended)


async def test_what_the_core_ordered_is_seen_by_its_next_look(runner: Runner, looker: Looker) -> None:
    for name in ("one", "two"):
        await runner.start(name)
    await looker.calm("one", "two")
    for number in range(1, 6):
        await runner.launch(runner.order("one", f"app.more-{number}"))
        observation = await looker.look()
        assert f"app.more-{number}" in {seen.service for seen in observation.services}
        assert "two" not in looker.asked
        assert looker.states(observation)["two"] is SeenState.READY


async def test_a_killed_supervisor_is_noticed_by_the_look_after_the_hint(runner: Runner, looker: Looker) -> None:
    for name in ("one", "two"):
        await runner.start(name)
    supervisor = await supervisor_of(runner, "two")
    await looker.calm("one", "two")
    os.kill(supervisor, signal.SIGKILL)

    async def is_lost() -> bool:
        observation = await looker.after_a_hint()
        assert "one" not in looker.asked
        return looker.states(observation).get("two") is SeenState.EXITED

    await eventually(is_lost)


async def test_one_that_falls_silent_is_noticed_by_a_round_and_in_the_end_also_among_hints(
    runner: Runner, looker: Looker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        await runner.start(name)
    supervisor = await supervisor_of(runner, "two")
    await looker.calm("one", "two")
    monkeypatch.setattr(link_module, "KNOWN_S", 1.0)
    await looker.look()
    os.kill(supervisor, signal.SIGSTOP)
    try:

        async def is_unreachable() -> bool:
            runner.backend._hint()
            observation = await looker.after_a_hint()
            assert "two" in looker.states(observation) or list(observation.unreachable) == ["two"]
            return "two" in observation.unreachable

        await eventually(is_unreachable)
        assert list((await looker.look()).unreachable) == ["two"], "also by a look without news"
    finally:
        os.kill(supervisor, signal.SIGCONT)

    async def is_back() -> bool:
        return "two" in looker.states(await looker.look())

    await eventually(is_back)


async def test_an_execution_that_was_cleaned_is_in_no_look_any_more(runner: Runner, looker: Looker) -> None:
    for name in ("one", "two"):
        await runner.start(name)
    await looker.calm("one", "two")
    await runner.backend.clean("two", keep_logs=False)
    observation = await looker.look()
    assert sorted(looker.states(observation)) == sorted(observation.kept) == ["one"]
