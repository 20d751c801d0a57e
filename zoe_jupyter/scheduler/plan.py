"""What the scheduler decided for one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.scheduler.snapshot import Counts, ExecutionId, Reservation


@dataclass(frozen=True, slots=True)
class Start:
    """Room for a whole core, and for some elastic services beside it."""

    core: Counts
    elastic: Counts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    start: Mapping[ExecutionId, Start] = field(default_factory=dict)
    grow: Mapping[ExecutionId, Start] = field(default_factory=dict)
    """More for executions in progress; ``core`` only to replace lost core services."""
    shrink: Mapping[ExecutionId, Counts] = field(default_factory=dict)
    """Elastic services to take back: those above what is wanted (the user scaled down), or for another's core."""
    shrunk_for: Mapping[ExecutionId, ExecutionId] = field(default_factory=dict)
    """For whose core each of those in ``shrink`` gives way; those that only follow their user's wish are not in it."""
    preempt: tuple[ExecutionId, ...] = ()
    """Taken back whole; they wait again, and cannot take back from whom they made room for."""
    reservation: Reservation | None = None
    waiting: Mapping[ExecutionId, Reason] = field(default_factory=dict)
    """Why each of the others waits; ``numbers["position"]`` counts from 1 in policy order. Lazy: computed when asked."""
