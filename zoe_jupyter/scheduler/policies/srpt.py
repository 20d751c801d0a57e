"""Shortest remaining processing time first."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot
from zoe_jupyter.scheduler.work import remaining_s


class Srpt:
    """Who has the least work left goes first."""

    assumes = "an execution of unknown length takes an hour"

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        return [job.id for job in sorted(waiting, key=lambda job: (remaining_s(job, now), job.queued_at, job.id))]
