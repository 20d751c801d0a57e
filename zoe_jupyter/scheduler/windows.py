"""Machines that are to be empty at a time: whoever is known to go on for longer is not started there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.scheduler.work import core_only_end


def closing_too_soon(job: Job, nodes: Sequence[Node], now: float) -> frozenset[str]:
    """Those that close before it would be over if only its core worked; none where nobody knows how long it takes."""
    if job.run_s is None:
        return frozenset()
    end = core_only_end(job, now)
    return frozenset(node.name for node in nodes if node.closes_at is not None and node.closes_at < end)


class Windows:
    """Says where those that wait must not start; one that is the same gets the same answer as the very same object."""

    def __init__(self) -> None:
        self._made: dict[ExecutionId, tuple[Job, frozenset[str], Job]] = {}

    def keep_out(self, snapshot: Snapshot, now: float) -> Snapshot:
        """The snapshot in which each that waits avoids the nodes that close too soon for it."""
        closing = [node for node in snapshot.nodes if node.closes_at is not None]
        if not closing:
            self._made = {}
            return snapshot
        made: dict[ExecutionId, tuple[Job, frozenset[str], Job]] = {}
        for job in snapshot.jobs:
            avoids = frozenset[str]() if job.is_admitted else closing_too_soon(job, closing, now)
            if avoids:
                made[job.id] = self._avoiding(job, avoids)
        self._made = made
        return replace(snapshot, jobs=tuple(made[job.id][2] if job.id in made else job for job in snapshot.jobs))

    def _avoiding(self, job: Job, avoids: frozenset[str]) -> tuple[Job, frozenset[str], Job]:
        known = self._made.get(job.id)
        if known is not None and known[0] is job and known[1] == avoids:
            return known
        return job, avoids, replace(job, demands=tuple(replace(each, avoids=avoids) for each in job.demands))
