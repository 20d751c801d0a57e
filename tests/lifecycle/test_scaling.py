"""More and fewer elastic services."""

from __future__ import annotations

import pytest

from tests.lifecycle.life import START, WORKER, Life, cluster
from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.effects import Drain, Stop
from zoe_jupyter.lifecycle.events import Grown, LaunchFailed, ScaleRequested, ServiceDrained, Shrunk, TimePassed
from zoe_jupyter.lifecycle.step import next_due
from zoe_jupyter.model.errors import Conflict
from zoe_jupyter.model.execution import Reason, State


def test_what_the_user_wants_is_written_down_and_nothing_else_happens() -> None:
    life = Life.running().happens(ScaleRequested({WORKER: 4}))
    assert counts.wanted_elastic(life.execution, life.execution.application.process(WORKER)) == 4
    assert (life.actions, life.kinds) == ([], ["execution.scaled"])
    before = life.execution
    assert life.happens(ScaleRequested({WORKER: 4})).execution is before


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"worker": 1}, "no process 'worker'; it has: spark.head, spark.worker"),
        ({WORKER: -1}, "can have 0 to 8 elastic services, not -1"),
        ({WORKER: 9}, "can have 0 to 8 elastic services, not 9"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(wish: dict[str, int], message: str) -> None:
    with pytest.raises(Conflict, match=message):
        Life.running().happens(ScaleRequested(wish))


def test_the_newest_go_first_and_hand_over_their_work() -> None:
    life = Life.running(cluster(elastic=3)).happens(Shrunk({WORKER: {"n1": 2}}))
    assert life.actions == [Drain("spark.worker-3", 1, 30.0), Drain("spark.worker-2", 1, 30.0)]
    assert life["spark.worker-3"].due_at == next_due(life.execution) == START + 30

    life.happens(ServiceDrained("spark.worker-3", 1))
    assert life.actions == [Stop("spark.worker-3", 1, 10.0)]
    life.exits("spark.worker-3", 0)
    assert (life.kinds, "spark.worker-3" in life.services, life.state) == (["service.removed"], False, State.RUNNING)
    assert life.execution.target.elastic == {}


def test_a_drain_that_takes_too_long_is_cut_short() -> None:
    """And nothing is forced: whoever looks after it looks after the others too."""
    life = Life.running().happens(Shrunk({WORKER: {"n1": 1}})).later(30, TimePassed())
    assert life.actions == [Stop("spark.worker-1", 1, 10.0)]
    before = life.execution
    assert life.happens(ServiceDrained("spark.worker-1", 1)).execution is before
    assert life.later(20, TimePassed()).actions == [Stop("spark.worker-1", 1, 0.0)]


def test_without_a_drain_rule_it_is_stopped_at_once() -> None:
    life = Life.running(cluster(drain=False)).happens(Shrunk({WORKER: {"n1": 1}}))
    assert (life.actions, life.kinds) == ([Stop("spark.worker-1", 1, 10.0)], ["service.stopping"])


def test_what_does_no_work_yet_goes_before_what_does() -> None:
    life = Life.running(cluster(elastic=3)).exits("spark.worker-1", 1)
    life.happens(Grown(elastic={WORKER: {"n1": 1}})).happens(Shrunk({WORKER: {"n1": 2}}))
    assert "spark.worker-1" not in life.services
    assert life.actions == [Stop("spark.worker-4", 1, 10.0)]


def test_a_launch_that_fails_on_the_way_out_is_its_end() -> None:
    life = Life.placed().ready("spark.head-0").happens(Shrunk({WORKER: {"n1": 1}}))
    life.happens(LaunchFailed("spark.worker-1", 1, Reason("fatal", "no such command")))
    assert sorted(life.services) == ["spark.head-0", "spark.worker-0"]


def test_only_that_many_on_that_node_and_never_core() -> None:
    life = Life.running().happens(Grown(elastic={WORKER: {"n2": 1}})).all_ready()
    life.happens(Shrunk({WORKER: {"n2": 5, "n3": 1}}))
    assert [name for name, state in life.services.items() if state == "draining"] == ["spark.worker-2"]


def test_what_is_on_its_way_out_is_not_taken_twice() -> None:
    life = Life.running(cluster(elastic=2)).happens(Shrunk({WORKER: {"n1": 1}}), Shrunk({WORKER: {"n1": 1}}))
    assert life.actions == [Drain("spark.worker-1", 1, 30.0)]


def test_a_name_is_free_again_only_when_its_service_is_gone() -> None:
    life = Life.running().happens(Shrunk({WORKER: {"n1": 1}}), Grown(elastic={WORKER: {"n1": 1}}))
    assert "spark.worker-2" in life.services
