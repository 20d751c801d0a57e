"""Who is ready, who was, and who takes too long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import aiohttp
import pytest

from tests.backends.kubernetes.test_upkeep import WHO, known, only, pod
from tests.effort import is_linear
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.containers.lines import PIECE
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import names, translate, upkeep
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.logs import Logs
from zoe_jupyter.backends.kubernetes.upkeep import Readiness
from zoe_jupyter.model.errors import Retryable, TooMany
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.testing.backend_contract import eventually


def waiting(found: Known, logs: Any = None, **given: Any) -> Readiness:
    asked = {name: AsyncMock() for name in ("look", "confirm", "end")}
    return Readiness(found, logs or AsyncMock(), **{**asked, "is_silent": lambda node: False, **given})


@pytest.mark.parametrize(("line", "is_ready"), [(b"ab" * 500_000 + b"\n", False), (b"acbc\n", True)])
async def test_a_pattern_is_looked_for_in_lines_of_any_length(line: bytes, is_ready: bool) -> None:
    confirm = AsyncMock()
    assert await saying(line, confirm=confirm)._has_said(WHO, "a.*b.*c", follow=True) is is_ready
    assert confirm.await_count == is_ready


async def test_that_it_is_ready_is_written_down_once_its_log_is_not_held_open_any_more() -> None:
    """Very many that wait for their line leave no connection else to tell the cluster that it came."""
    is_open = False

    async def lines(_: Attempt, *, follow: bool) -> AsyncIterator[bytes]:
        nonlocal is_open
        is_open = True
        try:
            yield b"here"
            await asyncio.Event().wait()
        finally:
            is_open = False

    async def confirm(_: Attempt) -> None:
        assert not is_open

    readiness = waiting(known(), SimpleNamespace(lines=lines), confirm=confirm)
    assert await readiness._has_said(WHO, "here", follow=True)


async def test_who_is_one_too_many_to_be_followed_is_looked_at_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upkeep, "LOOK_S", 0.0)
    monkeypatch.setattr(upkeep, "TICK_S", 0.0)
    found, looks, confirm = known(proving("False", log="^here", timeout_s=60.0)), 0, AsyncMock()

    async def lines(_: Attempt, *, follow: bool) -> AsyncIterator[bytes]:
        nonlocal looks
        if follow:
            raise TooMany("32 are open for x1, and that is the most")
        looks += 1
        yield b"here" if looks == 3 else b"not yet"

    readiness = waiting(found, SimpleNamespace(lines=lines), confirm=confirm)
    readiness.notice(WHO)
    await eventually(lambda: _is(confirm.await_count == 1))
    assert looks == 3
    await readiness.close()


def test_a_line_of_any_length_holds_up_nobody_while_a_pattern_is_looked_for() -> None:
    def work(count: int) -> Callable[[], None]:
        readiness = saying(b"ab" * count)

        def look() -> None:
            assert not asyncio.run(readiness._has_said(WHO, "a.*b.*c", follow=True))

        return look

    assert is_linear(work, 5 * upkeep.LOOKED_AT)


async def test_everybody_has_a_turn_while_much_that_is_said_is_looked_through(tmp_path: Path) -> None:
    """However many logs there are: of one after the other a piece."""
    attempts = [Attempt("lab", "x1", f"app.main-{number}", 1) for number in range(3)]
    found, most, turn = known(), 0, 0
    found.pods.update(dict.fromkeys(attempts, pod()))
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(Talking(b"y\n" * 2**15), found, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]

        async def count(attempt: Attempt) -> None:
            nonlocal turn, most
            async for _ in logs.lines(attempt, follow=True):
                turn += 1
                most = max(most, turn)

        counting = [asyncio.create_task(count(attempt)) for attempt in attempts]
        while not all(task.done() for task in counting):
            turn = 0
            await asyncio.sleep(0)
        await asyncio.gather(*counting)
    assert 0 < most <= PIECE / 2


class Talking:
    """Each log is all there at once, as when the API server is faster than who reads."""

    def __init__(self, log: bytes) -> None:
        self._log = log

    @asynccontextmanager
    async def stream(self, path: str, query: object, *, silence_s: float | None) -> AsyncIterator[aiohttp.StreamReader]:
        content = aiohttp.StreamReader(Mock(_reading_paused=False), 2**21, loop=asyncio.get_running_loop())
        content.feed_data(self._log)
        content.feed_eof()
        yield content


def saying(line: bytes, **given: Any) -> Readiness:
    """Of a pod whose log is that line."""

    async def lines(_: Attempt, *, follow: bool) -> AsyncIterator[bytes]:
        yield line

    return waiting(known(), SimpleNamespace(lines=lines), **given)


def proving(ready: str, *, log: str = "", timeout_s: float = 0.05) -> dict[str, Any]:
    """It has something to prove; ``ready`` is what the kubelet says now."""
    found = pod()
    facts = {"ready": "an answer", "timeout_s": timeout_s, "log": log}
    found["metadata"]["annotations"][names.FACTS] = json.dumps(facts)
    found["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    return found


async def _is(claim: bool) -> bool:
    return claim


async def test_who_was_ready_once_stays_so_and_that_is_written_down_though_the_cluster_refuses_it_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its node falls silent, or it is too busy to answer: nobody waits for it a second time."""
    monkeypatch.setattr(upkeep, "AGAIN_S", 0.0)
    found, confirm, end = known(), AsyncMock(side_effect=[Retryable("later"), None]), AsyncMock()
    readiness = waiting(found, confirm=confirm, end=end)
    for ready in ("False", "True", "False"):
        found.take(WHO.name, proving(ready))
        readiness.notice(WHO)

    assert only(found).state is SeenState.READY
    await eventually(lambda: _is(confirm.await_count == 2))
    await readiness.close()
    end.assert_not_awaited()


@pytest.mark.parametrize("log", ["", "^here"])
async def test_who_becomes_ready_while_the_api_server_is_silent_is_not_ended_for_it(log: str) -> None:
    found = known(proving("False", log=log))
    asked = 0

    async def look(attempt: Attempt) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Unreachable("it does not answer")
        found.take(WHO.name, proving("True", log=log))
        readiness.notice(WHO)

    async def confirm(attempt: Attempt) -> None:
        found.take(WHO.name, translate.proved(found.pods[WHO]))
        readiness.notice(WHO)

    async def lines(_: Attempt, *, follow: bool) -> AsyncIterator[bytes]:
        if follow:
            await asyncio.Event().wait()
        yield b"here"

    end = AsyncMock()
    readiness = waiting(found, SimpleNamespace(lines=lines), look=look, confirm=confirm, end=end)
    readiness.notice(WHO)
    await eventually(lambda: _is(only(found).state is SeenState.READY))
    await readiness.close()
    assert asked == 2
    end.assert_not_awaited()


async def test_who_is_still_not_ready_when_asked_once_more_is_ended() -> None:
    found, ended = known(proving("False")), asyncio.Event()

    async def end(attempt: Attempt, reason: Reason) -> None:
        assert (attempt, reason.code) == (WHO, "not_ready")
        ended.set()

    readiness = waiting(found, end=end)
    readiness.notice(WHO)
    await asyncio.wait_for(ended.wait(), 5)
    await readiness.close()


async def test_who_cannot_tell_since_its_node_is_silent_has_its_time_once_more_when_that_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the cluster says of it is old until the node has told it anew."""
    monkeypatch.setattr(upkeep, "TICK_S", 0.0)
    found, look, end, asked = known(proving("False")), AsyncMock(), AsyncMock(), 0

    def is_silent(node: str) -> bool:
        nonlocal asked
        asked += 1
        if asked == 100:
            asyncio.get_running_loop().call_later(0.01, tell)
        return node == "n1" and asked < 100

    def tell() -> None:
        found.take(WHO.name, proving("True"))
        readiness.notice(WHO)

    readiness = waiting(found, look=look, end=end, is_silent=is_silent)
    readiness.notice(WHO)
    await eventually(lambda: _is(only(found).state is SeenState.READY))
    await readiness.close()
    look.assert_not_awaited()
    end.assert_not_awaited()
