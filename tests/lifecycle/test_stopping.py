"""Taking executions down: for good, for later, or to begin anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lifecycle.life import OOM, START, Life, cluster, process
from zoe_jupyter.lifecycle.effects import Clean, Force, Stop
from zoe_jupyter.lifecycle.events import (
    Accepted,
    Event,
    LaunchFailed,
    Preempted,
    RestartRequested,
    ResumeRequested,
    ServiceLaunched,
    StopRequested,
    SuspendRequested,
    TimePassed,
)
from zoe_jupyter.lifecycle.step import next_due
from zoe_jupyter.model.errors import Conflict
from zoe_jupyter.model.execution import Goal, Outcome, Reason, State

WHY = Reason("stopped_by_user", "stopped by alice")


@pytest.mark.parametrize("before", [(), (Accepted(),), (Accepted(), SuspendRequested())])
def test_what_holds_no_services_ends_at_once(before: tuple[Event, ...]) -> None:
    life = Life.of().happens(*before).later(4, StopRequested(Outcome.STOPPED, WHY))
    assert (life.state, life.execution.outcome, life.execution.reason) == (State.ENDED, Outcome.STOPPED, WHY)
    assert (life.execution.ended_at, life.actions) == (START + 4, [Clean()])


def test_services_are_asked_with_their_grace_those_first_that_come_after_others() -> None:
    life = Life.running().happens(StopRequested(reason=WHY))
    assert life.actions == [
        Stop("spark.worker-0", 1, 10.0),
        Stop("spark.worker-1", 1, 10.0),
        Stop("spark.head-0", 1, 5.0),
    ]
    assert (life.state, life.kinds) == (State.STOPPING, ["execution.stopping"])
    assert life["spark.head-0"].due_at == START + 5 + 10


def test_it_has_ended_when_the_last_service_has() -> None:
    life = Life.running().happens(StopRequested(reason=WHY)).exits("spark.head-0", 143).exits("spark.worker-1", 0)
    assert life.state is State.STOPPING
    life.exits("spark.worker-0", 1)
    assert (life.state, life.actions) == (State.ENDED, [Clean()])
    assert {name: s.exit_code for name, s in life.execution.services.items()} == {
        "spark.head-0": 143,
        "spark.worker-0": 1,
        "spark.worker-1": 0,
    }


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (Reason("killed", "killed by SIGTERM", {"signal": 15}), Reason("stopped", "stopped: killed by SIGTERM", {"signal": 15})),
        (Reason("exited", "exited with 1"), Reason("stopped", "stopped: exited with 1")),
        (OOM, OOM),
        (None, None),
    ],
)  # fmt: skip
def test_however_a_program_ends_that_was_told_to_it_was_stopped(seen: Reason | None, told: Reason | None) -> None:
    """Whatever backend says so: people must not take it for a failure."""
    life = Life.running().happens(StopRequested(reason=WHY)).exits("spark.head-0", 143, seen)
    assert life["spark.head-0"].reason == told


def test_what_ends_untold_was_not_stopped() -> None:
    life = Life.running().exits("spark.worker-0", 143, Reason("killed", "killed by SIGTERM"))
    assert life["spark.worker-0"].reason == Reason("killed", "killed by SIGTERM")


def test_what_was_never_launched_is_forgotten_and_what_waits_to_be_tried_again_is_not() -> None:
    life = Life.running().exits("spark.worker-0", 1, OOM).happens(StopRequested())
    assert life["spark.worker-0"].attempt == 1
    assert life["spark.worker-0"].exit_code == 1
    assert Life.placed().happens(StopRequested()).services == {"spark.head-0": "stopping"}


def test_a_second_stop_changes_nothing_and_the_first_reason_stays() -> None:
    life = Life.running().happens(StopRequested(reason=WHY))
    before = life.execution
    assert life.happens(StopRequested(Outcome.EXPIRED, OOM)).execution is before
    assert life.all_exit().happens(StopRequested(Outcome.EXPIRED, OOM)).execution.reason == WHY


def test_what_does_not_end_in_time_is_asked_again_without_grace() -> None:
    life = Life.running().happens(StopRequested())
    assert next_due(life.execution) == START + 15
    assert life.later(14.9, TimePassed()).actions == []
    all_of_it = Force(dict.fromkeys(life.services, 1))
    assert life.later(0.1, TimePassed()).actions == [Stop("spark.head-0", 1, 0.0), all_of_it]
    assert next_due(life.execution) == START + 20
    assert life.later(10, TimePassed()).actions == [*(Stop(name, 1, 0.0) for name in life.services), all_of_it]


def test_nothing_is_forced_within_the_grace_of_another_service() -> None:
    hasty = cluster()
    life = Life.running(replace(hasty, processes=(*hasty.processes, process("spark.saver", grace_s=600.0)))).happens(
        StopRequested()
    )
    hurried = [name for name in life.services if name != "spark.saver-0"]
    assert life.later(20, TimePassed()).actions == [Stop(name, 1, 0.0) for name in hurried]
    forced = Force(dict.fromkeys(life.services, 1))
    assert life.later(580, TimePassed()).actions == [*(Stop(name, 1, 0.0) for name in hurried), forced]


def test_a_late_launch_of_what_is_being_stopped_is_still_remembered() -> None:
    """So that the core can find and stop it."""
    life = Life.placed().happens(StopRequested(), ServiceLaunched("spark.head-0", 1, {"pid": 5}))
    assert life["spark.head-0"].handle == {"pid": 5}


class TestRestart:
    def test_takes_all_services_down_and_queues_again(self) -> None:
        life = Life.running().later(9, RestartRequested())
        assert (life.state, life.execution.target.generation) == (State.STOPPING, 1)
        assert life.kinds == ["execution.restarted", "execution.stopping"]

        life.later(1).all_exit()
        assert (life.state, life.services, life.execution.queued_at) == (State.QUEUED, {}, START + 10)
        assert (life.execution.started_at, life.actions) == (START, [])

    def test_never_uses_an_attempt_again(self) -> None:
        life = Life.running().happens(RestartRequested()).all_exit()
        life.happens(life.room()).all_ready()
        assert life.launches[-3:] == [("spark.head-0", 2), ("spark.worker-0", 2), ("spark.worker-1", 2)]

    def test_under_way_already_stays_one(self) -> None:
        life = Life.running().happens(RestartRequested())
        before = life.execution
        assert life.happens(RestartRequested(), ResumeRequested()).execution is before

    def test_of_what_holds_nothing_that_runs_queues_at_once(self) -> None:
        life = Life.placed().happens(LaunchFailed("spark.head-0", 1, OOM, 5.0), RestartRequested())
        assert (life.state, life.execution.spent_attempts) == (State.QUEUED, {"spark.head-0": 1})

    def test_becomes_a_stop_when_somebody_wants_that(self) -> None:
        life = Life.running().happens(RestartRequested(), StopRequested(reason=WHY)).all_exit()
        assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.STOPPED)


class TestSuspend:
    def test_takes_the_services_away_and_keeps_the_rest(self) -> None:
        life = Life.running().happens(SuspendRequested()).all_exit()
        assert (life.state, life.services, life.actions) == (State.SUSPENDED, {}, [])
        assert life.execution.target.goal is Goal.SUSPEND

    def test_of_what_waits_is_at_once(self) -> None:
        assert Life.of().happens(SuspendRequested()).state is State.SUSPENDED

    def test_ends_with_resume(self) -> None:
        life = Life.running().happens(SuspendRequested()).all_exit().later(30, ResumeRequested())
        assert (life.state, life.execution.queued_at) == (State.QUEUED, START + 30)
        assert life.happens(life.room()).all_ready().state is State.RUNNING

    def test_can_be_taken_back_on_the_way(self) -> None:
        assert Life.running().happens(SuspendRequested(), ResumeRequested()).all_exit().state is State.QUEUED

    def test_under_way_can_become_a_restart(self) -> None:
        life = Life.running().happens(SuspendRequested(), RestartRequested())
        assert (life.execution.target.generation, life.all_exit().state) == (1, State.QUEUED)

    def test_replaces_a_restart_under_way(self) -> None:
        assert Life.running().happens(RestartRequested(), SuspendRequested()).all_exit().state is State.SUSPENDED

    def test_twice_is_once(self) -> None:
        life = Life.running().happens(SuspendRequested())
        before = life.execution
        assert life.happens(SuspendRequested()).execution is before


def test_what_is_being_stopped_cannot_be_kept() -> None:
    life = Life.running().happens(StopRequested())
    for event in (SuspendRequested(), ResumeRequested(), RestartRequested()):
        with pytest.raises(Conflict, match="start a new one when it has ended"):
            life.happens(event)


def test_who_is_preempted_waits_again_and_knows_why() -> None:
    why = Reason("preempted", "made room for a deadline")
    life = Life.running().later(5, Preempted(why)).all_exit()
    assert (life.state, life.execution.reason, life.execution.queued_at) == (State.QUEUED, why, START + 5)
    assert life.execution.target.reason is None

    assert life.happens(life.room()).execution.reason is None
