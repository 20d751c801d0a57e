"""What is to end and does not is ended by force; what lives by now in its place is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from zoe_jupyter.backends.base import Observation
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.lifecycle.effects import Force, Launch
from zoe_jupyter.model.execution import Outcome, State
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


@pytest.mark.parametrize("is_stopped", [True, False])
async def test_what_waits_for_its_lost_machine_has_ended_once_it_is_to_end(
    house: House, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    """Who stops it wants it no more, wherever it runs; who suspends it wants it again, and then only once."""
    zapp = {"zoe": 1, "kind": "zapp", "name": "waiter", "on_lost": "wait", "frameworks": [{"use": "job"}]}
    execution, _ = await house.core.submit(Submission(zapp=zapp), ALICE, key=None)
    await house.until_state(State.RUNNING, execution)
    look, looks = house.backend.observe, []

    async def observe() -> Observation:
        looks.append(True)
        return replace(await look(), services=[], unreachable={"local": "silent"}, lost={"local": "for 60 s"})

    monkeypatch.setattr(house.backend, "observe", observe)
    if is_stopped:
        await house.core.stop(execution.id, ALICE)
        ended = await house.until_state(State.ENDED, execution)
        assert ended.outcome is Outcome.STOPPED
    else:
        await house.core.suspend(execution.id, ALICE)
        looks.clear()
        await house.until(lambda _: len(looks) > 2, execution)
        assert (await house.get(execution)).state is State.STOPPING
