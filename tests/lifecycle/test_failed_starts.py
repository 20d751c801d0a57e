"""A start whose core does not become ready in time is taken back whole, and tried again later and later."""

from __future__ import annotations

import pytest

from tests.lifecycle.life import HEAD, START, WORKER, Life, cluster, job, process
from zoe_jupyter.lifecycle.effects import Stop
from zoe_jupyter.lifecycle.events import ClockSet, Grown, LaunchFailed, TimePassed
from zoe_jupyter.lifecycle.failing import START_TRIES
from zoe_jupyter.model.application import Application, Restart, RestartWhen
from zoe_jupyter.model.execution import Outcome, Reason, ServiceState, State

SLOW = Reason("not_ready", "not ready after 60 s: nothing listens on port 7077")
NO_IMAGE = Reason("image", "the registry does not answer")


def failed_start(life: Life) -> Life:
    """The head is ready, its worker does not become so."""
    life.ready("spark.head-0").exits("spark.worker-0", None, SLOW)
    return life.all_exit()


def test_all_of_it_is_taken_back_and_waits_for_the_next_try() -> None:
    life = Life.placed().ready("spark.head-0")
    life.later(60).exits("spark.worker-0", None, SLOW)
    assert life.state is State.STOPPING
    assert life.actions == [Stop("spark.worker-1", 1, 10.0), Stop("spark.head-0", 1, 5.0)]

    life.all_exit()
    assert (life.state, life.services) == (State.QUEUED, {})
    assert (life.execution.failed_starts, life.execution.not_before) == (1, START + 90)
    reason = life.execution.reason
    assert reason is not None
    assert reason.code == "start_failed"
    assert "start 1 of 5 failed" in reason.text
    assert "nothing listens on port 7077" in reason.text
    assert "30 s" in reason.text
    assert reason.numbers["retry_in_s"] == 30


def test_the_delays_grow_and_the_last_failure_is_the_end_with_the_true_reason() -> None:
    life, delays = Life.placed(), []
    for _ in range(START_TRIES - 1):
        failed_start(life)
        delays.append(life.execution.not_before - life.now)
        life.later(1000, life.room())
    life.ready("spark.head-0").exits("spark.worker-0", None, SLOW)
    life.all_exit()
    assert delays == [30, 60, 120, 240]
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.FAILED)
    assert life.execution.reason is not None
    assert life.execution.reason.code == "not_ready"
    assert life.execution.reason.text.endswith("5 starts in a row have failed")


def test_a_start_that_succeeds_makes_up_for_those_that_failed() -> None:
    life = failed_start(Life.placed()).later(100)
    life.happens(life.room()).all_ready()
    assert (life.state, life.execution.failed_starts) == (State.RUNNING, 0)


def test_what_was_up_is_not_taken_back_for_a_service_that_comes_back_too_slowly() -> None:
    """It has work to lose: the restart policy decides."""
    life = Life.running().exits("spark.head-0").later(2)
    life.exits("spark.worker-0", None, SLOW)
    assert (life.state, life["spark.worker-0"].state) == (State.STARTING, ServiceState.WAITING)


def test_an_elastic_service_that_is_too_slow_holds_up_nobody() -> None:
    life = Life.placed().ready("spark.head-0").exits("spark.worker-1", None, SLOW)
    assert (life.state, life["spark.worker-1"].attempt) == (State.STARTING, 2)


def test_a_program_that_must_run_only_once_is_not_started_again() -> None:
    life = Life.placed(job()).exits("job.main-0", None, SLOW)
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.FAILED)


def test_it_is_when_that_program_was_not_started_yet() -> None:
    once = process("f.job", after=("f.head",), restart=Restart(when=RestartWhen.NEVER))
    life = Life.placed(Application("f", "F", (process("f.head"), once), {}, ends_with="f.job"))
    assert life.exits("f.head-0", None, SLOW).state is State.QUEUED


def test_what_fails_at_once_is_judged_by_its_restart_policy() -> None:
    life = Life.placed(cluster(head=Restart(attempts=0))).exits("spark.head-0", 1)
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.FAILED)


@pytest.mark.parametrize(("retry_in_s", "state"), [(5.0, State.QUEUED), (None, State.ENDED)])
def test_a_launch_that_could_succeed_later_is_tried_later(retry_in_s: float | None, state: State) -> None:
    life = Life.placed(cluster(head=Restart(attempts=0)))
    for _ in range(4):
        if life.state is State.STARTING:
            life.happens(LaunchFailed("spark.head-0", life["spark.head-0"].attempt, NO_IMAGE, retry_in_s))
            life.later(100, *([TimePassed()] if life.state is State.STARTING else []))
    assert life.state is state


def test_the_next_try_keeps_its_distance_when_the_clock_is_set() -> None:
    life = failed_start(Life.placed())
    life.now += 3600
    assert life.happens(ClockSet(3600.0)).execution.not_before == START + 30 + 3600


def test_a_worker_given_again_after_a_failed_start_counts_on() -> None:
    life = failed_start(Life.placed()).later(100)
    life.happens(life.room(elastic={})).all_ready().happens(Grown(elastic={WORKER: {"n1": 1}}))
    assert life[f"{HEAD}-0"].attempt == 2
