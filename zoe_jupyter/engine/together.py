"""Where services of one execution reach each other on one node only (several Docker Engines), all of it goes to the same one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Job
from zoe_jupyter.scheduler.windows import closing_too_soon


class Together:
    """Says for each job which node it is to be on; a job that is the same gets the same answer, as long as that is right."""

    def __init__(self) -> None:
        self._pinned: dict[str, tuple[Job, str, Job]] = {}

    def pin(self, jobs: Sequence[Job], nodes: Sequence[Node], now: float) -> tuple[Job, ...]:
        """The jobs with one node each: where it is already; else where most is free among those that have room for its core, or would have
        it were elastic services to give way."""
        if len(nodes) < 2:
            return tuple(jobs)
        rooms = _Rooms(jobs, nodes)
        pinned = {job.id: self._on(job, _home(job) or _choose(job, nodes, rooms, now)) for job in jobs}
        self._pinned = {job.id: (job, node, made) for job, (node, made) in zip(jobs, pinned.values(), strict=True)}
        return tuple(made for _, made in pinned.values())

    def _on(self, job: Job, node: str) -> tuple[str, Job]:
        known = self._pinned.get(job.id)
        if known is not None and known[0] is job and known[1] == node:
            return node, known[2]
        return node, replace(job, demands=tuple(replace(demand, nodes=frozenset({node})) for demand in job.demands))


def never_fits(demands: Sequence[Demand], nodes: Sequence[Node]) -> Reason | None:
    """Why the core fits on no single node, however empty: in the words of the largest."""
    by_size = sorted(nodes, key=lambda node: node.capacity.memory_bytes, reverse=True)
    reasons = [can_ever_fit(demands, [node]) for node in by_size]
    return None if None in reasons else next(iter(reasons), can_ever_fit(demands, nodes))


def _home(job: Job) -> str:
    """Where most of it is."""
    counts: dict[str, int] = {}
    for held in (job.core, job.elastic, job.leaving):
        for places in held.values():
            for node, count in places.items():
                counts[node] = counts.get(node, 0) + count
    return max(counts, key=lambda node: (counts[node], node), default="")


class _Rooms:
    """Of each node: what is free, what will be once all has left that is on its way out, and what else elastic services could give."""

    def __init__(self, jobs: Sequence[Job], nodes: Sequence[Node]) -> None:
        self.free = {node.name: node.capacity for node in nodes}
        self.soon = dict(self.free)
        self._elastic: dict[str, list[tuple[int, Resources]]] = {node.name: [] for node in nodes}
        """With the class of each."""
        for job in jobs:
            for node, amount in _held(job, job.core, job.elastic, job.leaving):
                self._take(self.free, node, amount)
            for node, amount in _held(job, job.core, job.elastic):
                self._take(self.soon, node, amount)
            for node, amount in _held(job, job.elastic):
                self._elastic.get(node, []).append((job.priority, amount))

    def without_elastic(self, node: str, priority: int) -> Resources:
        """Of this class or a lower one."""
        return sum((amount for each, amount in self._elastic[node] if each <= priority), self.soon[node])

    def spend(self, node: str, amount: Resources) -> None:
        for room in (self.free, self.soon):
            self._take(room, node, amount)

    def _take(self, room: dict[str, Resources], node: str, amount: Resources) -> None:
        if node in room:
            room[node] = room[node] - amount


def _choose(job: Job, nodes: Sequence[Node], rooms: _Rooms, now: float) -> str:
    """What is chosen is taken, so that those who wait spread."""
    wanted = sum((demand.resources * demand.core for demand in job.demands), Resources())
    able = [node for node in nodes if node.is_enabled and _has_labels(node, job.demands)] or list(nodes)
    closing = closing_too_soon(job, nodes, now)
    able = [node for node in able if node.name not in closing] or able
    large = [node for node in able if wanted.fits_in(node.capacity)] or able
    roomy = [node for node in large if wanted.fits_in(rooms.free[node.name])]
    roomy = roomy or [node for node in large if wanted.fits_in(rooms.without_elastic(node.name, job.priority))] or large
    chosen = max(roomy, key=lambda node: (rooms.soon[node.name].memory_bytes, node.name)).name
    rooms.spend(chosen, wanted)
    return chosen


def _has_labels(node: Node, demands: Sequence[Demand]) -> bool:
    return all(node.labels.get(key) == value for demand in demands for key, value in demand.labels.items())


def _held(job: Job, *counts: Counts) -> Iterator[tuple[str, Resources]]:
    sizes = {demand.process: demand.resources for demand in job.demands}
    for held in counts:
        for process, places in held.items():
            for node, count in places.items():
                yield node, sizes[process] * count
