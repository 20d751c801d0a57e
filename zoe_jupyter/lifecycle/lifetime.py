"""What happens because time passes: retries, deadlines, and the end of an execution's lifetime."""

from __future__ import annotations

from collections.abc import Iterator

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.advance import advance
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.events import ActivitySeen, LeasesChanged, TimePassed
from zoe_jupyter.lifecycle.scaling import drain_overdue
from zoe_jupyter.lifecycle.stopping import stop, stop_overdue
from zoe_jupyter.model.execution import Execution, Goal, Outcome, Reason, ServiceState, State
from zoe_jupyter.model.units import format_duration


def time_passed(draft: Draft, event: TimePassed) -> None:
    """For what holds no services: only the lifetime can end."""
    _end_lifetime(draft)


def time_passed_while_stopping(draft: Draft, event: TimePassed) -> None:
    _end_lifetime(draft)
    stop_overdue(draft)


def time_passed_while_active(draft: Draft, event: TimePassed) -> None:
    if _end_lifetime(draft):
        return
    drain_overdue(draft)
    stop_overdue(draft)
    advance(draft)


def leases_changed(draft: Draft, event: LeasesChanged) -> None:
    """What is held is neither alone nor idle."""
    if event.count > 0:
        draft.change(unleased_since=None, idle_since=None)
    elif draft.execution.unleased_since is None:
        draft.change(unleased_since=draft.now)


def activity_seen(draft: Draft, event: ActivitySeen) -> None:
    """Whoever sends it decides what counts as busy."""
    if event.is_busy:
        draft.change(idle_since=None)
    elif draft.execution.idle_since is None:
        draft.change(idle_since=draft.now)


def next_due(execution: Execution) -> float | None:
    """The earliest epoch second at which ``TimePassed`` would do something; None: never, as things are."""
    return min((*_lifetime_moments(execution), *_service_moments(execution)), default=None)


def _end_lifetime(draft: Draft) -> bool:
    due = [(at, reason) for at, reason in _lifetime_ends(draft.execution, draft.now) if at <= draft.now]
    if due:
        stop(draft, Outcome.EXPIRED, min(due, key=lambda end: end[0])[1])
    return bool(due)


def _lifetime_moments(execution: Execution) -> Iterator[float]:
    return (at for at, _ in _lifetime_ends(execution, 0.0))


def _lifetime_ends(execution: Execution, now: float) -> Iterator[tuple[float, Reason]]:
    lifetime = execution.lifetime
    if execution.target.goal is Goal.STOP:
        return
    if lifetime.after_s is not None and execution.started_at is not None:
        yield execution.started_at + lifetime.after_s, _lifetime_reason(lifetime.after_s, now - execution.started_at)
    if lifetime.idle_s is not None and execution.idle_since is not None:
        yield execution.idle_since + lifetime.idle_s, _idle_reason(lifetime.idle_s, now - execution.idle_since)
    if lifetime.together_with is not None and execution.unleased_since is not None:
        holder = lifetime.together_with.value
        yield (
            execution.unleased_since + lifetime.grace_s,
            _unleased_reason(holder, lifetime.grace_s, now - execution.unleased_since),
        )


def _lifetime_reason(after_s: float, age_s: float) -> Reason:
    text = f"its lifetime of {format_duration(after_s)} is over; start it again, or with a longer `after`"
    return Reason("lifetime", text, {"after_s": after_s, "age_s": age_s})


def _idle_reason(idle_s: float, age_s: float) -> Reason:
    text = f"it was idle for {format_duration(idle_s)}; start it again, or with a longer `idle`"
    return Reason("idle", text, {"idle_s": idle_s, "age_s": age_s})


def _unleased_reason(holder: str, grace_s: float, age_s: float) -> Reason:
    text = f"no {holder} has held it for {format_duration(grace_s)}; start it again, or without `with: {holder}`"
    return Reason("unleased", text, {"grace_s": grace_s, "age_s": age_s})


def _service_moments(execution: Execution) -> Iterator[float]:
    """Deadlines of what drains and stops, and next tries of what only waits for its time."""
    services = execution.services.values()
    yield from (s.due_at for s in services if s.state in counts.LEAVING)
    is_active = execution.state in (State.STARTING, State.RUNNING)
    if is_active and any(service.state is ServiceState.WAITING for service in services):
        ready = counts.ready_processes(execution.application, services)
        yield from (s.due_at for s in counts.due_services(execution.application, services, ready))
