"""The contract of a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot


class Policy(Protocol):
    """May have ``assumes``: a clause that says what is assumed of an execution whose ``run_s`` nobody knows; reasons quote it."""

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        """Say who is served first among equals: ``waiting`` are jobs of the snapshot of one priority class that want room, for a core or for
        elastic services. Classes, ageing and reservations are not the policy's business (``scheduler/order.py``).

        Pure and total: the same input gives the same order, and every job of ``waiting`` is in it once; those left out come last.
        """
        ...


def assumption(policy: Policy) -> str:
    """What it assumes where run times are unknown; empty where it does not look at them."""
    return str(getattr(policy, "assumes", ""))
