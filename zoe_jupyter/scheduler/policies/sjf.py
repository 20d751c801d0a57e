"""Shortest job first."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.scheduler.work import expected_run_s


class Sjf:
    """Who works for the shortest time goes first, whatever was done of it already."""

    assumes = "an execution of unknown length takes an hour"

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        return [job.id for job in sorted(waiting, key=lambda job: (expected_run_s(job), job.queued_at, job.id))]
