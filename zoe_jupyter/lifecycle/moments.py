"""What becomes of an execution's moments when the clock was set, or when nobody could be heard for a while."""

from __future__ import annotations

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.events import ClockSet, Paused


def clock_set(draft: Draft, event: ClockSet) -> None:
    """Move every moment along, so that all has the age, and until its end the time, that it had before."""
    execution = draft.execution
    draft.change(
        queued_at=_moved(execution.queued_at, event.by_s),
        started_at=_moved(execution.started_at, event.by_s),
        not_before=_later(execution.not_before, event.by_s),
        up_at=_moved(execution.up_at, event.by_s),
        done_at=_later(execution.done_at, event.by_s),
        grow_after=_later(execution.grow_after, event.by_s),
        idle_since=_moved(execution.idle_since, event.by_s),
        unleased_since=_moved(execution.unleased_since, event.by_s),
    )
    for service in draft.services:
        draft.put(service, due_at=_later(service.due_at, event.by_s), ready_at=_moved(service.ready_at, event.by_s))


def paused(draft: Draft, event: Paused) -> None:
    """What waits for somebody to come back, or for a program to end, gets the time in which nobody could; a lifetime goes on."""
    execution = draft.execution
    draft.change(
        idle_since=_not_after(_moved(execution.idle_since, event.for_s), draft.now),
        unleased_since=_not_after(_moved(execution.unleased_since, event.for_s), draft.now),
    )
    for service in draft.services:
        if service.state in counts.LEAVING:
            draft.put(service, due_at=_later(service.due_at, event.for_s))


def _moved(moment: float | None, by_s: float) -> float | None:
    return None if moment is None else moment + by_s


def _not_after(moment: float | None, now: float) -> float | None:
    """Who left in the middle of a pause was away for no longer than its rest."""
    return None if moment is None else min(moment, now)


def _later(moment: float, by_s: float) -> float:
    """0.0 means that nothing is due, and must not become so."""
    return max(moment + by_s, 1e-6) if moment else 0.0
