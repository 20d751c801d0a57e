"""What idle means: idle executions go away by themselves, but never while somebody uses or holds them."""

from __future__ import annotations

import asyncio
import http.server
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest

from zoe_jupyter.backends.base import Bounds, Unreachable, Usage
from zoe_jupyter.engine import lifetimes, loop, sampling
from zoe_jupyter.model.application import Lifetime, LifetimeWith
from zoe_jupyter.model.errors import Fatal, Retryable
from zoe_jupyter.model.execution import Client, Execution, Outcome, State
from zoe_jupyter.testing.executions import make_execution, make_service
from zoe_jupyter.testing.house import ALICE, House


async def use(house: House, monkeypatch: pytest.MonkeyPatch, cores: float) -> None:
    """Let every execution use that much CPU, and look."""

    async def usage() -> Sequence[Usage]:
        return [Usage(execution_id, "job.main-0", cores, 1 << 20) for execution_id in house.core._ledger.executions]

    monkeypatch.setattr(house.backend, "usage", usage)
    await house.core._sampler.sample()


async def test_what_does_nothing_for_so_long_goes_away(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job", lifetime={"idle": "1h"}))
    await use(house, monkeypatch, 0.5)
    assert (await house.get(execution)).idle_since is None

    await use(house, monkeypatch, 0.001)
    assert (await house.get(execution)).idle_since is not None
    house.clock.ahead_s += 3700
    await house.core._loop.let_time_pass()

    ended = await house.until_state(State.ENDED, execution)
    assert ended.outcome is Outcome.EXPIRED
    assert ended.reason is not None
    assert "idle" in ended.reason.text


async def test_what_somebody_holds_is_not_idle(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job", lifetime={"idle": "1h"}))
    await use(house, monkeypatch, 0.0)
    lease = await house.core.take_lease(
        execution.id, ALICE, kind="kernel", client=Client(kernel_id="k", server="s"), ttl_s=None
    )
    await use(house, monkeypatch, 0.0)
    assert (await house.get(execution)).idle_since is None

    await house.core.drop_lease(execution.id, lease.id, ALICE)
    await use(house, monkeypatch, 0.0)
    assert (await house.get(execution)).idle_since is not None


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/busy" else 404)
        self.end_headers()
        self.wfile.write(b'{"jobs": 1}')

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "busy", "answer"),
    [
        ("/busy", "{{ answer.jobs > 0 }}", True),
        ("/busy", "{{ answer.jobs > 1 }}", False),
        ("/busy", "{{ answer.nothing }}", None),
        ("/gone", "{{ answer.jobs > 0 }}", None),
    ],
)
async def test_an_application_is_asked_itself(port: int, path: str, busy: str, answer: bool | None) -> None:
    """One that does not answer says nothing: then leases and CPU decide."""
    service = make_service(0, host="127.0.0.1", ports={"ui": port})
    execution = make_execution(1, services={service.name: service})
    probe = {"http": "ui", "path": path, "busy": busy}

    asked = replace(execution, application=replace(execution.application, activity={"dask": probe}))

    assert await sampling._ask_activity(asked) is answer


@pytest.mark.parametrize("error", [Retryable("64 are open, and that is the most"), Unreachable("its engine is away")])
async def test_one_to_which_there_is_no_way_now_says_nothing_and_keeps_nobody_from_being_asked(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    monkeypatch.setattr(house.backend, "reach", AsyncMock(side_effect=error))
    asked = replace(execution, application=replace(execution.application, activity={"job": {"http": "ui"}}))

    usage = [Usage(execution.id, "job.main-0", 1.0, 1 << 20)]
    assert [await house.core._sampler._is_busy(asked, each) for each in (usage, [])] == [True, False]


async def test_one_whose_bounds_are_refused_holds_up_no_others_and_is_told_later(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Some seconds later, not with each decision; and one warning is enough."""
    first, second = [(await house.until_state(State.RUNNING, await house.submit("job"))).id for _ in range(2)]
    await house.until(lambda _: {first, second} <= set(house.backend.bounds), first)
    bound, refused, asked = house.backend.bound, {second}, list[str]()

    async def refuse(execution_id: str, bounds: Bounds) -> None:
        if execution_id in refused:
            asked.append(execution_id)
            raise Fatal("the cluster does not allow it")
        await bound(execution_id, bounds)

    monkeypatch.setattr(house.backend, "bound", refuse)
    house.backend.bounds.clear()
    house.core._loop._told_bounds.clear()
    house.core._loop._unbound.put_back((first, second))
    with caplog.at_level(logging.WARNING, loop.__name__):
        for times in (1, 2):
            for _ in range(3):
                await house.core._loop.decide_now()
            assert set(house.backend.bounds) == {first}
            assert asked == [second] * times
            house.clock.ahead_s += loop.TOLD_AGAIN_S
    assert caplog.text.count("bounds will be told again") == 1

    refused.clear()
    await house.core._loop.decide_now()
    assert set(house.backend.bounds) == {first, second}


async def test_one_whose_backend_does_not_hear_its_bounds_holds_up_no_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as soon as somebody listens."""
    monkeypatch.setattr(loop, "TELL_S", 0.05)
    first, second = [(await house.until_state(State.RUNNING, await house.submit("job"))).id for _ in range(2)]
    await house.until(lambda _: {first, second} <= set(house.backend.bounds), first)
    bound, hears, asked = house.backend.bound, asyncio.Event(), list[str]()

    async def hang(execution_id: str, bounds: Bounds) -> None:
        if execution_id == second:
            asked.append(execution_id)
            await hears.wait()
        await bound(execution_id, bounds)

    monkeypatch.setattr(house.backend, "bound", hang)
    house.backend.bounds.clear()
    house.core._loop._told_bounds.clear()
    house.core._loop._unbound.put_back((second, first))
    for _ in range(3):
        await asyncio.wait_for(house.core._loop.decide_now(), 5)
    assert set(house.backend.bounds) == {first}
    assert asked == [second]

    hears.set()
    await house.until(lambda _: second in house.backend.bounds, first)


async def test_one_whose_bounds_were_refused_is_told_later_although_nothing_happens(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TOLD_AGAIN_S", 0.2)
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda now: now.id in house.backend.bounds, execution)
    bound, refusals = house.backend.bound, [True, True]

    async def refuse(execution_id: str, bounds: Bounds) -> None:
        if refusals and refusals.pop():
            raise Fatal("the cluster does not allow it")
        await bound(execution_id, bounds)

    monkeypatch.setattr(house.backend, "bound", refuse)
    house.backend.bounds.clear()
    house.core._loop._told_bounds.clear()
    house.core._loop._unbound.put_back((execution.id,))
    house.core._loop._decision_wanted.set()
    await house.until(lambda now: now.id in house.backend.bounds, execution)
    assert not refusals


async def test_no_decision_follows_upon_another_while_one_that_was_refused_is_told_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "TELL_S", 0.05)
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda now: now.id in house.backend.bounds, execution)
    bound, refusals, hears = house.backend.bound, [True], asyncio.Event()

    async def refuse_and_hang(execution_id: str, bounds: Bounds) -> None:
        if refusals and refusals.pop():
            raise Fatal("the cluster does not allow it")
        await hears.wait()
        await bound(execution_id, bounds)

    monkeypatch.setattr(house.backend, "bound", refuse_and_hang)
    house.backend.bounds.clear()
    house.core._loop._told_bounds.clear()
    house.core._loop._unbound.put_back((execution.id,))
    await house.core._loop.decide_now()
    house.clock.ahead_s += loop.TOLD_AGAIN_S
    await house.core._loop.decide_now()
    assert house.core._loop._rest_s() > 1

    hears.set()
    await house.until(lambda now: now.id in house.backend.bounds, execution)


def test_without_a_core_an_execution_gets_no_more_than_its_lifetime_and_grace() -> None:
    """Where Jupyter servers host the core, its silence means that their kernels have gone too."""
    execution = make_execution(1, started_at=100.0, unleased_since=None)
    timed = replace(execution, lifetime=Lifetime(after_s=50.0))
    held = replace(execution, lifetime=Lifetime(together_with=LifetimeWith.KERNEL, grace_s=600.0))
    left = replace(held, unleased_since=200.0)

    def bounds_of(of: Execution, *, is_embedded: bool = True) -> tuple[float | None, float]:
        bounds = lifetimes.bounds(of, silence_s=86400.0, is_embedded=is_embedded)
        return bounds.ends_at, bounds.silence_s

    assert bounds_of(execution) == (None, 86400.0)
    assert bounds_of(timed) == (150.0, 86400.0)
    assert bounds_of(held) == (None, 600.0)
    assert bounds_of(held, is_embedded=False) == (None, 86400.0)
    assert bounds_of(left) == (800.0, 600.0)
