"""Free cores of a node are shared by what runs there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.scheduler.rules.worlds import snapshots
from tests.scheduler.world import W, admitted, demand, job, node
from zoe_jupyter.scheduler.cores import STEP_MICROCORES, share_cores
from zoe_jupyter.scheduler.snapshot import Snapshot

CORE = 1_000_000


def test_what_nobody_asked_for_is_shared_equally() -> None:
    one, two = (admitted(name, demand(1), core={W: {"n": 1}}) for name in "ab")
    assert share_cores([node("n", 4)], [one, two]) == {name: {W: {"n": 2 * CORE}} for name in "ab"}


def test_each_keeps_its_minimum_and_weights_share_the_rest() -> None:
    heavy = admitted("h", demand(1, cores=0.5), core={W: {"n": 1}}, weight=3.0)
    light = admitted("l", demand(1, cores=1.5), core={W: {"n": 1}})
    assert share_cores([node("n", 4)], [heavy, light]) == {"h": {W: {"n": 2 * CORE}}, "l": {W: {"n": 2 * CORE}}}


def test_every_service_counts_core_elastic_or_on_its_way_out() -> None:
    one = admitted("a", demand(2, 1), core={W: {"n": 2}}, elastic={W: {"n": 1}}, leaving={W: {"n": 1}})
    assert share_cores([node("n", 8)], [one]) == {"a": {W: {"n": 2 * CORE}}}


def test_nodes_share_each_their_own() -> None:
    one = admitted("a", demand(2), core={W: {"m": 1, "n": 1}})
    assert share_cores([node("n", 4), node("m", 1)], [one]) == {"a": {W: {"n": 4 * CORE, "m": CORE}}}


def test_who_waits_or_asked_for_none_or_runs_on_no_known_node_has_no_share() -> None:
    none = admitted("z", demand(1, cores=0), core={W: {"n": 1}})
    lost = admitted("lost", demand(1), core={W: {"gone": 1}})
    assert share_cores([node("n", 4)], [job("w", demand(1)), none, lost]) == {}


def test_a_small_change_changes_nothing() -> None:
    many = admitted("a", demand(20, cores=0.2), core={W: {"n": 20}})
    assert share_cores([node("n", 5)], [many]) == {"a": {W: {"n": 200_000}}}


def test_a_node_that_shrank_below_what_runs_there_leaves_everybody_its_minimum() -> None:
    one = admitted("a", demand(3), core={W: {"n": 3}})
    assert share_cores([node("n", 2)], [one]) == {"a": {W: {"n": CORE}}}


@given(snapshots(), st.randoms())
def test_never_below_the_minimum_never_above_the_node_and_by_weight(snapshot: Snapshot, random: object) -> None:
    shares = share_cores(snapshot.nodes, snapshot.jobs)
    shuffled = [*snapshot.jobs]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert share_cores(snapshot.nodes[::-1], shuffled) == shares, "the order does not matter"
    for each in snapshot.nodes:
        extras, taken, minima = [], 0, 0
        for one in snapshot.jobs:
            for wanted in one.demands:
                count = sum(
                    held.get(wanted.process, {}).get(each.name, 0) for held in (one.core, one.elastic, one.leaving)
                )
                minimum = wanted.resources.microcores
                if not (count and minimum):
                    continue
                got = shares[one.id][wanted.process][each.name]
                taken, minima = taken + got * count, minima + minimum * count
                assert got >= minimum
                extras.append((got - minimum, one.weight))
        assert taken <= max(minima, each.capacity.microcores)
        for more, weight in extras:
            assert all(abs(more / weight - other / its) < STEP_MICROCORES / min(weight, its) for other, its in extras)
