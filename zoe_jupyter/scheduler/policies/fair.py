"""Dominant-resource fair shares of groups, and of the users in them."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heapreplace

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.snapshot import Counts, Demand, ExecutionId, Job, Snapshot

HORIZON_S = 3600.0

_Group = tuple[str, str]
"""A group's name and nothing, or nothing and that of a user without a group."""


class Fair:
    """Whose group, and in the group who, used least of the cluster goes first.

    Counted are what was used lately (``usage`` and ``group_usage`` of the snapshot) and what is held or ordered before, as if it were
    kept for an hour more; of each the resource of which it takes the largest part of the cluster. Without a group, a user is a group alone.
    """

    assumes = "everything runs for an hour more"

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        cluster = sum((node.capacity for node in snapshot.nodes), Resources())
        used = _Used(snapshot, cluster)
        groups: dict[_Group, _Turns] = {}
        for job in sorted(waiting, key=lambda job: (job.queued_at, job.id), reverse=True):
            groups.setdefault(_group(job), _Turns()).add(job)
        heap = [(used.by_group.get(group, 0.0), group) for group in groups]
        heapify(heap)
        ordered: list[ExecutionId] = []
        while heap:
            use, group = heap[0]
            job = groups[group].next(used)
            ordered.append(job.id)
            if groups[group].is_empty:
                heappop(heap)
            else:
                heapreplace(heap, (use + _seconds(_core(job.demands), cluster), group))
        return ordered


class _Used:
    """Shares of the cluster times seconds: used, and held for an hour more."""

    def __init__(self, snapshot: Snapshot, cluster: Resources) -> None:
        self.cluster = cluster
        self.by_user = dict(snapshot.usage)
        self.by_group: dict[_Group, float] = {("", user): used for user, used in snapshot.usage.items()}
        self.by_group |= {(group, ""): used for group, used in snapshot.group_usage.items()}
        # In one order, whatever the snapshot's: sums of floating-point numbers depend on it.
        for job in sorted((job for job in snapshot.jobs if job.is_admitted), key=lambda job: job.id):
            held = sum((_held(job.demands, counts) for counts in (job.core, job.elastic)), Resources())
            seconds = _seconds(held, cluster)
            self.by_user[job.owner] = self.by_user.get(job.owner, 0.0) + seconds
            self.by_group[_group(job)] = self.by_group.get(_group(job), 0.0) + seconds


class _Turns:
    """The users of one group, and whose turn it is."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Job]] = {}
        self._heap: list[tuple[float, str]] = []

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def add(self, job: Job) -> None:
        """The last that is added for a user is the first to go."""
        self._waiting.setdefault(job.owner, []).append(job)

    def next(self, used: _Used) -> Job:
        if not self._heap:
            self._heap = [(used.by_user.get(owner, 0.0), owner) for owner in self._waiting]
            heapify(self._heap)
        use, owner = self._heap[0]
        job = self._waiting[owner].pop()
        if self._waiting[owner]:
            heapreplace(self._heap, (use + _seconds(_core(job.demands), used.cluster), owner))
        else:
            del self._waiting[owner]
            heappop(self._heap)
        return job


def _group(job: Job) -> _Group:
    return (job.group, "") if job.group else ("", job.owner)


def _core(demands: Sequence[Demand]) -> Resources:
    return sum((demand.resources * demand.core for demand in demands), Resources())


def _held(demands: Sequence[Demand], counts: Counts) -> Resources:
    return sum((demand.resources * sum(counts.get(demand.process, {}).values()) for demand in demands), Resources())


def _seconds(amount: Resources, cluster: Resources) -> float:
    """The largest part that it takes of the cluster, for an hour."""
    parts = (
        (amount.microcores, cluster.microcores),
        (amount.memory_bytes, cluster.memory_bytes),
        (amount.gpus, cluster.gpus),
    )
    return HORIZON_S * max((part / whole for part, whole in parts if whole), default=0.0)
