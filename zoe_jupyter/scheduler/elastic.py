"""Elastic services: who gets what is left, and from whom it is taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.placement import Need, free_share, place
from zoe_jupyter.scheduler.room import Machines, Room, amounts, total
from zoe_jupyter.scheduler.snapshot import Counts, Demand, ExecutionId, Job

MutableCounts = dict[str, dict[str, int]]


@dataclass
class Share:
    """What one job holds of elastic services, and how it changes in this decision."""

    job: Job
    held: MutableCounts
    shrink: MutableCounts = field(default_factory=dict)
    grow: MutableCounts = field(default_factory=dict)

    def count(self, process: str) -> int:
        return total(self.held, process) + total(self.grow, process)

    def count_all(self) -> int:
        return sum(self.count(demand.process) for demand in self.job.demands)

    def take_back(self, process: str, node: str) -> None:
        self.held[process][node] -= 1
        add(self.shrink, process, node)


def shares_of(jobs: Sequence[Job]) -> dict[ExecutionId, Share]:
    """What each holds; as much as it wants, the rest is to be shrunk at once, where it has most."""
    shares = {job.id: Share(job, {process: dict(nodes) for process, nodes in job.elastic.items()}) for job in jobs}
    for share in shares.values():
        for demand in share.job.demands:
            for _ in range(total(share.held, demand.process) - demand.elastic):
                held = share.held[demand.process]
                share.take_back(demand.process, max(sorted(held), key=lambda node: held[node]))
    return shares


def fill(shares: Sequence[Share], machines: Machines, room: Room) -> None:
    """Give away what is left one by one, each to who has fewest (in the given order among equals), so that shares are equal."""
    shelves = _Shelves(machines, room)
    open_demands = {
        i: [d for d in share.job.demands if share.count(d.process) < d.elastic] for i, share in enumerate(shares)
    }
    heap = [(share.count_all(), i) for i, share in enumerate(shares) if open_demands[i]]
    heapify(heap)
    while heap:
        held, i = heap[0]
        if not open_demands[i]:
            heappop(heap)
            continue
        demand = min(open_demands[i], key=lambda d: shares[i].count(d.process))
        node = shelves.take(demand)
        if node is not None:
            add(shares[i].grow, demand.process, node)
            heapreplace(heap, (held + 1, i))
        if node is None or shares[i].count(demand.process) >= demand.elastic:
            open_demands[i].remove(demand)


class _Shelves:
    """Where the next service of each shape would go. Room only ever gets less, so that what is known of a node is at most too good."""

    def __init__(self, machines: Machines, room: Room) -> None:
        self._machines = machines
        self._room = room
        self._heaps: dict[tuple[Resources, frozenset[tuple[str, str]]], list[tuple[float, int]]] = {}

    def take(self, demand: Demand) -> str | None:
        """Give the node with most free share one service more; None when none has room."""
        nodes = self._machines.having(demand.labels)
        heap = self._heap(demand)
        while heap:
            believed, i = heap[0]
            free = self._room.free[nodes[i].name]
            now = -free_share(free, nodes[i].capacity)
            if not demand.resources.fits_in(free):
                heappop(heap)
            elif now != believed:
                heapreplace(heap, (now, i))
            else:
                self._room.free[nodes[i].name] = free - demand.resources
                return nodes[i].name
        return None

    def _heap(self, demand: Demand) -> list[tuple[float, int]]:
        shape = (demand.resources, frozenset(demand.labels.items()))
        if shape not in self._heaps:
            nodes = self._machines.having(demand.labels)
            heap = [(-free_share(self._room.free[node.name], node.capacity), i) for i, node in enumerate(nodes)]
            heapify(heap)
            self._heaps[shape] = heap
        return self._heaps[shape]


@dataclass(frozen=True, slots=True)
class _Victim:
    share: Share
    process: str
    node: str
    amount: Resources


def reclaim(needs: Sequence[Need], shares: Sequence[Share], machines: Machines, room: Room) -> Counts | None:
    """Shrink as few elastic services as it takes to make room for the needs; says where they will go, or None, shrinking nothing.

    Those go first of whom somebody holds most; among equals, those of the last in the given order.
    """
    victims = _victims(shares)
    later = room.later()
    placed = place(needs, machines, _with(later, victims))
    if placed is None:
        return None
    fewest, most = 0, len(victims)
    while fewest < most:
        middle = (fewest + most) // 2
        better = place(needs, machines, _with(later, victims[:middle]))
        if better is None:
            fewest = middle + 1
        else:
            most, placed = middle, better
    for victim in _needed(victims[:most], needs, placed, later):
        victim.share.take_back(victim.process, victim.node)
        room.expect(victim.share.job.demands, {victim.process: {victim.node: 1}})
    return placed


def _victims(shares: Sequence[Share]) -> list[_Victim]:
    """Every elastic service that is held, in the order in which they would be taken back."""
    queues = [_units(share) for share in shares]
    heap = [(-len(units), -i) for i, units in enumerate(queues) if units]
    heapify(heap)
    victims: list[_Victim] = []
    while heap:
        _, i = heap[0]
        units = queues[-i]
        victims.append(units.pop())
        if units:
            heapreplace(heap, (-len(units), i))
        else:
            heappop(heap)
    return victims


def _units(share: Share) -> list[_Victim]:
    return [
        _Victim(share, demand.process, node, demand.resources)
        for demand in share.job.demands
        for node, count in sorted(share.held.get(demand.process, {}).items())
        for _ in range(count)
    ]


def _with(later: Mapping[str, Resources], victims: Sequence[_Victim]) -> dict[str, Resources]:
    room = dict(later)
    for victim in victims:
        if victim.node in room:
            room[victim.node] += victim.amount
    return room


def _needed(
    victims: Sequence[_Victim], needs: Sequence[Need], placed: Counts, later: Mapping[str, Resources]
) -> list[_Victim]:
    """Of these, only those without whom the placement would not fit."""
    left = _with(later, victims)
    for node, amount in amounts([need.demand for need in needs], placed):
        left[node] -= amount
    kept: list[_Victim] = []
    for victim in reversed(victims):
        if victim.node in placed_nodes(placed) and not victim.amount.fits_in(left[victim.node]):
            kept.append(victim)
        elif victim.node in left:
            left[victim.node] -= victim.amount
    return kept


def placed_nodes(placed: Counts) -> frozenset[str]:
    return frozenset(node for nodes in placed.values() for node in nodes)


def add(counts: MutableCounts, process: str, node: str) -> None:
    nodes = counts.setdefault(process, {})
    nodes[node] = nodes.get(node, 0) + 1
