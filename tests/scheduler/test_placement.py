"""On which nodes services go."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.effort import is_linear
from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan, res
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.placement import Places, by_size, free_share
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Rules, Strategy, Together
from zoe_jupyter.scheduler.space import Machines


def placed(nodes: list[Node], *demands: Demand, strategy: Strategy = Strategy.SPREAD, seed: int = 0) -> Counts | None:
    """Where their cores go."""
    machines = Machines(nodes)
    needs = by_size([(each.process, machines.shape(each), each.core) for each in demands])
    taken = Places(machines, machines.capacity.copy(), strategy, seed).take_all(needs, {})
    return None if taken is None else machines.counts((process, node) for process, _, node in taken)


def test_services_spread_over_the_nodes() -> None:
    assert placed([node("a"), node("b")], demand(4)) == {W: {"a": 2, "b": 2}}


def test_a_larger_node_takes_more() -> None:
    assert placed([node("a", 2, 16), node("b", 6, 16)], demand(4, gib=0)) == {W: {"b": 3, "a": 1}}


def test_the_order_of_nodes_does_not_matter() -> None:
    nodes = [node("a", 3), node("b", 5), node("c", 4)]
    assert placed(nodes, demand(7)) == placed(nodes[::-1], demand(7))


def test_packing_finds_what_spreading_misses() -> None:
    """Spread first, the two small ones would sit on both nodes, and the cores for the last would be gone."""
    nodes = [node("a", 4, 16), node("b", 4, 16)]
    heavy = demand(2, cores=1, gib=8, process="heavy")
    wide = demand(1, cores=4, gib=0, process="wide")
    assert placed(nodes, heavy, wide) in ({"heavy": {"a": 2}, "wide": {"b": 1}}, {"heavy": {"b": 2}, "wide": {"a": 1}})


def test_what_does_not_fit_is_not_placed_in_part() -> None:
    assert placed([node("a")], demand(4), demand(1, process="more")) is None


@pytest.mark.parametrize("strategy", Strategy)
def test_a_mixture_finds_its_place_whatever_the_strategy(strategy: Strategy) -> None:
    """And what fits, waits for nothing: neither for an end, nor for elastic services."""
    nodes = [node("a", 8, 16), node("b", 2, 8), node("c", 2, 4)]
    wanted = (
        demand(1, cores=1, gib=8, process="x"),
        demand(1, cores=3, process="y"),
        demand(1, cores=4, gib=8, process="z"),
    )
    mixed = job("mixed", *wanted, at=NOW - 1000)
    beside = admitted("beside", demand(0, 1, cores=0, gib=0), elastic={W: {"a": 1}})
    for jobs in ([mixed], [mixed, beside]):
        decided = plan(nodes, *jobs, rules=Rules(placement=strategy))
        assert decided.start["mixed"].core == {"x": {"b": 1}, "y": {"a": 1}, "z": {"a": 1}}


def test_what_fits_only_when_it_is_placed_beside_elastic_services_starts_there() -> None:
    nodes = [node("a", 8, 11), node("b", 3, 11), node("c", 7, 4), node("d", 2, 2)]
    wanted = (
        demand(1, cores=3, process="x"),
        demand(2, cores=3, gib=4, process="y"),
        demand(2, cores=4, process="z"),
    )
    held = admitted("held", demand(0, 1, cores=1, gib=0), elastic={W: {"a": 1}})
    assert list(plan(nodes, held, job("mixed", *wanted)).start) == ["mixed"]


@pytest.mark.parametrize(
    ("free", "capacity", "share"),
    [
        (res(1, 8), res(4, 16), 0.25),
        (res(4, 4), res(4, 16), 0.25),
        (res(), Resources(), 0.0),
        (res(0, 0, 1), res(0, 0, 2), 0.5),
    ],
)
def test_the_scarcest_resource_says_how_full_a_node_is(free: Resources, capacity: Resources, share: float) -> None:
    machines = Machines([Node("n", capacity)])
    space = machines.capacity.copy()
    space.cores, space.memory, space.gpus = [free.microcores], [free.memory_bytes], [free.gpus]
    assert free_share(space, machines.capacity, 0) == share


class TestPack:
    RULES = Rules(placement=Strategy.PACK)

    def test_services_fill_one_node_after_the_other(self) -> None:
        assert placed([node("a"), node("b", 3), node("c")], demand(5), strategy=Strategy.PACK) == {W: {"a": 4, "b": 1}}

    def test_it_goes_on_where_it_was(self) -> None:
        """Also for shapes that were looked for before."""
        nodes, busy = [node("a", 4, 64), node("b", 4, 64)], admitted("r", demand(1), core={W: {"b": 1}})
        jobs = [job(f"j{i}", demand(1, cores=1 + i % 2), at=i) for i in range(4)]
        starts = plan(nodes, busy, *jobs, rules=self.RULES).start
        assert [next(iter(starts[f"j{i}"].core[W])) for i in range(4)] == ["b", "b", "a", "a"]

    def test_what_nobody_has_room_for_stays_so(self) -> None:
        jobs = (
            job("big", demand(1, cores=3), at=NOW - 1),
            job("j", demand(3), at=NOW),
            job("k", demand(1, cores=0.5), at=NOW),
        )
        decided = plan([node("a", 2), node("b", 2)], *jobs, rules=self.RULES)
        assert codes(decided) == {"big": "exceeds_every_node"}
        assert decided.start["k"].core == {W: {"b": 1}}

    def test_only_where_the_labels_are(self) -> None:
        """Also on a node that has become the fuller one since it was first looked for."""
        fast = {"disk": "fast"}
        busy = admitted("r", demand(1, cores=4), core={W: {"plain": 1}})
        wanted = [demand(1, labels=fast), demand(1, cores=2), demand(1, labels=fast)]
        jobs = [job(f"j{i}", each, at=i) for i, each in enumerate(wanted)]
        starts = plan([node("fast", 8, 64, labels=fast), node("plain", 8, 64)], busy, *jobs, rules=self.RULES).start
        assert [next(iter(starts[f"j{i}"].core[W])) for i in range(3)] == ["fast", "plain", "fast"]

    def test_elastic_services_too(self) -> None:
        decided = plan([node("a"), node("b")], job("e", demand(1, 5)), rules=self.RULES)
        assert (decided.start["e"].core, decided.start["e"].elastic) == ({W: {"a": 1}}, {W: {"a": 3, "b": 2}})


class TestRandom:
    NODES = [node(name, 64) for name in "abcdefgh"]

    def test_the_seed_settles_it(self) -> None:
        ways = [placed(self.NODES, demand(6), strategy=Strategy.RANDOM, seed=seed) for seed in (1, 1, 2)]
        assert ways[0] == ways[1] != ways[2]

    def test_all_nodes_get_some(self) -> None:
        counts = placed(self.NODES, demand(400, gib=0), strategy=Strategy.RANDOM)
        assert counts is not None
        assert all(counts[W][name] > 30 for name in "abcdefgh")

    def test_only_where_there_is_room(self) -> None:
        assert placed([node("a", 0), node("b", 2)], demand(2), strategy=Strategy.RANDOM) == {W: {"b": 2}}
        assert placed([node("a", 0), node("b", 2)], demand(3), strategy=Strategy.RANDOM) is None

    def test_elastic_services_fill_what_is_left(self) -> None:
        decided = plan(
            [node("a", 2), node("b", 2)], job("e", demand(1, 9)), rules=Rules(placement=Strategy.RANDOM), seed=3
        )
        assert sum(decided.start["e"].elastic[W].values()) == 3


def test_only_named_nodes_will_do() -> None:
    nodes = [node("a", 64, 64), node("b"), node("c", labels={"disk": "fast"})]
    assert placed(nodes, demand(3, nodes=frozenset({"b"}))) == {W: {"b": 3}}
    assert placed(nodes, demand(1, nodes=frozenset({"b", "c"}), labels={"disk": "fast"})) == {W: {"c": 1}}


def test_gpus_are_given_by_count_and_by_type() -> None:
    nodes = [node("a", 64, 64, gpus=8, labels={"gpu": "t4"}), node("b", gpus=2, labels={"gpu": "a100"})]
    assert placed(nodes, demand(2, gpus=1, labels={"gpu": "a100"})) == {W: {"b": 2}}
    assert placed(nodes, demand(3, gpus=1, labels={"gpu": "a100"})) is None
    assert placed(nodes, demand(1, gpus=8)) == {W: {"a": 1}}


class TestPorts:
    WEB = demand(1, host_ports=frozenset({80}))

    def test_a_port_is_taken_once_on_a_node(self) -> None:
        two = demand(2, host_ports=frozenset({80, 443}))
        assert placed([node("a", 64, 64), node("b")], two) == {W: {"a": 1, "b": 1}}
        assert placed([node("a", 64, 64)], two) is None

    def test_by_anybody(self) -> None:
        busy = admitted("r", self.WEB, core={W: {"a": 1}})
        decided = plan([node("a", 64, 64)], busy, job("j", self.WEB, at=NOW))
        assert (
            decided.waiting["j"].text
            == "app.worker needs the ports 80 of a node, and they are taken wherever there is room; wait"
        )
        assert list(plan([node("a", 64, 64)], busy, job("j", demand(1, host_ports=frozenset({81})))).start) == ["j"]

    def test_it_comes_free_with_who_has_it(self) -> None:
        leaving = admitted("r", demand(0, 1, host_ports=frozenset({80})), leaving={W: {"a": 1}})
        decided = plan([node("a")], leaving, job("j", self.WEB, at=NOW), job("k", self.WEB, at=NOW))
        assert [reason.text.endswith("room is being made for it") for reason in decided.waiting.values()] == [
            True,
            False,
        ]

    def test_elastic_services_take_one_each(self) -> None:
        decided = plan([node("a"), node("b")], job("e", demand(0, 9, host_ports=frozenset({80}))))
        assert decided.start["e"].elastic == {W: {"a": 1, "b": 1}}


class TestTogether:
    def test_apart_is_a_must(self) -> None:
        apart = demand(2, 2, together=Together.APART)
        assert placed([node("a", 64, 64), node("b")], apart) == {W: {"a": 1, "b": 1}}
        assert codes(plan([node("a", 64, 64)], job("j", apart))) == {"j": "exceeds_cluster"}
        decided = plan([node(name) for name in "abc"], job("j", apart))
        assert sorted([*decided.start["j"].core[W], *decided.start["j"].elastic[W]]) == ["a", "b", "c"]

    def test_what_is_held_already_counts(self) -> None:
        lame = admitted("j", demand(2, 1, together=Together.APART), core={W: {"a": 1}}, elastic={W: {"b": 1}})
        assert plan([node("a", 64, 64), node("b", 64, 64), node("c")], lame).grow["j"].core == {W: {"c": 1}}
        assert codes(plan([node("a", 64, 64), node("b", 64, 64)], lame)) == {"j": "waits_for_resources"}

    def test_a_lost_core_service_lies_apart_from_the_elastic_ones_that_are_left(self) -> None:
        lame = admitted("j", demand(1, 1, together=Together.APART), elastic={W: {"a": 1}})
        busy = admitted("r", demand(3), core={W: {"b": 3}})
        assert plan([node("a", 64, 64), node("b")], lame, busy).grow["j"].core == {W: {"b": 1}}

    def test_near_is_a_wish(self) -> None:
        near = demand(5, together=Together.NEAR)
        assert placed([node("a"), node("b")], near) == {W: {"a": 4, "b": 1}}

    def test_elastic_services_lie_near_the_core(self) -> None:
        held = admitted("j", demand(1, 3, together=Together.NEAR), core={W: {"b": 1, "z": 1}})
        assert plan([node("a", 64, 64), node("b")], held).grow["j"].elastic == {W: {"b": 3}}

    def test_a_core_for_which_room_is_made_lies_apart_too(self) -> None:
        held = [admitted(f"r{name}", demand(0, 4), elastic={W: {name: 4}}) for name in "ab"]
        decided = plan([node("a"), node("b")], *held, job("j", demand(2, together=Together.APART), at=NOW))
        assert decided.shrink == {"ra": {W: {"a": 1}}, "rb": {W: {"b": 1}}}

    def test_packed_tightly_they_still_lie_apart(self) -> None:
        nodes = [node("a", 4, 16), node("b", 4, 16), node("c", 4, 16)]
        heavy = demand(2, cores=1, gib=8, process="heavy", together=Together.APART)
        wide = demand(1, cores=4, gib=0, process="wide")
        counts = placed(nodes, heavy, wide, demand(1, cores=3, gib=0, process="more"))
        assert counts is not None
        assert len(counts["heavy"]) == 2


def test_where_thousands_lie_near_each_other_is_not_worked_out_anew_for_each() -> None:
    nodes = [node(f"n{i:02}", 200, 2000) for i in range(50)]

    def work(count: int) -> Callable[[], None]:
        wanted = demand(count, together=Together.NEAR)

        def place() -> None:
            counts = placed(nodes, wanted)
            assert counts is not None
            assert sum(counts[W].values()) == count

        return place

    assert is_linear(work, 10_000)


def test_what_was_tried_for_another_process_leads_nobody_to_a_node_without_its_labels() -> None:
    """Of one execution a service fits and the other does not: what was undone is room for the first kind only."""
    fast = {"disk": "fast"}
    grows = job("grows", demand(0, 1, cores=0.5, process="a", labels=fast))
    mixed = job("mixed", demand(1, cores=0.5, process="a", labels=fast), demand(1, cores=1, process="b"))
    decided = plan([node("none", 0, 0), node("plain", 1, 1)], grows, mixed)
    assert decided.start["grows"].elastic == {}
