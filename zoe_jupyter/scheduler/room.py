"""The machines of one decision and what is free on them, now and once everything has left that is on its way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Job

Free = Mapping[str, Resources]
"""``{node: what is free}``; negative where a node shrank below what runs on it."""


class Machines:
    """The nodes that may be given work, by name; remembers which of them have which labels."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(sorted((node for node in nodes if node.is_enabled), key=lambda node: node.name))
        self._having: dict[frozenset[tuple[str, str]], tuple[Node, ...]] = {}

    def having(self, labels: Mapping[str, str]) -> tuple[Node, ...]:
        """Those that have all of these labels."""
        wanted = frozenset(labels.items())
        if wanted not in self._having:
            self._having[wanted] = tuple(node for node in self.nodes if wanted <= node.labels.items())
        return self._having[wanted]

    def capacity(self) -> dict[str, Resources]:
        """What would be free if nothing ran."""
        return {node.name: node.capacity for node in self.nodes}


class Room:
    """What is free; shrinks as it is given away."""

    def __init__(self, machines: Machines, jobs: Sequence[Job]) -> None:
        self.free = machines.capacity()
        self._coming = {node.name: Resources() for node in machines.nodes}
        for job in jobs:
            for counts in filter(None, (job.core, job.elastic, job.leaving)):
                self.take(job.demands, counts)
            if job.leaving:
                self.expect(job.demands, job.leaving)

    def take(self, demands: Sequence[Demand], counts: Counts) -> None:
        """Give room away now."""
        for node, amount in amounts(demands, counts):
            if node in self.free:
                self.free[node] -= amount

    def expect(self, demands: Sequence[Demand], counts: Counts) -> None:
        """Count on room that will come free."""
        for node, amount in amounts(demands, counts):
            if node in self._coming:
                self._coming[node] += amount

    def later(self) -> dict[str, Resources]:
        """What is free once everything has left that is on its way out."""
        return {node: free + self._coming[node] for node, free in self.free.items()}

    def reserve(self, demands: Sequence[Demand], counts: Counts) -> None:
        """Keep room for somebody who gets it later: what is given away from now on must leave that much over."""
        later = self.later()
        for node, amount in amounts(demands, counts):
            later[node] -= amount
        self.free = {node: _least(free, later[node]) for node, free in self.free.items()}


def amounts(demands: Sequence[Demand], counts: Counts) -> Iterator[tuple[str, Resources]]:
    """What these services take on each node; processes that are not demanded take nothing."""
    for demand in demands:
        for node, count in counts.get(demand.process, {}).items():
            yield node, demand.resources * count


def total(counts: Counts, process: str) -> int:
    """Services of a process on all nodes."""
    return sum(counts.get(process, {}).values())


def _least(a: Resources, b: Resources) -> Resources:
    return Resources(min(a.microcores, b.microcores), min(a.memory_bytes, b.memory_bytes), min(a.gpus, b.gpus))
