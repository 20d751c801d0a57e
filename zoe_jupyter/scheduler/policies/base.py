"""The contract of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot


class Policy(Protocol):
    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        """Say who is served first. ``waiting`` are jobs of the snapshot that want room: for a core, or for elastic services.

        Pure and total: the same input gives the same order, and every job of ``waiting`` is in it once; those left out come last.
        """
        ...
