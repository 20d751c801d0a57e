"""What is to end and does not is ended by force; what lives by now in its place is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from zoe_jupyter.backends.base import Observation, SeenState
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.lifecycle.effects import Force, Launch
from zoe_jupyter.model.execution import Execution, Outcome, Reason, State
from zoe_jupyter.testing.house import ALICE, House

SERVICE = "job.main-0"


async def is_forced(house: House, attempts: Mapping[str, int], monkeypatch: pytest.MonkeyPatch, *, stops: bool) -> bool:
    forced: list[str] = []

    async def force(execution_id: str) -> None:
        forced.append(execution_id)

    monkeypatch.setattr(house.backend, "force", force)
    house.backend.auto_exit = False
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    if stops:
        await house.core.stop(execution.id, ALICE)
    house.core._actions.carry_out(execution, [Force(attempts)])
    await house.core._actions.settle(execution.id)
    return forced == [execution.id]


async def test_what_is_being_stopped_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await is_forced(house, {SERVICE: 1}, monkeypatch, stops=True)


async def test_nothing_is_launched_while_its_execution_is_ended_by_force(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, forcing = asyncio.Event(), asyncio.Event()

    async def force(_: str) -> None:
        forcing.set()
        await may_end.wait()

    monkeypatch.setattr(house.backend, "force", force)
    house.backend.auto_exit = False
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.core.stop(execution.id, ALICE)
    house.core._actions.carry_out(execution, [Force({SERVICE: 1})])
    await forcing.wait()
    launched = list(house.backend.launched)
    monkeypatch.setattr(house.core._actions, "_wanted", lambda *_: launched.append("asked") or None)
    house.core._actions.carry_out(execution, [Launch(SERVICE, 1)])
    for _ in range(5):
        await asyncio.sleep(0)
    assert "asked" not in launched
    may_end.set()
    await house.core._actions.settle(execution.id)
    assert "asked" in launched


@pytest.mark.parametrize(("attempts", "stops"), [({SERVICE: 1}, False), ({SERVICE: 0}, True), ({}, True)])
async def test_what_runs_and_any_other_attempt_is_not(
    house: House, monkeypatch: pytest.MonkeyPatch, attempts: Mapping[str, int], stops: bool
) -> None:
    assert not await is_forced(house, attempts, monkeypatch, stops=stops)


def on_a_lost_machine(look: Observation) -> Observation:
    return replace(look, services=[], unreachable={"local": "silent"}, lost={"local": "for 60 s"})


def given_up(look: Observation) -> Observation:
    """By a backend that knows no machines; it may still run."""
    gone = {"state": SeenState.EXITED, "is_blameless": True, "reason": Reason("lost", "lost: no answer", {"node": "n"})}
    return replace(look, services=[replace(seen, **gone, may_run=True) for seen in look.services])


@pytest.mark.parametrize("observed", [on_a_lost_machine, given_up])
@pytest.mark.parametrize("is_stopped", [True, False])
async def test_what_waits_for_its_lost_machine_has_ended_once_it_is_to_end(
    house: House, monkeypatch: pytest.MonkeyPatch, is_stopped: bool, observed: Callable[[Observation], Observation]
) -> None:
    """Who stops it wants it no more, wherever it runs; who suspends it wants it again, and then only once."""
    zapp = {"zoe": 1, "kind": "zapp", "name": "waiter", "on_lost": "wait", "frameworks": [{"use": "job"}]}
    execution, _ = await house.core.submit(Submission(zapp=zapp), ALICE, key=None)
    await house.until_state(State.RUNNING, execution)
    look, looks = house.backend.observe, []

    async def observe() -> Observation:
        looks.append(True)
        return observed(await look())

    monkeypatch.setattr(house.backend, "observe", observe)
    if is_stopped:
        await house.core.stop(execution.id, ALICE)
        ended = await house.until_state(State.ENDED, execution)
        assert ended.outcome is Outcome.STOPPED
    else:
        await house.core.suspend(execution.id, ALICE)
        looks.clear()

        def has_looked(_: Execution) -> bool:
            house.core._loop.look_soon()
            return len(looks) > 2

        await house.until(has_looked, execution)
        assert (await house.get(execution)).state is State.STOPPING


@pytest.mark.parametrize("is_suspended", [True, False])
async def test_what_was_ended_and_may_still_run_is_not_started_elsewhere_before_it_has_gone(
    house: House, monkeypatch: pytest.MonkeyPatch, is_suspended: bool
) -> None:
    """Suspended, or condemned by its backend: it says for what it waits."""
    zapp = {"zoe": 1, "kind": "zapp", "name": "waiter", "on_lost": "wait", "frameworks": [{"use": "cluster"}]}
    execution, _ = await house.core.submit(Submission(zapp=zapp), ALICE, key=None)
    await house.until_state(State.RUNNING, execution)
    started, look = len(house.backend.launched), house.backend.observe

    async def observe() -> Observation:
        return given_up(await look())

    monkeypatch.setattr(house.backend, "observe", observe)
    house.backend.auto_exit = False
    if is_suspended:
        await house.core.suspend(execution.id, ALICE)
    house.core._loop.look_soon()
    told = await house.until(lambda now: all(service.reason for service in now.services.values()), execution)
    assert {str(service.reason and service.reason.text) for service in told.services.values()} == {"lost: no answer"}
    assert told.state is (State.STOPPING if is_suspended else State.RUNNING)
    assert len(house.backend.launched) == started

    monkeypatch.undo()
    for name in told.services:
        house.backend.exit(execution.id, name, None, Reason("lost", "lost"), is_blameless=True)
    if is_suspended:
        await house.until_state(State.SUSPENDED, execution)
    else:
        await house.until(lambda _: len(house.backend.launched) > started, execution)
