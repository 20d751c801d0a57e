"""What ended long ago is forgotten, whatever else cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.engine import retention
from zoe_jupyter.model.errors import NotFound, Retryable
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.store import repository
from zoe_jupyter.store import retention as store_retention
from zoe_jupyter.testing.house import House


@pytest.mark.parametrize(
    "error", [Retryable("its parent stays"), Unreachable("its engine is away"), KeyError("a defect")]
)
async def test_one_that_cannot_be_cleaned_is_kept_and_keeps_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    for name in ("EXPIRE_S", "EXPIRE_AGAIN_S"):
        monkeypatch.setattr(retention, name, 0.01)
    stuck, other = [await _ended(house) for _ in range(2)]
    clean = house.backend.clean

    async def fail(execution_id: str, *, keep_logs: bool) -> None:
        if execution_id == stuck.id:
            raise error
        await clean(execution_id, keep_logs=keep_logs)

    async with _expiring(house):
        with monkeypatch.context() as patch:
            patch.setattr(house.backend, "clean", fail)
            await _until_forgotten(house, other)
            assert (await house.get(stuck)).state is State.ENDED
        await _until_forgotten(house, stuck)


async def test_none_is_forgotten_whose_logs_were_not_cleaned(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many could not be, and though more are old than one round looks at."""
    monkeypatch.setattr(retention, "EXPIRE_S", 0.01)
    monkeypatch.setattr(retention, "EXPIRE_AGAIN_S", 0.01)
    monkeypatch.setattr(repository, "_EXPIRE_BATCHES", 1)
    monkeypatch.setattr(store_retention, "BATCH", 2)
    stuck, second, third = [await _ended(house) for _ in range(3)]
    clean, cleaned = house.backend.clean, list[str]()

    async def fail(execution_id: str, *, keep_logs: bool) -> None:
        if execution_id == stuck.id:
            raise Retryable("its parent stays")
        await clean(execution_id, keep_logs=keep_logs)
        cleaned.append(execution_id)

    monkeypatch.setattr(house.backend, "clean", fail)
    async with _expiring(house):
        await _until_forgotten(house, third)
    assert cleaned == [second.id, third.id]


async def _ended(house: House) -> Execution:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    house.backend.exit(execution.id, "job.main-0", 0)
    execution = await house.until_state(State.ENDED, execution)
    await house.core._actions.settle(execution.id)
    return execution


@asynccontextmanager
async def _expiring(house: House) -> AsyncIterator[None]:
    """A year later nothing is worth being remembered."""
    core = house.core
    work = retention.expiring(
        core._ledger, store=core._store, backend=house.backend, clock=lambda: house.clock() + 365 * 86400, history_s=1.0
    )
    task = asyncio.create_task(work)
    yield
    task.cancel()


async def _until_forgotten(house: House, execution: Execution) -> None:
    with pytest.raises(NotFound):
        await house.until(lambda _: False, execution)
