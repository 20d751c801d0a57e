"""Highest response ratio next."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.scheduler.work import expected_run_s

SHORTEST_S = 1.0
"""A shorter ``run_s`` counts as this, so that the ratio stays finite."""


class Hrrn:
    """Who waited longest for what it asks goes first: 1 + waiting / ``run_s``, descending."""

    assumes = "an execution of unknown length takes an hour"

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        def ratio(job: Job) -> float:
            return 1 + (now - job.queued_at) / max(SHORTEST_S, expected_run_s(job))

        return [job.id for job in sorted(waiting, key=lambda job: (-ratio(job), job.queued_at, job.id))]
