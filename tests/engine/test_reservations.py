"""Room that is kept for the first in the queue: given when it is time, and kept over a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from zoe_jupyter.engine import loop
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.scheduler.snapshot import Reservation, Rules
from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import ALICE, House

WHOLE = {"memory": "14GiB", "workers": 1}
HOUR_S = 3600.0


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked at again by itself: what happens, happens because of a hint or a wake-up."""
    for name in ("LOOK_S", "CALM_S", "LONGEST_SLEEP_S"):
        monkeypatch.setattr(loop, name, HOUR_S)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, FakeBackend(data_dir=tmp_path / "backend"), rules=Rules(reserve_after_s=1.0))
    house.furnish()
    await house.open()
    yield house
    await house.core.close()


async def reserved(house: House, of: Execution) -> Reservation:
    """The reservation of the plan that holds, once there is one for this execution."""
    async with asyncio.timeout(20):
        while (kept := house.core._loop.plan.reservation) is None or kept.job != of.id:  # noqa: ASYNC110 (a condition of another task)
            await asyncio.sleep(0.01)
    return kept


async def test_the_first_gets_it_when_it_has_waited_long_enough_though_nothing_else_happens(house: House) -> None:
    await house.until_state(State.RUNNING, await house.submit(parameters=WHOLE))
    waits = await house.submit(parameters=WHOLE)
    await house.until(lambda now: house.core.waiting(now.id) is not None, waits)
    assert house.core._loop.plan.reservation is None
    assert (await reserved(house, waits)).job == waits.id


async def test_it_outlives_a_restart_and_moves_only_earlier(house: House) -> None:
    runs = await house.until_state(State.RUNNING, await house.submit(parameters=WHOLE, estimate="1h"))
    waits = await house.submit(parameters=WHOLE)
    before = await reserved(house, waits)
    assert before.at == pytest.approx(house.clock() + HOUR_S, abs=60)

    house.clock.ahead_s += 2 * HOUR_S
    await house.reopen()
    after = await reserved(house, waits)
    assert after == replace(before, core={}), (
        "the estimate was too short: nobody knows any more where there will be room"
    )

    later = await house.submit("job", estimate="30m")
    await house.until(lambda now: house.core.waiting(now.id) is not None, later)
    place = house.core.waiting(later.id)
    assert place is not None
    assert (place.reason.code, place.reason.numbers["first"]) == ("reserved", waits.id)
    await house.core.stop(runs.id, ALICE)
    await house.until_state(State.RUNNING, waits)
