"""When executions go away by themselves, and when the core has to look again."""

from __future__ import annotations

import pytest

from tests.lifecycle.life import START, Life
from zoe_jupyter.lifecycle.events import (
    Accepted,
    ActivitySeen,
    LeasesChanged,
    ServiceExited,
    StopRequested,
    SuspendRequested,
    TimePassed,
)
from zoe_jupyter.lifecycle.step import next_due
from zoe_jupyter.model.application import Lifetime, LifetimeWith
from zoe_jupyter.model.execution import Outcome, State

WITH_KERNEL = Lifetime(together_with=LifetimeWith.KERNEL, grace_s=600)


def test_without_a_lifetime_it_runs_until_it_is_stopped() -> None:
    life = Life.running().happens(LeasesChanged(0), ActivitySeen(False))
    assert next_due(life.execution) is None
    assert life.later(1e9, TimePassed()).state is State.RUNNING


def test_it_ends_so_long_after_it_first_ran() -> None:
    life = Life.running(lifetime=Lifetime(after_s=3600))
    assert next_due(life.execution) == START + 3600
    assert life.later(3599.9, TimePassed()).state is State.RUNNING
    life.later(0.1, TimePassed())
    assert (life.state, life.execution.target.outcome) == (State.STOPPING, Outcome.EXPIRED)
    reason = life.execution.reason
    assert reason is not None
    assert (reason.code, reason.text) == (
        "lifetime",
        "its lifetime of 1 h is over; start it again, or with a longer `after`",
    )
    assert dict(reason.numbers) == {"after_s": 3600, "age_s": pytest.approx(3600)}


def test_waiting_in_the_queue_does_not_count() -> None:
    life = Life.of(lifetime=Lifetime(after_s=10)).happens(Accepted())
    assert next_due(life.execution) is None
    assert life.later(100, TimePassed()).state is State.QUEUED


def test_idle_time_counts_from_when_it_was_last_busy() -> None:
    life = Life.running(lifetime=Lifetime(idle_s=60)).happens(ActivitySeen(False)).later(30, ActivitySeen(False))
    assert next_due(life.execution) == START + 60
    life.happens(ActivitySeen(True))
    assert next_due(life.execution) is None
    life.happens(ActivitySeen(False)).later(60, TimePassed())
    assert life.execution.target.outcome is Outcome.EXPIRED
    assert life.execution.reason is not None
    assert life.execution.reason.code == "idle"


def test_what_is_attached_anew_is_not_idle() -> None:
    life = Life.running(lifetime=Lifetime(idle_s=60)).happens(ActivitySeen(False), LeasesChanged(1))
    assert life.execution.idle_since is None


def test_what_does_not_run_is_not_idle() -> None:
    life = Life.running(lifetime=Lifetime(idle_s=60)).happens(ActivitySeen(False)).exits("spark.head-0")
    assert (life.state, life.execution.idle_since) == (State.STARTING, None)


def test_together_with_a_kernel_it_stays_for_the_grace_and_no_longer() -> None:
    life = (
        Life.running(lifetime=WITH_KERNEL)
        .happens(LeasesChanged(1))
        .later(1000, LeasesChanged(0))
        .later(100, LeasesChanged(0))
    )
    assert next_due(life.execution) == START + 1600
    assert life.later(499, TimePassed()).state is State.RUNNING
    life.later(1, TimePassed()).all_exit()
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.EXPIRED)
    assert life.execution.reason is not None
    assert life.execution.reason.text == "no kernel has held it for 10 min; start it again, or without `with: kernel`"


def test_a_lease_within_the_grace_keeps_it() -> None:
    life = Life.running(lifetime=WITH_KERNEL).happens(LeasesChanged(0)).later(599, LeasesChanged(2))
    assert next_due(life.execution) is None
    assert life.later(1000, TimePassed()).state is State.RUNNING


def test_whoever_waits_in_the_queue_for_a_kernel_that_is_gone_ends_too() -> None:
    life = Life.of(lifetime=WITH_KERNEL).happens(LeasesChanged(0), Accepted()).later(600, TimePassed())
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.EXPIRED)


def test_a_suspension_under_way_becomes_the_end_when_the_lifetime_is_over() -> None:
    life = Life.running(lifetime=Lifetime(after_s=5)).happens(SuspendRequested()).later(5, TimePassed()).all_exit()
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.EXPIRED)


def test_the_first_that_was_due_is_the_reason() -> None:
    life = Life.running(lifetime=Lifetime(after_s=100, idle_s=10)).happens(ActivitySeen(False)).later(200, TimePassed())
    assert life.execution.reason is not None
    assert life.execution.reason.code == "idle"


def test_what_has_ended_has_nothing_due() -> None:
    life = Life.running(lifetime=Lifetime(after_s=5)).happens(StopRequested()).all_exit()
    assert next_due(life.execution) is None


def test_a_retry_that_waits_for_another_process_is_not_due() -> None:
    """Else the core would be woken again and again for nothing."""
    life = Life.running().exits("spark.worker-0").exits("spark.head-0")
    life.later(1)
    head_due = life["spark.head-0"].due_at
    assert next_due(life.execution) == head_due
    life.later(1, TimePassed()).happens(ServiceExited("spark.head-0", 2, 1))
    assert next_due(life.execution) == life["spark.head-0"].due_at > life.now
