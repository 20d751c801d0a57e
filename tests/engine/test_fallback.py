"""Where a decision fails, nobody is left without a start, or at least not without a reason."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest

from zoe_jupyter.engine import loop
from zoe_jupyter.engine.fallback import WithFallback
from zoe_jupyter.model.execution import State
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.snapshot import Job, Snapshot
from zoe_jupyter.testing.house import ADMIN, House

WAITING = [Job(name, "ada", (), queued_at=at, run_s=run_s) for name, at, run_s in (("b", 2.0, 1.0), ("a", 1.0, 9.0))]


class Failing:
    """Of the kind that divides by what it has not looked at."""

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[str]:
        return sorted((job.id for job in waiting), key=lambda _: 1 / 0)


class Confused:
    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Any:
        return waiting


class Silent:
    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Any:
        return None


def order(policy: WithFallback) -> Sequence[str]:
    return policy.order(WAITING, Snapshot((), tuple(WAITING)), 3.0)


def test_a_policy_that_works_is_asked() -> None:
    policy = WithFallback("sjf", Sjf())
    assert (order(policy), policy.assumes, policy.told) == (["b", "a"], Sjf.assumes, "sjf")


@pytest.mark.parametrize("kind", [Failing, Confused, Silent])
def test_whatever_is_wrong_with_one_the_first_go_first_and_it_is_told_once(
    kind: Any, caplog: pytest.LogCaptureFixture
) -> None:
    policy = WithFallback("mine", kind())
    with caplog.at_level(logging.ERROR):
        assert [order(policy) for _ in range(3)] == [["a", "b"]] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "the policy 'mine' failed; those that wait are served as by fifo"
    ]
    assert policy.told == "mine (it fails: those that wait are served as by fifo; see the log)"


async def test_executions_start_all_the_same(house: House) -> None:
    await house.core.close()
    house.policy = f"{__name__}:Failing"
    await house.open()
    await house.until_state(State.RUNNING, await house.submit("job"))
    assert house.core.policy().startswith(f"{__name__}:Failing (it fails")
    assert await house.core.what_if("", {}, ADMIN)


async def test_who_waits_for_a_decision_that_fails_is_told_and_starts_once_it_does_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide(*_: object) -> Any:
        raise IndexError("list index out of range")

    monkeypatch.setattr(loop, "RETRY_S", 0.05)
    with monkeypatch.context() as broken:
        broken.setattr(loop, "decide", decide)
        execution = await house.submit("job")
        await house.until(lambda _: house.core.trouble() is not None, execution)
        waiting = house.core.waiting(execution.id)
        assert waiting is not None
        assert waiting.reason.code == "decision_failed"
    await house.until_state(State.RUNNING, execution)
    assert house.core.trouble() is None
