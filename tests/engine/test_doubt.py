"""A commit of which nobody knows whether it was made: what follows is what the store has, not what memory believes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.test_crash import eventually
from zoe_jupyter.model.errors import Unavailable
from zoe_jupyter.model.execution import State
from zoe_jupyter.store.errors import StoreBusy
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.house import ALICE, House


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and the answer to the next commit is lost, as PostgreSQL's is that goes away in it for long."""
    is_due = [False]
    commit = Store._commit

    def commit_unanswered(self: Store, *args: Any) -> None:
        commit(self, *args)
        if is_due[0]:
            is_due[0] = False
            raise StoreBusy("the database was cut off during a commit", details={"outcome": "unknown"})

    monkeypatch.setattr(Store, "_commit", commit_unanswered)

    def cut() -> None:
        is_due[0] = True

    return cut


async def test_a_submit_that_landed_unanswered_starts(house: House, cut_off: Callable[[], None]) -> None:
    first = await house.submit("job")
    await house.until_state(State.RUNNING, first)
    cut_off()
    with pytest.raises(StoreBusy):
        await house.submit("job")
    await eventually(lambda: house.core.is_fenced)
    with pytest.raises(Unavailable, match="was cut off while something was stored"):
        await house.submit("job")
    await house.reopen()
    both = list(house.core._ledger.executions)
    assert len(both) == 2
    for execution in both:
        await house.until_state(State.RUNNING, execution)


async def test_a_stop_that_landed_unanswered_is_done(house: House, cut_off: Callable[[], None]) -> None:
    execution = await house.submit("job")
    await house.until_state(State.RUNNING, execution)
    cut_off()
    with pytest.raises(StoreBusy):
        await house.core.stop(execution.id, ALICE)
    await eventually(lambda: house.core.is_fenced)
    await house.reopen()
    await house.until_state(State.ENDED, execution)


async def test_a_decision_that_landed_unanswered_is_carried_out(house: House, cut_off: Callable[[], None]) -> None:
    whole = house.backend.machines[0].capacity.memory_bytes
    first = await house.submit("cluster", parameters={"workers": 1, "memory": f"{whole * 6 // 10 // 2**20}MiB"})
    await house.until_state(State.RUNNING, first)
    second = await house.submit("cluster", parameters={"workers": 1, "memory": f"{whole * 6 // 10 // 2**20}MiB"})
    await house.core.stop(first.id, ALICE)
    await house.until(lambda now: now.state is State.STOPPING, first)
    cut_off()
    await eventually(lambda: house.core.is_fenced)
    await house.reopen()
    await house.until_state(State.RUNNING, second)
    other = await house.submit("job")
    await house.until_state(State.RUNNING, other)
