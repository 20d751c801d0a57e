"""What decisions have in common: each job as the scheduler needs it, and what is taken in all; a decision is the same with it and without."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.placement import Mates, Need, by_size
from zoe_jupyter.scheduler.reasons import never_fits
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.scheduler.space import Machines, Shape, Space, nothing, total
from zoe_jupyter.scheduler.windows import Windows

Holding = tuple[int, Shape, int]
"""(node's number, shape, services)"""

MOST_KNOWN = 3000
"""It starts over when it remembers so many shapes and tuples of them more than eight for each job."""


class Entry:
    """One job, worked out once as long as it stays the very same."""

    __slots__ = ("_wishes", "has_surplus", "holds_elastic", "job", "key", "mates", "needs")

    def __init__(self, job: Job, machines: Machines) -> None:
        self.job = job
        self.needs = lacking(job, machines)
        """The core services that it lacks, the largest first."""
        self.key: Hashable = self.needs
        """The same for all for which the same room would do; of its own where that depends on what it holds."""
        self.mates: Mates = {}
        self._wishes: tuple[Shape, ...] | None = None
        """None: not worked out yet."""
        self.holds_elastic = bool(job.elastic)
        self.has_surplus = self.holds_elastic and any(
            total(job.elastic, demand.process) > demand.elastic for demand in job.demands
        )
        if (job.core or job.elastic) and any(not shape.is_plain for _, shape, _ in self.needs):
            self.mates, self.key = mates(job, machines), job.id

    def wishes(self, machines: Machines) -> tuple[Shape, ...]:
        """Of the elastic services that it lacks."""
        if self._wishes is None:
            held = self.job.elastic
            wishes = [
                machines.shape(demand)
                for demand in self.job.demands
                if demand.elastic and (not held or demand.elastic > total(held, demand.process))
            ]
            self._wishes = machines.shared(tuple(wishes))
        return self._wishes


class Never:
    """``never(entry)``: why it could not start even if nothing else ran, worked out once for all that need the same; None: it could."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self._known: dict[Hashable, Reason | None] = {}

    def __call__(self, entry: Entry) -> Reason | None:
        needs = entry.needs
        if needs not in self._known:
            self._known[needs] = never_fits(needs, self._machines)
        return self._known[needs]


@dataclass(frozen=True)
class World:
    """What one decision starts from."""

    machines: Machines
    never: Never
    entries: Mapping[ExecutionId, Entry]
    free: Space
    coming: Space | None
    """What will come free of what is on its way out; None: nothing is."""
    wanted: Mapping[Shape, int]
    """Elastic services that those in progress lack, and how many lack some."""


class Memo:
    """Give the same one to each call of ``decide``; it forgets by itself what no longer holds."""

    def __init__(self) -> None:
        self.windows = Windows()
        self._entries: dict[ExecutionId, Entry] = {}
        self._start_over(())

    def read(self, snapshot: Snapshot) -> World:
        """Take in what has changed since the last snapshot."""
        if snapshot.nodes != self._nodes or self._machines.known > MOST_KNOWN + 8 * len(snapshot.jobs):
            self._start_over(snapshot.nodes)
        entries = self._entries
        for job in snapshot.jobs:
            known = entries.get(job.id)
            if known is None or known.job is not job:
                if known is not None:
                    self._count(known, -1)
                entry = entries[job.id] = Entry(job, self._machines)
                self._count(entry, 1)
        if len(entries) > len(snapshot.jobs):
            for key in entries.keys() - {job.id for job in snapshot.jobs}:
                self._count(entries.pop(key), -1)
        coming = self._coming if self._leaving else None
        return World(self._machines, self._never, entries.copy(), self._free, coming, self._wanted)

    def _start_over(self, nodes: tuple[Node, ...]) -> None:
        self._nodes = nodes
        self._machines = Machines(nodes)
        self._entries = {}
        self._never = Never(self._machines)
        self._wanted: dict[Shape, int] = {}
        self._free = self._machines.capacity.copy()
        self._coming = nothing(len(self._machines.nodes))
        self._leaving = 0

    def _count(self, entry: Entry, sign: int) -> None:
        """Add to, or take from, what is held, will come free, and is lacking."""
        job, held = entry.job, self._machines.held
        for counts in (job.core, job.elastic, job.leaving):
            if counts:
                for node, shape, count in held(job.demands, counts):
                    self._free.take(node, shape, sign * count)
        if job.leaving:
            self._leaving += sign
            for node, shape, count in held(job.demands, job.leaving):
                self._coming.give(node, shape, sign * count)
        for shape in entry.wishes(self._machines) if job.is_admitted else ():
            self._wanted[shape] = self._wanted.get(shape, 0) + sign
            if not self._wanted[shape]:
                del self._wanted[shape]


def lacking(job: Job, machines: Machines) -> tuple[Need, ...]:
    """Core services that it has not got."""
    needs: list[Need] = []
    core = job.core
    for demand in job.demands:
        count = demand.core - total(core, demand.process) if core else demand.core
        if count > 0:
            needs.append(machines.shared((demand.process, machines.shape(demand), count)))
    return machines.shared(tuple(by_size(needs)))


def mates(job: Job, machines: Machines) -> Mates:
    """Where services of each process lie."""
    found: dict[str, set[int]] = {}
    for counts in (job.core, job.elastic):
        for process, nodes in counts.items():
            there = found.setdefault(process, set())
            there.update(machines.numbers[name] for name, count in nodes.items() if count and name in machines.numbers)
    return found
