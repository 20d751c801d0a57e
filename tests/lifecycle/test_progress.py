"""What of its work an execution has done: nothing before its core is up, then in proportion to the services at work."""

from __future__ import annotations

import pytest

from tests.lifecycle.life import START, WORKER, Life, cluster
from zoe_jupyter.lifecycle.events import (
    ClockSet,
    Grown,
    Preempted,
    ServiceDrained,
    Shrunk,
    StopRequested,
)
from zoe_jupyter.lifecycle.progress import done_s
from zoe_jupyter.model.application import Application
from zoe_jupyter.model.execution import Reason, State

HIGHER = Reason("preempted", "made room")


def test_a_second_with_all_that_it_wants_is_a_second_of_work() -> None:
    life = Life.placed().later(50).all_ready().later(10)
    assert life.execution.up_at == START + 50
    assert done_s(life.execution, life.now) == 10


def test_with_less_it_takes_longer() -> None:
    """Two core services and two elastic ones: alone, the core does half of it."""
    life = Life.placed(cluster(elastic=2))
    life.ready("spark.head-0").ready("spark.worker-0").later(10)
    assert done_s(life.execution, life.now) == 5
    life.ready("spark.worker-1").later(4)
    assert done_s(life.execution, life.now) == 5 + 3


def test_what_drains_contributes_nothing() -> None:
    life = Life.running().happens(Shrunk({WORKER: {"n1": 1}})).later(9)
    assert done_s(life.execution, life.now) == pytest.approx(6)
    assert life.happens(ServiceDrained("spark.worker-1", 1)).exits("spark.worker-1", 0).state is State.RUNNING
    life.happens(Grown(elastic={WORKER: {"n1": 1}})).all_ready().later(1)
    assert done_s(life.execution, life.now) == pytest.approx(7)


def test_nothing_is_done_while_a_core_service_is_missing() -> None:
    life = Life.running().later(10).exits("spark.head-0").later(100)
    assert done_s(life.execution, life.now) == 10


def test_what_a_preempted_one_had_done_is_lost() -> None:
    life = Life.running().later(10).happens(Preempted(HIGHER)).all_exit()
    assert (life.state, life.execution.done_s, life.execution.up_at) == (State.QUEUED, 0.0, None)


def test_at_its_end_all_that_was_done_is_written_down() -> None:
    life = Life.running().later(10).happens(StopRequested()).all_exit()
    assert (life.state, life.execution.done_s) == (State.ENDED, 10)


def test_work_is_not_done_by_setting_the_clock() -> None:
    life = Life.running().later(10)
    life.now += 3600
    life.happens(ClockSet(3600.0)).later(5)
    assert done_s(life.execution, life.now) == 15


def test_what_has_no_services_works_all_the_same() -> None:
    life = Life.placed(Application("flow", "Flow", (), {})).later(10)
    assert done_s(life.execution, life.now) == 10


def test_a_victim_remembers_when_it_may_grow_again() -> None:
    life = Life.running().happens(Shrunk({WORKER: {"n1": 1}}, grow_after=START + 60))
    assert life.execution.grow_after == START + 60
