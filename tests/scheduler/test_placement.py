"""On which nodes services go."""

from __future__ import annotations

import pytest

from tests.scheduler.world import W, demand, node, res
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.placement import Places, by_size, free_share
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Strategy
from zoe_jupyter.scheduler.space import Machines


def placed(nodes: list[Node], *demands: Demand, strategy: Strategy = Strategy.SPREAD, seed: int = 0) -> Counts | None:
    """Where their cores go."""
    machines = Machines(nodes)
    needs = by_size([(each, machines.shape(each), each.core) for each in demands])
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
