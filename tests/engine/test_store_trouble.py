"""A store that takes nothing now: what cannot be stored is told from memory, and all goes on once it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zoe_jupyter.engine import ledger
from zoe_jupyter.model.execution import State
from zoe_jupyter.store.errors import StoreError, StoreFull, StoreUnwritable
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.house import ALICE, House

ERRORS = (StoreFull("no room is left; make room"), StoreUnwritable("the disk is read-only now"))


def failing(error: StoreError) -> Callable[..., Any]:
    def save(*_: object, **__: object) -> Any:
        raise error

    return save


@pytest.mark.parametrize("error", ERRORS)
async def test_who_waits_is_told_and_starts_by_itself_when_it_can_be_stored(
    house: House, monkeypatch: pytest.MonkeyPatch, error: StoreError
) -> None:
    execution = await house.submit("job", begin="+1s")
    with monkeypatch.context() as broken:
        broken.setattr(Store, "save", failing(error))
        await house.until(lambda _: house.core.trouble() is not None, execution)
        waiting = house.core.waiting(execution.id)
        assert waiting is not None
        assert (waiting.reason.code, waiting.reason.text) == (error.reason, error.message)
    await house.until_state(State.RUNNING, execution)
    assert house.core.trouble() is None


async def test_a_write_that_failed_long_ago_is_told_of_no_more(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    with monkeypatch.context() as broken:
        broken.setattr(Store, "save", failing(ERRORS[0]))
        broken.setattr(ledger, "TOLD_S", -1.0)
        with pytest.raises(StoreFull):
            await house.core.stop(execution.id, ALICE)
        assert house.core.trouble() is None
