"""Who waits for an image, or for an engine that does not answer, waits at nobody else's cost, and can be stopped at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from unittest.mock import AsyncMock

import pytest

from zoe_jupyter.backends.base import ServiceOrder, Unreachable
from zoe_jupyter.engine import actions
from zoe_jupyter.engine.actions import LAUNCHES_AT_ONCE, LAUNCHES_OF_OWNER, LAUNCHES_ON_NODE
from zoe_jupyter.engine.door import Caller
from zoe_jupyter.model.execution import State
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.testing.fake_backend import GIB
from zoe_jupyter.testing.house import ALICE, House

SERVICE = "job.main-0"


async def test_who_waits_for_an_image_is_stopped_at_once(house: House) -> None:
    house.backend.fetching[SERVICE] = asyncio.Event()
    execution = await house.until_state(State.STARTING, await house.submit("job"))
    await house.core.stop(execution.id, ALICE)
    await house.until_state(State.ENDED, execution)
    assert house.backend.launched == []
    house.backend.fetching[SERVICE].set()
    await house.core._actions.settle(execution.id)
    assert house.backend.launched == []


async def test_however_many_wait_for_images_others_start(house: House) -> None:
    house.backend.machines = [Node("local", Resources(128_000_000, 64 * GIB))]
    house.backend.fetching[SERVICE] = asyncio.Event()
    for _ in range(2 * LAUNCHES_AT_ONCE):
        await house.until_state(State.STARTING, await house.submit("job"))
    await house.until_state(State.RUNNING, await house.submit("cluster"))
    house.backend.fetching[SERVICE].set()
    await house.until(lambda _: len(house.backend.launched) >= 2 * LAUNCHES_AT_ONCE, await house.submit("job"))


async def test_launches_that_hang_leave_turns_to_other_owners_and_on_other_machines(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch, may_go_on = house.backend.launch, asyncio.Event()

    async def hang(order: ServiceOrder, node: str) -> Mapping[str, Any]:
        if order.owner.startswith("slow"):
            await may_go_on.wait()
        return await launch(order, node)

    monkeypatch.setattr(house.backend, "launch", hang)
    house.backend.machines = [Node("local", Resources(128_000_000, 64 * GIB))]
    for _ in range(LAUNCHES_OF_OWNER + 1):
        await house.until_state(State.STARTING, await house.submit("job", caller=Caller("slow")))
    await house.until_state(State.RUNNING, await house.submit("job"))

    for number in range(LAUNCHES_ON_NODE + 1):
        caller = Caller(f"slow-{number}")
        await house.until_state(State.STARTING, await house.submit("job", caller=caller))
    house.backend.machines = [Node("local", Resources(0, 0)), Node("other", Resources(8_000_000, 8 * GIB))]
    house.backend.hint()
    elsewhere = await house.until_state(State.RUNNING, await house.submit("job"))
    assert [each.node for each in elsewhere.services.values()] == ["other"]
    may_go_on.set()
    count = LAUNCHES_OF_OWNER + LAUNCHES_ON_NODE + 4
    await house.until(lambda _: len(house.backend.launched) == count, elsewhere)


async def test_who_waits_for_a_turn_is_stopped_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    launch, may_go_on = house.backend.launch, asyncio.Event()

    async def hang(order: ServiceOrder, node: str) -> Mapping[str, Any]:
        await may_go_on.wait()
        return await launch(order, node)

    monkeypatch.setattr(house.backend, "launch", hang)
    house.backend.machines = [Node("local", Resources(128_000_000, 64 * GIB))]
    for _ in range(LAUNCHES_OF_OWNER + 1):
        last = await house.until_state(State.STARTING, await house.submit("job"))
    actions_now = house.core._actions
    await house.until(lambda _: actions_now.is_busy(last.id, SERVICE), last)
    await house.core.stop(last.id, ALICE)
    await house.until_state(State.ENDED, last)
    may_go_on.set()
    await house.until(lambda _: len(house.backend.launched) >= LAUNCHES_OF_OWNER, last)
    assert last.id not in {order.execution_id for order in house.backend.launched}


async def test_a_launch_with_a_stop_behind_it_does_not_go_on_when_the_core_is_closed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another core of the same process may act by then."""
    launch, has_begun, may_go_on = house.backend.launch, asyncio.Event(), asyncio.Event()

    async def hang(order: ServiceOrder, node: str) -> Mapping[str, Any]:
        has_begun.set()
        await may_go_on.wait()
        return await launch(order, node)

    with monkeypatch.context() as patch:
        patch.setattr(house.backend, "launch", hang)
        execution = await house.submit("job")
        await asyncio.wait_for(has_begun.wait(), 10)
        await house.core.stop(execution.id, ALICE)
        await house.core.close()
    assert [task for task in asyncio.all_tasks() if execution.id in task.get_name()] == []
    await house.open()
    await house.until_state(State.ENDED, execution)
    assert house.backend.launched == []


async def test_what_still_runs_of_an_earlier_attempt_ends_while_its_successor_waits_for_an_image(house: House) -> None:
    """And is asked once: one that does not listen has its grace, and is no reason for one look after the other."""
    house.backend.fetching[SERVICE] = asyncio.Event()
    execution = await house.until_state(State.STARTING, await house.submit("job"))
    await house.until(lambda _: bool(house.core._actions._preparing), execution)
    house.backend.auto_exit = False
    left = ServiceOrder("test", execution.id, "alice", SERVICE, 0, ("job",))
    await house.backend.launch(left, "local")
    await house.until(lambda _: bool(house.backend.stopped), execution)
    for _ in range(5):
        house.backend.hint()
        await asyncio.sleep(0.05)
    assert house.backend.stopped == [(execution.id, SERVICE, 0)]

    house.backend.exit(execution.id, SERVICE, 143)
    house.backend.fetching[SERVICE].set()
    now = await house.until_state(State.RUNNING, execution)
    assert (now.services[SERVICE].attempt, len(house.backend.stopped)) == (1, 1)


async def test_a_launch_where_nobody_answers_does_not_spin(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One engine of several refuses connections: the others answer each look, and none of them leads to a try at once."""
    tries: list[str] = []

    async def fail(order: ServiceOrder, node: str) -> None:
        tries.append(order.service)
        raise Unreachable("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(house.backend, "launch", fail)
        execution = await house.submit("job")
        await house.until(lambda _: bool(tries), execution)
        await asyncio.sleep(actions.IN_VAIN_S / 2)
        soon = len(tries)
        assert soon <= 3  # other news may bring a look
        await house.until(lambda _: len(tries) > soon, execution)
    await house.until_state(State.RUNNING, execution)


async def test_a_silence_that_is_told_in_ever_other_words_is_decided_about_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ports and times in an error are always others; the newest words are told."""
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    decided: list[None] = []
    monkeypatch.setattr(house.core._loop, "decide_now", AsyncMock(side_effect=lambda: decided.append(None)))
    for number in range(10):
        why = f"no answer at {number} s"
        monkeypatch.setattr(house.backend, "observe", AsyncMock(side_effect=Unreachable(why)))
        house.core._loop.look_soon()
        await house.until(lambda _, why=why: house.core.silence() == why, execution)
    assert len(decided) <= 2


async def test_a_launch_that_nobody_answers_for_long_says_so_until_it_is_done(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was starting for ever, and nobody could know why."""
    monkeypatch.setattr(actions, "LONG_S", 0.1)
    monkeypatch.setattr(actions, "IN_VAIN_S", 0.05)

    async def fail(order: ServiceOrder, node: str) -> Mapping[str, Any]:
        raise Unreachable("the engine e does not say whether it runs")

    with monkeypatch.context() as patch:
        patch.setattr(house.backend, "launch", fail)
        execution = await house.submit("job")
        told = await house.until(lambda now: any(each.reason for each in now.services.values()), execution)
    (service,) = told.services.values()
    assert service.reason is not None
    assert service.reason.code == "untold"
    assert service.reason.text.endswith("and is tried again: the engine e does not say whether it runs")

    now = await house.until_state(State.RUNNING, execution)
    assert [each.reason for each in now.services.values()] == [None]
