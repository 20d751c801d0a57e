"""What people read: the story, and how far it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lifecycle.life import OOM, WORKER, Life, cluster, job, process
from zoe_jupyter.lifecycle.events import (
    Accepted,
    Preempted,
    RestartRequested,
    ResumeRequested,
    ScaleRequested,
    ServiceTroubled,
    Shrunk,
    StopRequested,
    SuspendRequested,
    TimePassed,
)
from zoe_jupyter.lifecycle.story import progress, story
from zoe_jupyter.model.application import Application, Restart
from zoe_jupyter.model.execution import PULLING, LogEvent, Reason

WHY = Reason("stopped_by_user", "stopped by alice", {"user": "alice"})


def test_a_story_tells_everything_in_order() -> None:
    life = Life.running(cluster(restart=Restart(attempts=1)))
    life.exits("spark.worker-1", 137, OOM).later(2, TimePassed()).all_ready()
    life.happens(ScaleRequested({WORKER: 0}), Shrunk({WORKER: {"n1": 1}})).exits("spark.worker-1", 0)
    life.happens(StopRequested(reason=WHY)).all_exit(143)
    assert [line.text for line in story(life.log)] == [
        "queued",
        "starting",
        "spark.head-0 is started on n1",
        "spark.head-0 is ready",
        "spark.worker-0 is started on n1",
        "spark.worker-1 is started on n1",
        "spark.worker-0 is ready",
        "running: all that it needs is ready",
        "spark.worker-1 is ready",
        "spark.worker-1 ended with exit code 137, next try in 2 s: out of memory: used 2.1 GiB of 2 GiB",
        "spark.worker-1 (attempt 2) is started on n1",
        "spark.worker-1 (attempt 2) is ready",
        "scaled: spark.worker from 2 to 1",
        "spark.worker-1 (attempt 2) hands over its work before it is taken away",
        "spark.worker-1 (attempt 2) was taken away",
        "stopping: stopped by alice",
        "spark.head-0 ended with exit code 143",
        "spark.worker-0 ended with exit code 143",
        "ended: stopped by alice",
    ]
    assert [line.at for line in story(life.log)] == [event.at for event in life.log]


def test_what_its_reader_did_was_done_by_you() -> None:
    log = Life.running().happens(StopRequested(reason=WHY)).all_exit().log
    assert story(log, reader="alice")[-1].text == "ended: stopped by you"
    assert story(log, reader="bob")[-1].text == "ended: stopped by alice"


def test_a_story_knows_suspension_restart_and_preemption() -> None:
    life = Life.running(cluster(drain=False)).happens(Shrunk({WORKER: {"n1": 1}})).exits("spark.worker-1", None)
    life.exits("spark.worker-0", None, Reason("lost", "gone"), is_blameless=True)
    life.happens(SuspendRequested()).all_exit().happens(ResumeRequested())
    life.happens(life.room()).happens(RestartRequested()).all_exit()
    life.happens(life.room()).happens(Preempted(Reason("preempted", "made room")))
    lines = [line.text for line in story(life.log)]
    for expected in (
        "spark.worker-1 is being taken away",
        "spark.worker-0 ended, next try in 2 s: gone",
        "stopping, to be suspended",
        "suspended",
        "restart wanted",
        "stopping, to start anew: made room",
    ):
        assert expected in lines


def test_a_job_s_elastic_tasks_are_taken_away_one_by_one() -> None:
    life = Life.running(job(elastic=2)).exits("job.main-2", 0)
    assert story(life.log)[-1].text == "job.main-2 was taken away, 1 elastic ones are wanted from now on"


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("execution.submitted", {}, "submitted"),
        ("execution.waiting", {"code": "x", "text": "needs 8 GiB"}, "waits: needs 8 GiB"),
        ("execution.ended", {"outcome": None}, "ended: nobody knows how"),
        ("execution.stopping", {}, "stopping"),
        ("lease.was_taken", {"reason": "odd"}, "lease was taken: "),
        ("service.ready", {}, "a service is ready"),
        ("service.starting", {"service": "w-0"}, "w-0 is started on its node"),
        ("execution.scaled", {"elastic": {"w": 2}}, "scaled: w to 2 more"),
    ],
)
def test_a_story_makes_sense_of_any_event(kind: str, data: dict[str, object], text: str) -> None:
    assert story([LogEvent(1, 5.0, kind, "x", "o", data)])[0].text == text.removesuffix(": ")


class TestProgress:
    def test_goes_from_the_queue_to_running(self) -> None:
        life = Life.of()
        lines = [progress(life.execution)]
        lines.append(progress(life.happens(Accepted()).execution))
        lines.append(progress(life.happens(life.room()).execution))
        lines += [progress(life.ready(name).execution) for name in ("spark.head-0", "spark.worker-0", "spark.worker-1")]
        assert lines == ["submitted", "queued", "starting head", "starting worker", "worker 1 of 2 ready", "running"]

    def test_says_what_is_tried_again_and_why(self) -> None:
        life = Life.running().exits("spark.worker-0", 137, OOM)
        assert progress(life.execution) == "starting worker-0 again: out of memory: used 2.1 GiB of 2 GiB"

    def test_says_how_far_an_image_is_until_its_service_is_launched(self) -> None:
        life = Life.placed().happens(ServiceTroubled("spark.head-0", 1, Reason(PULLING, "pulling the image x: 40%")))
        assert progress(life.execution) == "starting head: pulling the image x: 40%"
        assert progress(life.launched("spark.head-0").execution) == "starting head"
        assert life["spark.head-0"].reason is None

    def test_says_what_keeps_a_service_from_running_until_nothing_does(self) -> None:
        life = Life.placed().launched("spark.head-0")
        full = Reason("unscheduled", "the cluster has no room for it: 0/2 nodes are available")
        life.happens(ServiceTroubled("spark.head-0", 1, full))
        assert progress(life.execution) == f"starting head: {full.text}"
        life.happens(ServiceTroubled("spark.head-0", 1, None))
        assert progress(life.execution) == "starting head"
        assert life.kinds == []

    def test_says_what_has_no_room_yet(self) -> None:
        life = Life.running(cluster(elastic=0)).happens(ScaleRequested({WORKER: 3}))
        assert progress(life.execution) == "running, worker: room for 1 of 4"

    def test_names_the_framework_where_there_are_several(self) -> None:
        processes = (process("spark.head"), process("jupyter.lab", core=2, after=("spark.head",)))
        life = Life.placed(Application("two", "Two", processes, {}))
        assert progress(life.execution) == "starting spark.head"
        life.ready("spark.head-0").ready("jupyter.lab-0")
        assert progress(life.execution) == "jupyter.lab 1 of 2 ready"

    def test_says_a_process_s_own_title_where_it_has_one(self) -> None:
        processes = (process("spark.connect", title="Spark Connect"), process("spark.worker", core=2))
        assert progress(Life.placed(Application("spark", "Spark", processes, {})).execution) == "starting Spark Connect"

    def test_counts_what_is_left_to_stop(self) -> None:
        life = Life.running().happens(StopRequested(reason=WHY))
        assert progress(life.execution) == "stopping, 3 services left"
        life.exits("spark.worker-0").exits("spark.worker-1")
        assert progress(life.execution) == "stopping, 1 service left"
        assert progress(life.all_exit().execution) == "stopped by alice"

    def test_tells_restarts_and_suspensions(self) -> None:
        assert progress(Life.running().happens(RestartRequested()).execution) == "restarting, 3 services left"
        life = Life.running().happens(SuspendRequested())
        assert progress(life.execution) == "suspending, 3 services left"
        assert progress(life.all_exit().execution) == "suspended; resume it to go on"

    def test_of_what_ended_well_is_one_word(self) -> None:
        life = Life.running(job()).exits("job.main-0", 0)
        assert progress(life.execution) == "succeeded"
        assert progress(replace(life.execution, outcome=None)) == "ended"
