"""Whether this core still acts is proved by writing, right before an action."""

from __future__ import annotations

import pytest

from zoe_jupyter.engine import succession
from zoe_jupyter.engine.succession import BEAT_S, SILENT_S, Seat
from zoe_jupyter.store.errors import Fenced


class Written:
    """The store, as far as a seat uses it."""

    def __init__(self) -> None:
        self.proofs = 0
        self.is_taken = False

    async def prove(self) -> None:
        self.proofs += 1
        if self.is_taken:
            raise Fenced("another core has taken over")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the machine has run; the test lets them pass."""
    now = [1000.0]
    monkeypatch.setattr(succession, "running_s", lambda: now[0])
    return now


async def test_a_proof_holds_for_less_than_others_wait(now: list[float]) -> None:
    written, fenced = Written(), list[bool]()
    seat = Seat(written, is_shared=True, on_fenced=lambda: fenced.append(True))  # type: ignore[arg-type]
    await seat.prove()
    assert written.proofs == 0

    now[0] += BEAT_S + 0.1
    await seat.prove()
    await seat.prove()
    assert written.proofs == 1

    now[0] += SILENT_S
    written.is_taken = True
    with pytest.raises(Fenced):
        await seat.prove()
    assert fenced == [True]
    assert BEAT_S < SILENT_S / 2


async def test_a_store_that_is_nobody_elses_needs_no_proof(now: list[float]) -> None:
    written = Written()
    seat = Seat(written, is_shared=False, on_fenced=lambda: None)  # type: ignore[arg-type]
    now[0] += 1e6
    await seat.prove()
    assert written.proofs == 0
