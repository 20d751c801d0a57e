"""One user lets thousands wait: the others do not feel it, and nobody drowns in events."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from zoe_jupyter.engine import views
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.telling import MOST
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.testing.house import ADMIN, ALICE, BOB, House

WAITING = 3000
BIG = Submission(use="cluster", parameters={"workers": 1, "memory": "9GiB"})


async def let_wait(house: House, count: int) -> None:
    """One runs, and so many of the same wait for it; all but the first of them only in memory, as storing them takes a minute."""
    await house.core.submit(BIG, ALICE, key=None)
    first, _ = await house.core.submit(BIG, ALICE, key=None)
    await house.until(lambda now: now.state is State.QUEUED and house.core.waiting(now.id) is not None, first)
    executions = house.core._ledger.executions
    for number in range(count - 1):
        name = f"waiting{number}"
        executions[name] = replace(executions[first.id], id=name, name=name)


async def test_what_waits_is_not_looked_at_again_for_each_change(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await let_wait(house, WAITING)
    await house.core._loop.decide_now()
    looked_at = Counter[str]()
    real = views.job

    def job(execution: Execution, **wishes: Any) -> object:
        looked_at[execution.owner] += 1
        return real(execution, **wishes)

    monkeypatch.setattr(views, "job", job)
    for _ in range(5):
        await house.core.submit(Submission(use="job"), BOB, key=None)
        await house.core._loop.decide_now()
    assert looked_at["bob"] > 0
    assert looked_at["alice"] < 10


async def test_places_are_told_of_the_first_of_each_user_and_all_at_once(house: House) -> None:
    await let_wait(house, WAITING)
    mine, _ = await house.core.submit(BIG, BOB, key=None)
    await house.until(lambda now: house.core.waiting(now.id) is not None, mine)
    since = house.core.last_seq()
    for _ in range(3):
        await house.core._loop.decide_now()
    told = Counter[str]()
    deadline = time.monotonic() + 10
    while not told["bob"]:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
        events = [event async for event in house.core.events(ADMIN, since=0, follow=False)]
        told = Counter(event.owner for event in events if event.kind == "execution.waiting")
    assert told["alice"] <= MOST
    assert told["bob"] == 1
    assert house.core.last_seq() - since <= MOST + 1
