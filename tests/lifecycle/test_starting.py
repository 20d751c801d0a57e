"""From submit to running: the queue, the order of services, and what is remembered of them."""

from __future__ import annotations

from tests.lifecycle.life import HEAD, START, WORKER, Life, cluster, process
from zoe_jupyter.lifecycle.effects import Launch
from zoe_jupyter.lifecycle.events import (
    Accepted,
    Grown,
    LaunchFailed,
    ServiceLaunched,
    ServiceReady,
    ServiceTroubled,
    SuspendRequested,
)
from zoe_jupyter.model.application import Application
from zoe_jupyter.model.execution import Reason, ServiceState, State


def test_what_is_accepted_waits_since_it_was_submitted() -> None:
    life = Life.of().later(5, Accepted())
    assert (life.state, life.execution.queued_at, life.kinds) == (State.QUEUED, START, ["execution.queued"])


def test_services_are_launched_in_the_order_that_after_says() -> None:
    """Elastic workers wait for the head as core ones do."""
    life = Life.placed()
    assert life.services == {"spark.head-0": "starting", "spark.worker-0": "waiting", "spark.worker-1": "waiting"}
    assert life.actions == [Launch("spark.head-0", 1)]

    life.ready("spark.head-0")
    assert life.actions == [Launch("spark.worker-0", 1), Launch("spark.worker-1", 1)]
    assert [life[name].is_core for name in life.services] == [True, True, False]


def test_records_come_before_actions() -> None:
    life = Life.placed()
    assert [type(effect).__name__ for effect in life.effects] == ["Record", "Record", "Launch"]
    assert life.kinds == ["execution.starting", "service.starting"]


def test_it_runs_once_its_core_is_ready_and_not_before() -> None:
    life = Life.placed().ready("spark.head-0").later(7).ready("spark.worker-1")
    assert life.state is State.STARTING

    life.ready("spark.worker-0")
    assert (life.state, life.execution.started_at) == (State.RUNNING, START + 7)
    assert life.kinds == ["service.ready", "execution.running"]


def test_what_has_no_services_runs_at_once() -> None:
    """A workflow is an execution without services of its own."""
    assert Life.placed(Application("flow", "Flow", (), {})).state is State.RUNNING


def test_a_launch_is_remembered_with_handle_host_and_ports() -> None:
    life = Life.placed().launched("spark.head-0")
    head = life["spark.head-0"]
    assert (head.handle, head.host, head.ports) == ({"pid": 101}, "127.0.0.1", {"rpc": 7077})


def test_news_of_another_attempt_changes_nothing() -> None:
    life = Life.running()
    before = life.execution
    reason = Reason("fatal", "no")
    life.happens(
        ServiceLaunched("spark.head-0", 2, {"pid": 1}),
        ServiceReady("spark.head-0", 2),
        LaunchFailed("spark.head-0", 2, reason),
    )
    assert life.execution is before
    life.happens(ServiceReady("unknown-0", 1), ServiceReady("spark.head-0", 1), LaunchFailed("spark.head-0", 1, reason))
    assert life.execution is before


def test_what_was_adopted_is_remembered_anew() -> None:
    """A core that comes back hears of running services again, perhaps under another handle."""
    life = Life.running().happens(ServiceLaunched("spark.head-0", 1, {"pid": 7}, host="h"))
    assert (life["spark.head-0"].handle, life["spark.head-0"].state) == ({"pid": 7}, ServiceState.RUNNING)


def test_services_that_get_room_later_take_the_lowest_free_numbers() -> None:
    life = Life.running().happens(Grown(elastic={WORKER: {"n2": 2}}))
    assert {name: life[name].node for name in life.services} == {
        "spark.head-0": "n1",
        "spark.worker-0": "n1",
        "spark.worker-1": "n1",
        "spark.worker-2": "n2",
        "spark.worker-3": "n2",
    }
    assert life.actions == [Launch("spark.worker-2", 1), Launch("spark.worker-3", 1)]
    assert life.state is State.RUNNING


def test_a_chain_of_processes_starts_link_by_link() -> None:
    chain = tuple(
        process(f"f.{name}", after=(f"f.{after}",) if after else ())
        for name, after in (("c", "b"), ("b", "a"), ("a", ""))
    )
    life = Life.placed(Application("chain", "Chain", chain, {}))
    order = []
    while life.state is not State.RUNNING:
        order.append(next(name for name, state in life.services.items() if state == "starting"))
        life.ready(order[-1])
    assert order == ["f.a-0", "f.b-0", "f.c-0"]


def test_the_users_own_scaling_is_not_forgotten_by_a_start() -> None:
    life = Life.of(cluster(elastic=0)).happens(Accepted())
    life.happens(life.room(elastic={WORKER: 3})).all_ready()
    assert sorted(life.services) == ["spark.head-0", *(f"spark.worker-{n}" for n in range(4))]
    assert {s.process for s in life.execution.services.values()} == {HEAD, WORKER}


def test_trouble_of_what_goes_on_is_told_once_and_forgotten_with_its_attempt() -> None:
    life = Life.running()
    trouble = Reason("out_of_memory", "one of its processes was killed", {"kills": 1})
    life.happens(ServiceTroubled("spark.head-0", 1, trouble))
    assert (life["spark.head-0"].reason, life["spark.head-0"].state.value, life.state) == (
        trouble,
        "running",
        State.RUNNING,
    )
    assert life.kinds == ["service.troubled"]
    life.happens(ServiceTroubled("spark.head-0", 1, trouble), ServiceTroubled("spark.head-0", 9, Reason("other", "")))
    assert life.kinds == []
    life.exits("spark.head-0", 1, Reason("exited", "exited with 1"))
    assert life["spark.head-0"].reason != trouble


def test_who_is_leaving_is_in_no_trouble_but_for_a_machine_that_does_not_let_it_go() -> None:
    life = Life.running().happens(SuspendRequested())
    silent = Reason("lost", "its machine n1 does not answer: it may still run there")
    life.happens(ServiceTroubled("spark.head-0", 1, Reason("out_of_memory", "one of its processes was killed")))
    life.happens(ServiceTroubled("spark.head-0", 1, None))
    assert (life.kinds, life["spark.head-0"].reason) == ([], None)
    life.happens(ServiceTroubled("spark.head-0", 1, silent))
    assert (life.kinds, life["spark.head-0"].reason) == (["service.troubled"], silent)
