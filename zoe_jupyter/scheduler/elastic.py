"""Elastic services: who gets what is left, in equal shares by weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heapreplace

from zoe_jupyter.scheduler.placement import NOWHERE, Places
from zoe_jupyter.scheduler.snapshot import Counts, Demand, ExecutionId, Job
from zoe_jupyter.scheduler.space import Machines, Shape, total

MutableCounts = dict[str, dict[str, int]]
LEAST_WEIGHT = 1e-6
NOTHING: MutableCounts = {}
NOBODY: set[int] = set()
"""Never changed: one for all of the thousands that hold, or are beside, nothing. What is not made, the collector need not look at."""


class Share:
    """What one job holds of elastic services, and how that changes in this decision."""

    __slots__ = ("core", "count", "grow", "held", "job", "shrink", "shrunk_for", "weight")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.held = {process: dict(nodes) for process, nodes in job.elastic.items()} if job.elastic else NOTHING
        self.count = sum(total(self.held, demand.process) for demand in job.demands) if self.held else 0
        self.weight = max(LEAST_WEIGHT, job.weight)
        self.core: Sequence[tuple[str, Shape, int]] = ()
        """Core services that it was given in this decision."""
        self.grow: list[tuple[str, int]] = []
        self.shrink = NOTHING
        self.shrunk_for: ExecutionId | None = None

    @property
    def level(self) -> float:
        """Its services for each unit of weight; equal shares are equal levels."""
        return self.count / self.weight

    def take_back(self, process: str, node: str) -> None:
        self.held[process][node] -= 1
        self.count -= 1
        if not self.shrink:
            self.shrink = {}
        there = self.shrink.setdefault(process, {})
        there[node] = there.get(node, 0) + 1

    def take_back_surplus(self) -> None:
        """What is above the wanted goes at once, where it has most."""
        for demand in self.job.demands:
            held = self.held.get(demand.process, {})
            for _ in range(sum(held.values()) - demand.elastic):
                self.take_back(demand.process, max(sorted(held), key=lambda node: held[node]))


class _Wish:
    """Elastic services of one demand that are still wanted."""

    __slots__ = ("has", "mates", "missing", "process", "shape")

    def __init__(self, share: Share, demand: Demand, shape: Shape, machines: Machines) -> None:
        self.process = demand.process
        self.shape = shape
        self.has = total(share.held, demand.process)
        self.missing = demand.elastic - self.has
        self.mates = NOBODY if shape.is_plain else _lying(share, demand.process, machines)


May = Callable[[Job, Shape], bool]


def fill(shares: Sequence[Share], machines: Machines, places: Places, may: May | None = None) -> None:
    """Give away what is left one by one, each to who has fewest for its weight (in the given order among equals).

    ``may`` is asked before each; it counts what it allows.
    """
    wishes = [_open(share, machines, places) for share in shares]
    heap = [(share.level, number) for number, share in enumerate(shares) if wishes[number]]
    heapify(heap)
    while heap:
        number = heap[0][1]
        share, open_ = shares[number], wishes[number]
        wish = min(open_, key=lambda each: each.has) if len(open_) > 1 else open_[0]
        if not _serve(share, wish, places, may) or not wish.missing:
            open_.remove(wish)
        if open_:
            heapreplace(heap, (share.level, number))
        else:
            heappop(heap)


def _open(share: Share, machines: Machines, places: Places) -> list[_Wish]:
    """What it still wants and what there may be room for."""
    found = []
    for demand in share.job.demands:
        if demand.elastic and demand.elastic > total(share.held, demand.process):
            shape = machines.shape(demand)
            if places.has_room(shape):
                found.append(_Wish(share, demand, shape, machines))
    return found


def _serve(share: Share, wish: _Wish, places: Places, may: May | None) -> bool:
    if may is not None and not (places.has_room(wish.shape) and may(share.job, wish.shape)):
        return False
    node = places.take(wish.shape, wish.mates)
    if node == NOWHERE:
        return False
    share.grow.append((wish.process, node))
    share.count += 1
    wish.has += 1
    wish.missing -= 1
    if not wish.shape.is_plain:
        wish.mates.add(node)
    return True


def _lying(share: Share, process: str, machines: Machines) -> set[int]:
    counts: Sequence[Counts] = (share.job.core, share.held)
    there = {name for held in counts for name, count in held.get(process, {}).items() if count}
    new = {node for name, _, node in share.core if name == process}
    return new | {machines.numbers[name] for name in there if name in machines.numbers}
