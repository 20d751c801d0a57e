"""What becomes of an execution's moments when the clock was set, or when nobody could be heard for a while."""

from __future__ import annotations

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.events import ClockSet, Paused
from zoe_jupyter.model.execution import Service


def clock_set(draft: Draft, event: ClockSet) -> None:
    """Move every moment along, so that all has the age, and until its end the time, that it had before."""
    execution = draft.execution
    draft.change(
        queued_at=_moved(execution.queued_at, event.by_s),
        started_at=_moved(execution.started_at, event.by_s),
        idle_since=_moved(execution.idle_since, event.by_s),
        unleased_since=_moved(execution.unleased_since, event.by_s),
    )
    for service in draft.services:
        draft.put(service, due_at=_due(service, event.by_s), ready_at=_moved(service.ready_at, event.by_s))


def paused(draft: Draft, event: Paused) -> None:
    """What waits for somebody to come back, or for a program to end, gets the time in which nobody could; a lifetime goes on."""
    execution = draft.execution
    draft.change(
        idle_since=_not_after(_moved(execution.idle_since, event.for_s), draft.now),
        unleased_since=_not_after(_moved(execution.unleased_since, event.for_s), draft.now),
    )
    for service in draft.services:
        if service.state in counts.LEAVING:
            draft.put(service, due_at=_due(service, event.for_s))


def _moved(moment: float | None, by_s: float) -> float | None:
    return None if moment is None else moment + by_s


def _not_after(moment: float | None, now: float) -> float | None:
    """Who left in the middle of a pause was away for no longer than its rest."""
    return None if moment is None else min(moment, now)


def _due(service: Service, by_s: float) -> float:
    """0.0 means that nothing is due, and must not become so."""
    return max(service.due_at + by_s, 1e-6) if service.due_at else 0.0
