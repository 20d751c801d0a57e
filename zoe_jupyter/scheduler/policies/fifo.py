"""First in, first out."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot


class Fifo:
    """Who began to wait earlier goes first; the id settles what happened in one moment."""

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        ordered = sorted(waiting, key=attrgetter("id"))
        ordered.sort(key=attrgetter("queued_at"))
        return [job.id for job in ordered]
