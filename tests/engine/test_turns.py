"""When it is whose turn: priorities, estimates, a begin in the future, failed starts, machines that are emptied."""

from __future__ import annotations

import asyncio

import pytest

from zoe_jupyter.engine import loop
from zoe_jupyter.engine.wishes import read_moment
from zoe_jupyter.model.errors import Forbidden, InvalidDescription
from zoe_jupyter.model.execution import Reason, State
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.testing.fake_backend import GIB
from zoe_jupyter.testing.house import ADMIN, ALICE, House, running

NOON = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at again by itself: what happens, happens because of a hint or a wake-up."""
    for name in ("LOOK_S", "CALM_S", "LONGEST_SLEEP_S"):
        monkeypatch.setattr(loop, name, 3600.0)


async def test_the_class_is_the_submissions_else_batch_and_an_attach_is_interactive(house: House) -> None:
    found = [
        await house.submit("job"),
        await house.submit("job", priority="filler"),
        await house.submit("job", lease="kernel"),
    ]
    assert [(e.priority, e.priority_class) for e in found] == [(100, "batch"), (50, "filler"), (200, "interactive")]
    with pytest.raises(InvalidDescription, match="'vip' is no priority class; there are interactive, batch, filler"):
        await house.submit("job", priority="vip")


async def test_the_higher_class_goes_first(house: House) -> None:
    whole = {"memory": "14GiB", "workers": 1}
    first = await house.until_state(State.RUNNING, await house.submit(parameters=whole))
    later = await house.submit(parameters=whole)
    urgent = await house.submit(parameters=whole, priority="interactive")
    await house.core.stop(first.id, ALICE)
    await house.until_state(State.RUNNING, urgent)
    assert (await house.get(later)).state is State.QUEUED


async def test_defect_6_of_the_original_what_ended_made_room_only_a_minute_later(house: House) -> None:
    """Nothing is looked at by itself here: the end alone wakes the decision."""
    whole = {"memory": "14GiB", "workers": 1}
    first = await house.until_state(State.RUNNING, await house.submit(parameters=whole))
    second = await house.submit(parameters=whole)
    await house.core.stop(first.id, ALICE)
    await house.until_state(State.RUNNING, second)


async def test_defect_8_of_the_original_who_was_stopped_while_it_waited_was_started_all_the_same(house: House) -> None:
    whole = {"memory": "14GiB", "workers": 1}
    first = await house.until_state(State.RUNNING, await house.submit(parameters=whole))
    stopped, suspended, last = [await house.submit(parameters=whole) for _ in range(3)]
    await house.core.stop(stopped.id, ALICE)
    await house.core.suspend(suspended.id, ALICE)
    await house.core.stop(first.id, ALICE)
    await house.until_state(State.RUNNING, last)
    assert {order.execution_id for order in house.backend.launched} == {first.id, last.id}


async def test_what_nobody_estimates_is_assumed_from_what_the_entry_took_before(house: House) -> None:
    run = await house.until_state(State.RUNNING, await house.submit("job"))
    assert (run.estimate_s, run.is_assumed) == (None, False)
    house.clock.ahead_s += 120
    house.backend.exit(run.id, "job.main-0", 0)
    await house.until_state(State.ENDED, run)

    second = await house.submit("job")
    assert second.estimate_s == pytest.approx(120, abs=10)
    assert second.is_assumed
    said = await house.submit("job", estimate="2h")
    assert (said.estimate_s, said.is_assumed) == (7200.0, False)
    await house.reopen()
    assert (await house.submit("job")).is_assumed


async def test_it_does_not_begin_before_its_time_and_then_at_once(house: House) -> None:
    execution = await house.submit("job", begin="+1s")
    await house.until(lambda now: house.core.waiting(now.id) is not None, execution)
    waiting = house.core.waiting(execution.id)
    assert waiting is not None
    assert house.backend.launched == []
    await house.until_state(State.RUNNING, execution)


async def test_a_failed_start_gives_its_room_back_and_is_tried_again_by_itself(house: House) -> None:
    house.backend.auto_ready = False
    execution = await house.submit()
    await house.until(lambda now: len(house.backend.launched) == 1, execution)
    house.backend.exit(execution.id, "cluster.head-0", None, Reason("not_ready", "nothing listens on its port"))

    waits = await house.until_state(State.QUEUED, execution)
    assert house.backend.alive() == []
    await house.until(lambda now: house.core.waiting(now.id) is not None, execution)
    waiting = house.core.waiting(execution.id)
    assert waiting is not None
    assert waiting.reason.code == "start_failed"
    assert waits.failed_starts == 1
    house.backend.auto_ready = True
    house.clock.ahead_s += 31
    await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until_state(State.RUNNING, execution)


async def test_a_new_machine_is_used_as_soon_as_the_backend_tells(house: House) -> None:
    whole = {"memory": "14GiB", "workers": 1}
    await house.until_state(State.RUNNING, await house.submit(parameters=whole))
    second = await house.submit(parameters=whole)
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)
    house.backend.machines.append(Node("more", Resources(8_000_000, 16 * GIB)))
    house.backend.hint()
    await house.until_state(State.RUNNING, second)


async def test_a_drained_machine_is_emptied_and_nothing_new_comes(house: House) -> None:
    house.backend.machines.append(Node("other", Resources(8_000_000, 16 * GIB)))
    house.backend.hint()
    execution = await house.until(lambda now: len(running(now)) == 3, await house.submit())
    node = next(iter(execution.services.values())).node
    use = await house.core.drain_node(node, ADMIN, begins=None)
    assert use.drains_at is not None

    moved = await house.until(
        lambda now: len(running(now)) == 3 and all(s.node != node for s in now.services.values()), execution
    )
    assert moved.state is State.RUNNING
    assert not next(use for use in await house.core.cluster() if use.node.name == node).node.is_enabled
    back = await house.core.set_node_enabled(node, ADMIN, is_enabled=True)
    assert (back.node.is_enabled, back.drains_at) == (True, None)


async def test_a_drain_at_a_time_begins_at_that_time(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.core.drain_node("local", ADMIN, begins="+1s")
    assert (await house.core.cluster())[0].node.is_enabled
    async with asyncio.timeout(20):
        while (await house.core.cluster())[0].node.is_enabled:  # noqa: ASYNC110 (a condition of another task)
            await asyncio.sleep(0.01)
    assert (await house.get(execution)).state is State.RUNNING, "what must run only once is let end"
    with pytest.raises(Forbidden):
        await house.core.drain_node("local", ALICE, begins=None)


async def test_who_would_be_in_the_way_of_a_drain_is_not_started_there(house: House) -> None:
    await house.core.drain_node("local", ADMIN, begins="+1h")
    long = await house.submit("job", estimate="2h")
    await house.until_state(State.RUNNING, await house.submit("job", estimate="30m"))
    await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda now: house.core.waiting(now.id) is not None, long)
    waiting = house.core.waiting(long.id)
    assert waiting is not None
    assert waiting.reason.code == "node_closes"
    await house.core.set_node_enabled("local", ADMIN, is_enabled=True)
    await house.until_state(State.RUNNING, long)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (NOON + 5, NOON + 5),
        ("+2h", NOON + 7200),
        ("2027-01-15T08:00:00+00:00", NOON),
    ],
)
def test_moments_are_read(said: object, at: float) -> None:
    assert read_moment(said, NOON) == at


def test_a_time_of_day_is_the_next_one() -> None:
    for said in ("00:00", "7:30", "23:59"):
        assert 0 <= read_moment(said, NOON) - NOON <= 86400 + 3600


async def test_a_moment_that_is_none_is_refused(house: House) -> None:
    for said in ("soon", "25:00", True, "+2 parsecs", float("inf")):
        with pytest.raises(InvalidDescription, match="is no moment"):
            await house.submit("job", begin=said)
