"""A commit of which nobody knows whether it was made: what follows is what the store has, not what memory believes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.test_crash import eventually
from zoe_jupyter.model.errors import Unavailable
from zoe_jupyter.model.execution import Outcome, State
from zoe_jupyter.store.errors import StaleWrite, StoreBusy
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.house import ALICE, House


class Cut:
    """The answer to one commit is lost, as PostgreSQL's is that goes away in it for long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def next(self, method: str, *, concerns: Callable[..., bool] = lambda *_: True) -> None:
        """Of the next call of that method of the store that ``concerns`` says yes to."""
        plain, is_due = getattr(Store, method), [True]

        def unanswered(store: Store, *args: Any, **kwargs: Any) -> Any:
            done = plain(store, *args, **kwargs)
            if is_due[0] and concerns(*args):
                is_due[0] = False
                raise StoreBusy("the database was cut off during a commit", details={"outcome": "unknown"})
            return done

        self._monkeypatch.setattr(Store, method, unanswered)


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Cut:
    return Cut(monkeypatch)


async def test_a_submit_that_landed_unanswered_starts(house: House, cut: Cut) -> None:
    cut.next("submit_all")
    with pytest.raises(StoreBusy):
        await house.submit("job")
    await eventually(lambda: house.core.is_fenced)
    with pytest.raises(Unavailable, match="was cut off while something was stored"):
        await house.submit("job")
    await house.reopen()
    (execution,) = house.core._ledger.executions
    assert (await house.until_state(State.RUNNING, execution)).id == execution


async def test_a_stop_that_landed_unanswered_is_done(house: House, cut: Cut) -> None:
    execution = await house.submit("job")
    await house.until_state(State.RUNNING, execution)
    cut.next("save", concerns=has(State.STOPPING))
    with pytest.raises(StoreBusy):
        await house.core.stop(execution.id, ALICE)
    await eventually(lambda: house.core.is_fenced)
    await house.reopen()
    assert (await house.until_state(State.ENDED, execution)).outcome is Outcome.STOPPED


async def test_a_decision_that_landed_unanswered_is_carried_out(house: House, cut: Cut) -> None:
    cut.next("save", concerns=has(State.STARTING))
    execution = await house.submit("job")
    await eventually(lambda: house.core.is_fenced)
    assert not house.backend.launched
    await house.reopen()
    await house.until_state(State.RUNNING, execution)
    other = await house.submit("job")
    await house.until_state(State.RUNNING, other)
    assert len(house.backend.launched) == 2


async def test_what_was_written_behind_the_back_of_memory_is_read_before_anything_else_is_done(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    house.core._ledger._store.save([replace(execution, version=execution.version + 1, name="other")], [])
    with pytest.raises(StaleWrite):
        await house.core.stop(execution.id, ALICE)
    await eventually(lambda: house.core.is_fenced)
    await house.reopen()
    assert house.core._ledger.executions[execution.id].name == "other"
    await house.core.stop(execution.id, ALICE)
    await house.until_state(State.ENDED, execution)


def has(state: State) -> Callable[..., bool]:
    """Whether an execution in that state is among what is stored."""
    return lambda executions, *_: any(one.state is state for one in executions)
