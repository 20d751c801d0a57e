"""What decisions have in common: each job as the scheduler needs it, and what is taken in all; a decision is the same with it and without."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.placement import Mates, Need, Places, by_size
from zoe_jupyter.scheduler.reasons import never_fits
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.scheduler.space import Machines, Shape, Space, nothing, total

Holding = tuple[int, Shape, int]
"""(node's number, shape, services)"""


class Entry:
    """One job, worked out once as long as it stays the very same."""

    __slots__ = ("_wishes", "has_surplus", "holds_elastic", "job", "key", "mates", "needs")

    def __init__(self, job: Job, machines: Machines) -> None:
        self.job = job
        self.needs = lacking(job, machines)
        """The core services that it lacks, the largest first."""
        self.key: Hashable = tuple([(shape, count) for _, shape, count in self.needs])
        """The same for all that need the same; None where it depends on what it holds."""
        self.mates: Mates = {}
        self._wishes: list[Shape] | None = None
        """Of the elastic services that it lacks; None: not worked out yet."""
        self.holds_elastic = bool(job.elastic)
        self.has_surplus = self.holds_elastic and any(
            total(job.elastic, demand.process) > demand.elastic for demand in job.demands
        )
        if job.core and any(not shape.is_plain for _, shape, _ in self.needs):
            self.mates, self.key = mates(job, machines), job.id

    def wishes_any(self, machines: Machines, places: Places) -> bool:
        """Say whether it wants elastic services for which there may be room."""
        if self._wishes is None:
            job = self.job
            self._wishes = [
                machines.shape(demand)
                for demand in job.demands
                if demand.elastic and (not self.holds_elastic or demand.elastic > total(job.elastic, demand.process))
            ]
        return any(places.has_room(shape) for shape in self._wishes)


@dataclass(frozen=True)
class World:
    """What one decision starts from."""

    machines: Machines
    entries: Mapping[ExecutionId, Entry]
    free: Space
    coming: Space | None
    """What will come free of what is on its way out; None: nothing is."""


class Memo:
    """Give the same one to each call of ``decide``; it forgets by itself what no longer holds."""

    def __init__(self) -> None:
        self._entries: dict[ExecutionId, Entry] = {}
        self._start_over(())

    def read(self, snapshot: Snapshot) -> World:
        """Take in what has changed since the last snapshot."""
        if snapshot.nodes != self._nodes:
            self._start_over(snapshot.nodes)
        before, self._entries = self._entries, {}
        for job in snapshot.jobs:
            entry = before.pop(job.id, None)
            if entry is None or entry.job is not job:
                if entry is not None:
                    self._count(entry.job, -1)
                entry = Entry(job, self._machines)
                self._count(job, 1)
            self._entries[job.id] = entry
        for entry in before.values():
            self._count(entry.job, -1)
        coming = self._coming if self._leaving else None
        return World(self._machines, self._entries, self._free, coming)

    def never_fits(self, entry: Entry) -> Reason | None:
        """Why it could not start even if nothing else ran, worked out once for all that need the same."""
        key = entry.key, tuple(demand.process for demand, _, _ in entry.needs)
        if key not in self._never:
            self._never[key] = never_fits(entry.needs, self._machines)
        return self._never[key]

    def _start_over(self, nodes: tuple[Node, ...]) -> None:
        self._nodes = nodes
        self._machines = Machines(nodes)
        self._entries = {}
        self._never: dict[Hashable, Reason | None] = {}
        self._free = self._machines.capacity.copy()
        self._coming = nothing(len(self._machines.nodes))
        self._leaving = 0

    def _count(self, job: Job, sign: int) -> None:
        """Add to, or take from, what is held and what will come free."""
        for counts in (job.core, job.elastic, job.leaving):
            if counts:
                for node, shape, count in self._machines.held(job.demands, counts):
                    self._free.take(node, shape, sign * count)
        if job.leaving:
            self._leaving += sign
            for node, shape, count in self._machines.held(job.demands, job.leaving):
                self._coming.give(node, shape, sign * count)


def lacking(job: Job, machines: Machines) -> list[Need]:
    """Core services that it has not got."""
    needs: list[Need] = []
    core = job.core
    for demand in job.demands:
        count = demand.core - total(core, demand.process) if core else demand.core
        if count > 0:
            needs.append((demand, machines.shape(demand), count))
    return by_size(needs)


def mates(job: Job, machines: Machines) -> Mates:
    """Where services of each process lie."""
    found: dict[str, set[int]] = {}
    for counts in (job.core, job.elastic):
        for process, nodes in counts.items():
            there = found.setdefault(process, set())
            there.update(machines.numbers[name] for name, count in nodes.items() if count and name in machines.numbers)
    return found
