"""What follows when services end by themselves, or cannot be started."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lifecycle.life import HEAD, LOST, OOM, START, WORKER, Life, cluster, job, process
from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.effects import Clean, Launch, Stop
from zoe_jupyter.lifecycle.events import Grown, LaunchFailed, ServiceExited, StopRequested, TimePassed
from zoe_jupyter.lifecycle.step import next_due
from zoe_jupyter.model.application import Application, Restart, RestartWhen
from zoe_jupyter.model.execution import Outcome, Reason, State


def test_a_core_service_that_dies_is_started_again_after_its_delay() -> None:
    life = Life.running().exits("spark.head-0", 1, OOM)
    head = life["spark.head-0"]
    assert (head.attempt, head.failures, head.due_at, head.handle, head.reason) == (2, 1, START + 2, {}, OOM)
    assert (life.state, life.execution.started_at) == (State.STARTING, START)
    assert next_due(life.execution) == START + 2

    assert life.later(1.9, TimePassed()).actions == []
    assert life.later(0.1, TimePassed()).actions == [Launch("spark.head-0", 2)]
    assert life.ready("spark.head-0").state is State.RUNNING
    assert (life["spark.head-0"].reason, life.execution.started_at) == (None, START)


def test_each_failure_in_a_row_doubles_the_delay_up_to_a_minute() -> None:
    life = Life.placed(cluster(head=Restart(attempts=40, delay_s=2.0)))
    delays = []
    for _ in range(35):
        life.exits("spark.head-0")
        delays.append(life["spark.head-0"].due_at - life.now)
        life.later(60, TimePassed())
    assert delays == pytest.approx([2, 4, 8, 16, 32, *[60] * 30])


def test_when_the_attempts_are_used_up_the_execution_fails_and_says_why() -> None:
    life = Life.running(cluster(restart=Restart(attempts=2, delay_s=1.0)))
    for _ in range(2):
        life.exits("spark.worker-0", 137, OOM).later(60, TimePassed()).all_ready()
    life.exits("spark.worker-0", 137, OOM)

    reason = life.execution.target.reason
    assert reason is not None
    assert reason.code == "out_of_memory"
    assert reason.text == (
        "worker-0 ended with exit code 137 (out of memory: used 2.1 GiB of 2 GiB) after 3 tries in a row; its log tells more"
    )
    assert dict(reason.numbers) == {
        "used_bytes": 2_254_857_830,
        "service": "spark.worker-0",
        "attempt": 3,
        "failures": 3,
        "exit_code": 137,
    }
    assert life.actions == [Stop("spark.worker-1", 1, 10.0), Stop("spark.head-0", 1, 5.0)]

    life.all_exit()
    assert (life.state, life.execution.outcome, life.execution.reason) == (State.ENDED, Outcome.FAILED, reason)
    assert life["spark.worker-0"].exit_code == 137


def test_ten_good_minutes_make_up_for_earlier_failures() -> None:
    life = Life.running(cluster(restart=Restart(attempts=1, delay_s=1.0)))
    life.exits("spark.worker-0").later(1, TimePassed()).all_ready()
    life.later(600).exits("spark.worker-0")
    assert (life.state, life["spark.worker-0"].failures) == (State.STARTING, 1)

    life.later(1, TimePassed()).all_ready().later(599).exits("spark.worker-0")
    assert life.state is State.STOPPING


def test_what_was_not_its_fault_costs_no_try() -> None:
    port_taken = Reason("port_taken", "port 7077 was taken")
    life = Life.placed(cluster(head=Restart(when=RestartWhen.NEVER)))
    for attempt in (1, 2, 3, 4):
        assert life["spark.head-0"].attempt == attempt
        life.exits("spark.head-0", 1, port_taken, is_blameless=True)
        assert (life["spark.head-0"].failures, life["spark.head-0"].due_at) == (0, life.now + 2)
        life.later(2, TimePassed())
    assert life.all_ready().state is State.RUNNING


def test_a_core_service_that_ends_well_although_nothing_says_it_may_fails_the_execution() -> None:
    life = Life.running().exits("spark.head-0", 0)
    reason = life.execution.target.reason
    assert reason is not None
    assert (reason.code, reason.text) == ("core_exited", "head-0 ended with exit code 0, although the others need it")
    assert life.all_exit().execution.outcome is Outcome.FAILED


def test_always_means_also_after_a_good_end() -> None:
    life = Life.running(cluster(head=Restart(when=RestartWhen.ALWAYS))).exits("spark.head-0", 0)
    assert life["spark.head-0"].attempt == 2


def test_an_elastic_service_that_ends_well_is_one_less_from_then_on() -> None:
    """Else the scheduler would start it anew at once."""
    life = Life.running(cluster(elastic=2)).exits("spark.worker-2", 0)
    assert life.state is State.RUNNING
    assert "spark.worker-2" not in life.services
    assert life.execution.target.elastic == {WORKER: 1}
    assert life.kinds == ["service.exited", "service.removed"]


def test_an_elastic_service_that_keeps_failing_is_given_up_alone() -> None:
    life = Life.running(cluster(restart=Restart(attempts=1, delay_s=1.0)))
    life.exits("spark.worker-1", 1, OOM).later(1, TimePassed()).all_ready().exits("spark.worker-1", 1, OOM)
    assert (life.state, "spark.worker-1" in life.services) == (State.RUNNING, False)
    assert life.execution.target.elastic == {WORKER: 0}


def test_a_number_given_again_counts_attempts_on() -> None:
    """A backend knows services by name and attempt; no pair is ever used twice."""
    life = Life.running().exits("spark.worker-1", 0).happens(Grown(elastic={WORKER: {"n1": 1}}))
    assert life.actions == [Launch("spark.worker-1", 2)]


class TestLost:
    """A service whose machine may be gone."""

    def test_gives_its_place_back_when_it_had_settled(self) -> None:
        life = Life.running().later(60).exits("spark.worker-1", None, LOST, is_blameless=True)
        assert (life.state, "spark.worker-1" in life.services) == (State.RUNNING, False)
        assert life.execution.target.elastic == {}

    def test_core_is_placed_anew_and_counts_on(self) -> None:
        life = Life.running().later(60).exits("spark.head-0", None, LOST, is_blameless=True)
        assert life.state is State.STARTING
        life.happens(Grown(core={HEAD: {"n2": 1}}))
        assert (life["spark.head-0"].node, life.actions) == ("n2", [Launch("spark.head-0", 2)])
        assert life.all_ready().state is State.RUNNING

    def test_soon_after_its_start_waits_like_any_other(self) -> None:
        life = Life.running().later(59).exits("spark.worker-1", None, LOST, is_blameless=True)
        assert (life["spark.worker-1"].attempt, life["spark.worker-1"].due_at) == (2, life.now + 2)

    def test_by_its_own_fault_counts_as_a_failure(self) -> None:
        life = Life.running().later(60).exits("spark.worker-1", None, LOST)
        assert life["spark.worker-1"].failures == 1

    def test_in_a_job_that_must_run_only_once_ends_it_as_lost(self) -> None:
        life = Life.running(job()).later(60).exits("job.main-0", None, LOST, is_blameless=True)
        assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.LOST)
        assert life.execution.reason is not None
        assert life.execution.reason.text == "main-0 ended (its machine was restarted); its log tells more"


def test_what_its_backend_ended_while_no_core_was_heard_from_has_expired() -> None:
    silent = Reason("expired", "no Zoe was heard from for a day")
    life = Life.running().exits("spark.worker-1", 143, silent).all_exit(143)
    assert (life.state, life.execution.outcome, life.execution.reason) == (State.ENDED, Outcome.EXPIRED, silent)


class TestJob:
    def test_succeeds_with_its_last_process_and_cleans(self) -> None:
        life = Life.running(job()).later(3).exits("job.main-0", 0)
        assert (life.state, life.execution.outcome, life.execution.ended_at) == (
            State.ENDED,
            Outcome.SUCCEEDED,
            START + 3,
        )
        assert life.actions == [Clean()]
        assert life.kinds == ["service.exited", "execution.ended"]

    def test_may_end_before_it_was_seen_ready(self) -> None:
        assert Life.placed(job()).exits("job.main-0", 0).execution.outcome is Outcome.SUCCEEDED

    def test_fails_with_its_exit_code(self) -> None:
        life = Life.running(job()).exits("job.main-0", 3)
        assert (life.execution.outcome, life["job.main-0"].exit_code) == (Outcome.FAILED, 3)
        assert life.execution.reason is not None
        assert life.execution.reason.code == "exited"
        assert life.execution.reason.text == "main-0 ended with exit code 3; its log tells more"

    def test_is_tried_again_where_its_policy_says_so(self) -> None:
        life = Life.running(job(when=RestartWhen.ON_FAILURE)).exits("job.main-0", 3).later(1, TimePassed())
        assert life.exits("job.main-0", 3).execution.outcome is Outcome.FAILED

    def test_of_several_tasks_succeeds_with_the_last_of_them(self) -> None:
        """Those that are done need no room any more, and the others run on."""
        life = Life.running(job(tasks=2)).exits("job.main-1", 0)
        process = life.execution.application.processes[0]
        assert (life.state, life.services["job.main-1"]) == (State.RUNNING, "ended")
        assert counts.wanted_core(life.execution, process) == 1
        assert life.exits("job.main-0", 0).execution.outcome is Outcome.SUCCEEDED

    def test_elastic_tasks_come_and_go(self) -> None:
        life = Life.running(job(elastic=1)).exits("job.main-1", 0)
        assert (life.state, life.services) == (State.RUNNING, {"job.main-0": "running"})

    def test_ends_the_others_too(self) -> None:
        life = Life.running(cluster()).execution
        application = life.application
        ends = Life.running(type(application)("s", "S", application.processes, {}, ends_with=WORKER)).exits(
            "spark.worker-0", 0
        )
        assert ends.services == {"spark.head-0": "stopping", "spark.worker-0": "ended", "spark.worker-1": "stopping"}
        assert ends.all_exit(143).execution.outcome is Outcome.SUCCEEDED


class TestLaunchFailed:
    BUSY = Reason("backend_retryable", "busy")

    def fails(self, life: Life, *, retry_in_s: float | None) -> Life:
        return life.happens(LaunchFailed("spark.head-0", life["spark.head-0"].attempt, self.BUSY, retry_in_s))

    def test_is_tried_again_when_that_makes_sense(self) -> None:
        life = self.fails(Life.placed(), retry_in_s=300.0)
        assert (life["spark.head-0"].attempt, next_due(life.execution)) == (2, START + 300)

    def test_a_few_times_even_where_a_program_may_not_fail(self) -> None:
        life = Life.placed(cluster(head=Restart(when=RestartWhen.NEVER, attempts=0)))
        for _ in range(3):
            self.fails(life, retry_in_s=1.0).later(1, TimePassed())
        self.fails(life, retry_in_s=1.0)
        assert (life.execution.outcome, life.launches) == (Outcome.FAILED, [("spark.head-0", n) for n in (1, 2, 3, 4)])

    def test_for_good_fails_the_execution(self) -> None:
        life = self.fails(Life.placed(), retry_in_s=None)
        assert life.execution.reason is not None
        assert life.execution.reason.text == "head-0 could not be started: busy"
        assert (life.state, life.services) == (State.ENDED, {"spark.head-0": "ended"})

    def test_of_what_is_stopped_meanwhile_is_its_end(self) -> None:
        life = self.fails(Life.placed().happens(StopRequested()), retry_in_s=1.0)
        assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.STOPPED)


class TestBusy:
    """What runs services cannot take one now: a control plane is upgraded, or a quota is used up."""

    def refuses(self, life: Life, name: str, *, delay_s: float = 2.0) -> Life:
        busy = Reason("backend_busy", "the cluster asks to try again")
        failed = LaunchFailed(name, life[name].attempt, busy, retry_in_s=delay_s, is_blameless=True)
        return life.happens(failed)

    def again(self, life: Life) -> float:
        """How long until the next try, which then begins."""
        due_at = next_due(life.execution)
        assert due_at is not None
        wait_s = due_at - life.now
        life.later(wait_s, TimePassed())
        return wait_s

    def test_what_runs_waits_for_it_as_long_as_it_takes_and_asks_less_and_less_often(self) -> None:
        life = Life.running(cluster(restart=Restart(attempts=0))).exits("spark.worker-0", 1, LOST, is_blameless=True)
        self.again(life)
        waits = [self.again(self.refuses(life, "spark.worker-0")) for _ in range(20)]
        assert waits == [2, 4, 8, 16, *[30] * 16]
        assert (life["spark.worker-0"].failures, life.state) == (0, State.STARTING)
        said = self.refuses(life, "spark.worker-0")["spark.worker-0"].reason
        assert said is not None
        assert (said.code, dict(said.numbers)) == ("backend_busy", {"refusals": 21, "retry_in_s": 30.0})
        self.again(life)
        life.all_ready().exits("spark.worker-0", 1, LOST, is_blameless=True)
        self.again(life)
        assert self.again(self.refuses(life, "spark.worker-0")) == 2

    def test_it_is_never_asked_sooner_than_it_says(self) -> None:
        life = Life.running().exits("spark.worker-0", 1, LOST, is_blameless=True)
        self.again(life)
        assert [self.again(self.refuses(life, "spark.worker-0", delay_s=60.0)) for _ in range(3)] == [60, 60, 60]

    @pytest.mark.parametrize("when", [RestartWhen.ALWAYS, RestartWhen.NEVER])
    def test_a_start_gives_its_room_to_others_and_fails_in_the_end(self, when: RestartWhen) -> None:
        """Also where its program may run only once: it has not begun."""
        life = Life.placed(cluster(head=Restart(when=when)))
        for start in range(1, 6):
            for _ in range(5):
                self.again(self.refuses(life, "spark.head-0"))
            self.refuses(life, "spark.head-0")
            if start < 5:
                assert (life.state, life.services, life.execution.failed_starts) == (State.QUEUED, {}, start)
                life.later(1000, life.room())
        assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.FAILED)
        assert life.execution.reason is not None
        assert "the cluster asks to try again; 5 starts in a row have failed" in life.execution.reason.text

    def test_a_start_that_must_not_be_done_twice_waits(self) -> None:
        life = Life.placed(job(tasks=2)).launched("job.main-1").ready("job.main-1")
        for _ in range(20):
            self.again(self.refuses(life, "job.main-0"))
        assert (life.state, life.services) == (State.STARTING, {"job.main-0": "starting", "job.main-1": "running"})
        for _ in range(5):
            self.again(self.refuses(life, "job.main-0"))
        self.refuses(life, "job.main-0")
        assert life.state is State.STOPPING

    def test_an_elastic_service_gives_its_room_to_others(self) -> None:
        life = Life.running(cluster(elastic=2))
        name = next(name for name, service in life.execution.services.items() if not service.is_core)
        life.exits(name, 1, LOST, is_blameless=True)
        self.again(life)
        for _ in range(5):
            self.again(self.refuses(life, name))
        self.refuses(life, name)
        assert name not in life.execution.services
        assert (life.state, life.execution.grow_after) == (State.RUNNING, life.now + 300)

    def test_who_waits_for_it_can_be_stopped(self) -> None:
        life = self.refuses(Life.placed(), "spark.head-0").happens(StopRequested())
        assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.STOPPED)


def test_an_exit_of_what_has_ended_or_waits_changes_nothing() -> None:
    life = Life.placed()
    before = life.execution
    assert life.happens(ServiceExited("spark.worker-0", 1, 1), ServiceExited("spark.gone-0", 1, 1)).execution is before


def test_a_program_that_is_not_there_is_not_tried_again() -> None:
    missing = Reason("command_not_found", "the image zoe/spark:4 cannot run 'spark'")
    life = Life.placed().exits("spark.head-0", 127, missing)
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.FAILED)
    assert life.execution.target.reason is not None
    assert life.execution.target.reason.code == "command_not_found"


def test_who_has_no_image_is_not_tried_again() -> None:
    missing = Reason("image_missing", "its image cannot be had (InvalidImageName): no such thing")
    life = Life.placed().exits("spark.head-0", None, missing)
    assert (life.state, life.execution.outcome) == (State.ENDED, Outcome.FAILED)
    assert life.execution.target.reason is not None
    assert life.execution.target.reason.code == "image_missing"
    assert life.execution.target.reason.text.endswith(f" could not be started: {missing.text}")


@pytest.mark.parametrize("code", ["backend_busy", "no_network", "backend_retryable"])
def test_why_it_could_not_be_launched_is_over_once_it_is(code: str) -> None:
    life = Life.placed()
    failed = LaunchFailed("spark.head-0", 1, Reason(code, "not now"), retry_in_s=5.0, is_blameless=True)
    life.happens(failed).later(5, TimePassed())
    assert (life["spark.head-0"].state.value, life["spark.head-0"].reason is None) == ("starting", False)
    assert life.launched("spark.head-0")["spark.head-0"].reason is None


def test_why_the_attempt_before_ended_is_told_until_this_one_is_ready() -> None:
    life = Life.running().exits("spark.worker-0", 1, OOM)
    life.later(60, TimePassed()).launched("spark.worker-0")
    assert life["spark.worker-0"].reason == OOM
    assert life.ready("spark.worker-0")["spark.worker-0"].reason is None


def test_waiting_for_what_will_come_costs_no_try() -> None:
    waiting = Reason("no_network", "no network is free")
    life = Life.placed()
    for number, delay_s in enumerate([5.0, 10.0, 20.0, *[30.0] * 20], 1):
        attempt = life["spark.head-0"].attempt
        life.happens(LaunchFailed("spark.head-0", attempt, waiting, retry_in_s=5.0, is_blameless=True))
        reason = replace(waiting, numbers={"retry_in_s": delay_s, "refusals": number})
        assert (life["spark.head-0"].failures, life["spark.head-0"].reason) == (0, reason)
        life.later(delay_s, TimePassed())
    assert life.state is State.STARTING
    assert [each.kind for each in life.log].count("service.exited") == 1, "its log would have nothing else"


def test_what_needs_the_place_of_others_is_not_tried_in_vain() -> None:
    """A new attempt each five seconds, for days, would be all that its log tells."""
    gone = Reason("lost", "its machine far is lost", {"node": "far"})
    told = Reason("no_place", "it waits until there is a place again for head", {"processes": [HEAD]})
    life = Life.running(Application("flat", "Flat", (process(HEAD), process("flat.worker")), {}))
    life.exits("flat.worker-0", 1).exits("spark.head-0", None, gone, is_blameless=True).later(60, TimePassed())
    life.happens(LaunchFailed("flat.worker-0", 2, told, retry_in_s=5.0, is_blameless=True))

    assert next_due(life.execution) is None
    assert life.later(86400, TimePassed()).actions == []
    life.happens(Grown(core={HEAD: {"n2": 1}}))
    assert life.actions == [Launch("flat.worker-0", 3), Launch("spark.head-0", 2)]


def test_what_ran_on_a_lost_machine_is_placed_anew_also_when_it_had_just_begun() -> None:
    gone = Reason("lost", "its machine far is lost", {"node": "far"})
    life = Life.running().exits("spark.worker-0", None, gone, is_blameless=True)
    assert "spark.worker-0" not in life.execution.services
    assert life.state is not State.STOPPING
