"""Who waits for an image waits at nobody else's cost, and can be stopped at once."""

from __future__ import annotations

import asyncio

from zoe_jupyter.engine.actions import LAUNCHES_AT_ONCE
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
    house.backend.machines = [Node("local", Resources(64_000_000, 64 * GIB))]
    house.backend.fetching[SERVICE] = asyncio.Event()
    for _ in range(2 * LAUNCHES_AT_ONCE):
        await house.until_state(State.STARTING, await house.submit("job"))
    await house.until_state(State.RUNNING, await house.submit("cluster"))
    house.backend.fetching[SERVICE].set()
    await house.until(lambda _: len(house.backend.launched) >= 2 * LAUNCHES_AT_ONCE, await house.submit("job"))
