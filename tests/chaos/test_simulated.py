"""What the tests on a simulated machine rest on: the same users and the same faults make the same story, whatever else the machine does."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.model.errors import UserError
from zoe_jupyter.model.execution import LogEvent
from zoe_jupyter.testing.house import ALICE
from zoe_jupyter.testing.sight import read_store
from zoe_jupyter.testing.simulated_house import SimulatedHouse

STEPS = 30


@pytest.mark.parametrize("seed", range(5))
def test_one_seed_is_one_story(seed: int) -> None:
    assert story(seed) == story(seed)


def story(seed: int) -> list[LogEvent]:
    """All that happened to some users, with a core that dies and a backend that goes away."""
    chance, house = random.Random(seed), SimulatedHouse()
    try:
        for _ in range(STEPS):
            house.open()
            house.die_after(chance.choice([None, None, chance.randint(0, 60)]))
            with suppress(UserError):
                step(house, chance)
        house.open()
        house.backend.heal()
        house.pass_time(400.0)
        return read_store(house.database)[1]
    finally:
        house.close()


def step(house: SimulatedHouse, chance: random.Random) -> None:
    seen = house.backend.world.seen.values()
    alive = sorted((one.execution_id, one.service) for one in seen if one.state is not SeenState.EXITED)
    match chance.choice(["submit", "submit", "exit", "stop", "time", "network"]):
        case "submit":
            house.submit(chance.choice(["cluster", "job"]))
        case "exit" if alive:
            house.backend.exit(*chance.choice(alive), 1)
        case "stop" if living := sorted(one.id for one in house.living()):
            house.do(house.core.stop(chance.choice(living), ALICE))
        case "network":
            house.backend.is_reachable = chance.random() < 0.6
        case _:
            house.pass_time(chance.choice([0.5, 3.0, 20.0, 90.0]))
