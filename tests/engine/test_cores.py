"""Services share the free cores of their node, where the backend holds them to their cores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zoe_jupyter.engine import loop
from zoe_jupyter.model.errors import Fatal, Retryable
from zoe_jupyter.model.execution import State
from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import ALICE, House

CORE = 1_000_000


class Stubborn(FakeBackend):
    """Refuses to change cores as often as told."""

    refusals: list[Exception]

    async def set_cores(self, execution_id: str, service: str, attempt: int, *, microcores: int) -> None:
        if self.refusals:
            raise self.refusals.pop()
        await super().set_cores(execution_id, service, attempt, microcores=microcores)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """One node of 8 cores."""
    backend = Stubborn(data_dir=tmp_path / "backend")
    backend.changes_cores, backend.refusals = True, []
    house = House(tmp_path, backend)
    house.furnish()
    await house.open()
    yield house
    await house.core.close()


def told(house: House) -> dict[str, float]:
    """Cores of the living services."""
    alive = house.backend.alive()
    return {service: cores / CORE for (_, service, _), cores in house.backend.cores.items() if service in alive}


async def test_they_get_more_when_others_leave_and_fewer_when_others_come(house: House) -> None:
    first = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda _: told(house) == {"job.main-0": 8.0}, first)

    second = await house.until_state(State.RUNNING, await house.submit(parameters={"workers": 1}))
    shares = {"job.main-0": 2.8, "cluster.head-0": 2.3, "cluster.worker-0": 2.8}
    await house.until(lambda _: told(house) == shares, second)

    await house.core.stop(second.id, ALICE)
    await house.until(lambda _: told(house) == {"job.main-0": 8.0}, first)


async def test_what_has_not_changed_is_not_told_again(house: House) -> None:
    first = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda _: told(house) == {"job.main-0": 8.0}, first)
    calls = house.backend.core_calls
    waits = await house.submit("job", begin="+1h")
    await house.until(lambda now: house.core.waiting(now.id) is not None, waits)
    assert house.backend.core_calls == calls


async def test_a_new_core_tells_once_more(house: House) -> None:
    first = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda _: bool(told(house)), first)
    house.backend.cores.clear()
    await house.reopen()
    await house.until(lambda _: told(house) == {"job.main-0": 8.0}, first)


@pytest.mark.parametrize("error", [Retryable("the engine is busy"), Fatal("the engine will not")])
async def test_a_refusal_holds_up_nobody(house: House, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(loop, "CALM_S", 0.05)
    house.backend.refusals.append(error)  # type: ignore[attr-defined]
    first = await house.until_state(State.RUNNING, await house.submit("job"))
    second = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.until(lambda _: sorted(house.backend.cores.values()) == [4 * CORE, 4 * CORE], second)
    assert (await house.get(first)).state is State.RUNNING


async def test_where_the_backend_cannot_nobody_is_told(tmp_path: Path) -> None:
    house = House(tmp_path, FakeBackend(data_dir=tmp_path / "backend"))
    house.furnish()
    await house.open()
    await house.until_state(State.RUNNING, await house.submit("job"))
    assert house.backend.core_calls == 0
    await house.core.close()
