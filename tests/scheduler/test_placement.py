"""On which nodes services go."""

from __future__ import annotations

import pytest

from tests.scheduler.world import W, demand, node, res
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.placement import Need, free_share, place
from zoe_jupyter.scheduler.room import Machines
from zoe_jupyter.scheduler.snapshot import Counts


def placed(nodes: list[Node], *needs: Need) -> Counts | None:
    machines = Machines(nodes)
    return place(needs, machines, machines.capacity())


def test_services_spread_over_the_nodes() -> None:
    assert placed([node("a"), node("b")], Need(demand(), 4)) == {W: {"a": 2, "b": 2}}


def test_a_larger_node_takes_more() -> None:
    assert placed([node("a", 2, 16), node("b", 6, 16)], Need(demand(gib=0), 4)) == {W: {"b": 3, "a": 1}}


def test_the_order_of_nodes_does_not_matter() -> None:
    nodes = [node("a", 3), node("b", 5), node("c", 4)]
    assert placed(nodes, Need(demand(), 7)) == placed(nodes[::-1], Need(demand(), 7))


def test_packing_finds_what_spreading_misses() -> None:
    """Spread first, the two small ones would sit on both nodes, and the cores for the last would be gone."""
    nodes = [node("a", 4, 16), node("b", 4, 16)]
    heavy = Need(demand(cores=1, gib=8, process="heavy"), 2)
    wide = Need(demand(cores=4, gib=0, process="wide"), 1)
    assert placed(nodes, heavy, wide) in ({"heavy": {"a": 2}, "wide": {"b": 1}}, {"heavy": {"b": 2}, "wide": {"a": 1}})


def test_what_does_not_fit_is_not_placed_in_part() -> None:
    assert placed([node("a")], Need(demand(), 4), Need(demand(process="more"), 1)) is None


def test_room_is_looked_at_and_not_changed() -> None:
    machines = Machines([node("a")])
    free = {"a": res(2, 2)}
    place([Need(demand(), 2)], machines, free)
    assert free == {"a": res(2, 2)}


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
    assert free_share(free, capacity) == share
