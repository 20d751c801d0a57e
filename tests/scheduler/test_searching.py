"""What fits is found by a longer look, for one at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scheduler.rules.worlds import carried_out
from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler import searching
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.placement import by_size, fits
from zoe_jupyter.scheduler.searching import search
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Rules, Snapshot, Strategy, Together
from zoe_jupyter.scheduler.space import Machines

NODES = [node("a", 8), node("b", 4), node("c", 2)]
EXACT = demand(1, cores=2, gib=2, process="small"), demand(3, cores=4, gib=1, process="large")
"""Fills all of it; the small one asks for more memory, and so is placed first by all who look once."""


def found(nodes: list[Node], *demands: Demand) -> Counts | None:
    machines = Machines(nodes)
    needs = by_size([(each.process, machines.shape(each), each.core) for each in demands])
    assert fits(needs, machines, machines.capacity, {}) is None
    taken = search(needs, machines, machines.capacity, {})
    return None if taken is None else machines.counts((process, node) for process, _, node in taken)


@pytest.mark.parametrize("strategy", Strategy)
def test_an_exact_fit_of_a_mixture_fits(strategy: Strategy) -> None:
    assert found(NODES, *EXACT) == {"small": {"c": 1}, "large": {"a": 2, "b": 1}}
    assert can_ever_fit(EXACT, NODES) is None
    decided = plan(NODES, job("exact", *EXACT), rules=Rules(placement=strategy))
    assert decided.start["exact"].core == {"small": {"c": 1}, "large": {"a": 2, "b": 1}}


def test_elastic_services_give_way_to_it() -> None:
    held = [
        admitted(f"r{name}", demand(0, 9, gib=0), elastic={W: {name: count}}) for name, count in (("a", 8), ("c", 1))
    ]
    decided = plan(NODES, *held, job("exact", *EXACT, at=NOW))
    assert decided.shrink == {"ra": {W: {"a": 8}}, "rc": {W: {"c": 1}}}
    assert decided.waiting["exact"].text.endswith("room is being made for it")


def test_no_execution_is_preempted_where_a_longer_look_finds_room_without() -> None:
    low = admitted("low", demand(4, gib=0), core={W: {"d": 4}}, priority=50, may_be_preempted=True)
    decided = plan([*NODES, node("d")], low, job("exact", *EXACT), rules=Rules(preempts=True))
    assert (list(decided.start), decided.preempt) == (["exact"], ())


def test_labels_and_neighbours_are_heeded() -> None:
    fast, large = {"disk": "fast"}, demand(2, cores=4, gib=1, process="large")
    nodes = [node("a", 4, labels=fast), node("b", 6), node("c", 2)]
    small = demand(2, cores=2, gib=2, process="small", together=Together.APART)
    assert found(nodes, small, large) == {"small": {"b": 1, "c": 1}, "large": {"a": 1, "b": 1}}
    assert found(nodes, demand(2, cores=2, gib=2, process="small", labels=fast), large) is None


def test_where_one_of_a_kind_led_nowhere_the_next_of_it_is_not_tried() -> None:
    three = demand(3, cores=3, gib=1, process="three"), demand(3, cores=2, gib=2, process="two")
    assert found([node("a", 5), node("b", 5), node("c", 4)], *three) is None


def test_what_cannot_be_is_still_refused() -> None:
    reason = can_ever_fit(
        [demand(1, cores=3, process="x"), demand(2, cores=3, process="y")], [node("a", 5), node("b", 5)]
    )
    assert reason is not None
    assert reason.code == "exceeds_cluster"
    assert can_ever_fit([demand(0, 2)], NODES) is None
    assert codes(plan([], job("exact", *EXACT))) == {"exact": "no_matching_node"}


def test_a_longer_look_is_for_one_at_a_time() -> None:
    nodes = [
        node(f"{each.name}{at}", each.capacity.microcores / 1e6, labels={"at": at}) for each in NODES for at in "jk"
    ]
    jobs = [job(at, *(replace(each, labels={"at": at}) for each in EXACT)) for at in "jk"]
    decided = plan(nodes, *jobs)
    assert (list(decided.start), codes(decided)) == (["j"], {"k": "waits_for_resources"})
    after = carried_out(Snapshot(tuple(nodes), tuple(jobs)), decided)
    assert list(plan(nodes, *after.jobs).start) == ["k"]


def test_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("a", 5, 5), node("b", 5, 5), node("c", 4, 4)]
    tight = demand(2, cores=3, process="three"), demand(4, cores=2, gib=1.5, process="two")
    assert found(nodes, *tight) == {"three": {"a": 1, "b": 1}, "two": {"a": 1, "b": 1, "c": 2}}
    monkeypatch.setattr(searching, "MOST_LOOKED_AT", 0)
    assert found(nodes, *tight) is None
    many = demand(20, cores=2, gib=2, process="small"), demand(31, cores=4, process="large")
    assert found([node(f"n{i}", 6, 32) for i in range(26)], *many) is None
