"""First in, first out, within priorities."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot


class Fifo:
    """Higher priority first; then who began to wait earlier; the id settles what happened in one moment."""

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        return [job.id for job in sorted(waiting, key=lambda job: (-job.priority, job.queued_at, job.id))]
