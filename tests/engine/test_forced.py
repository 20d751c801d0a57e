"""What is to end and does not is ended by force; what lives by now in its place is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from zoe_jupyter.lifecycle.effects import Force, Launch
from zoe_jupyter.model.execution import State
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
