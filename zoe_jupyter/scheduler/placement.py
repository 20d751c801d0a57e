"""On which nodes services go: spread over those with most room, and packed tightly only where spreading finds no way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.room import Free, Machines
from zoe_jupyter.scheduler.snapshot import Counts, Demand

Rank = Callable[[Resources, Resources], float]
"""Of what is free and the capacity; the node with the lowest rank is taken."""


@dataclass(frozen=True, slots=True)
class Need:
    """So many more services of one demand."""

    demand: Demand
    count: int


def place(needs: Sequence[Need], machines: Machines, free: Free) -> Counts | None:
    """Find room for all of the needs together, without changing ``free``; None when there is no way.

    The largest go first. For services that are all alike it finds a way whenever there is one; a mixture is bin packing, and it may miss one.
    """
    return _place_all(needs, machines, free, _spread) or _place_all(needs, machines, free, _pack)


def free_share(free: Resources, capacity: Resources) -> float:
    """How much of a node is free, by the resource that is scarcest there; 0 of a node that has nothing to give."""
    least = math.inf
    if capacity.microcores:
        least = free.microcores / capacity.microcores
    if capacity.memory_bytes:
        least = min(least, free.memory_bytes / capacity.memory_bytes)
    if capacity.gpus:
        least = min(least, free.gpus / capacity.gpus)
    return 0.0 if least == math.inf else least


def by_size(needs: Sequence[Need]) -> list[Need]:
    """The largest first: they find the fewest places."""
    return sorted(needs, key=lambda need: _size(need.demand.resources), reverse=True)


def _size(resources: Resources) -> tuple[int, int, int]:
    return resources.gpus, resources.memory_bytes, resources.microcores


def _spread(free: Resources, capacity: Resources) -> float:
    return -free_share(free, capacity)


def _pack(free: Resources, capacity: Resources) -> float:
    return free_share(free, capacity)


def _place_all(needs: Sequence[Need], machines: Machines, free: Free, rank: Rank) -> Counts | None:
    left = dict(free)
    placed: dict[str, dict[str, int]] = {}
    for need in by_size(needs):
        nodes = machines.having(need.demand.labels)
        counts = _place(need, nodes, left, rank)
        if counts is None:
            return None
        placed[need.demand.process] = counts
    return placed


def _place(need: Need, nodes: Sequence[Node], left: dict[str, Resources], rank: Rank) -> dict[str, int] | None:
    amount = need.demand.resources
    heap = [(rank(left[n.name], n.capacity), i) for i, n in enumerate(nodes) if amount.fits_in(left[n.name])]
    heapify(heap)
    counts: dict[str, int] = {}
    for _ in range(need.count):
        if not heap:
            return None
        _, i = heappop(heap)
        name = nodes[i].name
        left[name] -= amount
        counts[name] = counts.get(name, 0) + 1
        if amount.fits_in(left[name]):
            heappush(heap, (rank(left[name], nodes[i].capacity), i))
    return counts
