"""Where services of an execution must share a node, all of it goes to one."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.engine.together import Together, never_fits
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import decide
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Demand, Job, Snapshot

GIB = 1024**3
NODES = (Node("a", Resources(4_000_000, 8 * GIB)), Node("b", Resources(4_000_000, 8 * GIB), {"rack": "b"}))


def job(name: str, count: int = 4, gib: int = 1, **fields: object) -> Job:
    demand = Demand("app.main", Resources(100_000, gib * GIB), core=count, elastic=2)
    return Job(name, "ada", (demand,), 0.0, **fields)  # type: ignore[arg-type]


def places(jobs: list[Job], nodes: tuple[Node, ...] = NODES) -> dict[str, set[str]]:
    plan = decide(Snapshot(nodes, Together().pin(jobs, nodes, 1.0)), Fifo(), 1.0)
    return {name: {node for counts in start.core.values() for node in counts} for name, start in plan.start.items()}


def test_each_is_on_one_node_and_they_spread() -> None:
    found = places([job("one"), job("two"), job("three", 3)])
    assert {len(nodes) for nodes in found.values()} == {1}
    assert found["one"] != found["two"]


def test_what_is_somewhere_stays_there() -> None:
    there = job("one", core={"app.main": {"a": 4}}, is_admitted=True)
    (pinned,) = Together().pin([there], NODES, 1.0)
    assert pinned.demands[0].nodes == {"a"}


def test_one_that_is_larger_than_every_node_waits_rather_than_being_torn_apart() -> None:
    assert places([job("one", 12)]) == {}
    assert never_fits(job("one", 12).demands, NODES) is not None
    assert never_fits(job("one", 8).demands, NODES) is None


def test_labels_and_disabled_nodes_are_heeded() -> None:
    labelled = Job("one", "ada", (Demand("m", Resources(1, 1), 1, 0, labels={"rack": "b"}),), 0.0)
    assert places([labelled]) == {"one": {"b"}}
    disabled = (NODES[0], Node("b", NODES[1].capacity, is_enabled=False))
    assert places([job("one")], disabled) == {"one": {"a"}}


def test_where_elastic_services_of_its_class_would_give_way_rather_than_where_more_is_free_and_too_little() -> None:
    def held(name: str, node: str, core: int, elastic: int, priority: int = 100) -> Job:
        demand = Demand("app.main", Resources(1_000_000, GIB), core, elastic)
        counts = {"core": {"app.main": {node: core}}, "elastic": {"app.main": {node: elastic}}}
        return Job(name, "ada", (demand,), 0.0, priority=priority, is_admitted=True, **counts)  # type: ignore[arg-type]

    rigid, busy = held("rigid", "a", 4, 0), Job("busy", "ada", (Demand("m", Resources(0, 3 * GIB), 1, 0),), 0.0)
    new = Job("new", "bob", (Demand("app.main", Resources(2_000_000, GIB), 1, 0),), 1.0)
    busy = replace(busy, is_admitted=True, core={"m": {"b": 1}})
    for priority, chosen in ((100, "b"), (200, "a")):
        jobs = (rigid, busy, held("elastic", "b", 0, 4, priority), new)
        pinned = Together().pin(jobs, NODES, 1.0)
        assert pinned[-1].demands[0].nodes == {chosen}
        shrunk = {"elastic": {"app.main": {"b": 2}}} if chosen == "b" else {}
        assert decide(Snapshot(NODES, pinned), Fifo(), 1.0).shrink == shrunk


def test_the_same_job_gets_the_same_answer() -> None:
    together, waiting = Together(), job("one")
    assert together.pin([waiting], NODES, 1.0)[0] is together.pin([waiting], NODES, 1.0)[0]
    assert together.pin([waiting], NODES[:1], 1.0)[0] is waiting


def test_a_node_that_is_to_be_emptied_too_soon_is_not_chosen_where_there_is_another() -> None:
    for closes_at, chosen in ((None, "b"), (50.0, "a"), (101.0, "b")):
        nodes = (NODES[0], Node("b", NODES[1].capacity, closes_at=closes_at))
        (pinned,) = Together().pin([job("one", run_s=60.0)], nodes, 1.0)
        assert pinned.demands[0].nodes == {chosen}
