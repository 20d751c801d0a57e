"""Taking an execution down: for good, for later (suspend), or to begin anew (restart, preemption)."""

from __future__ import annotations

from typing import Any

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.effects import Clean, Force, Stop
from zoe_jupyter.lifecycle.events import Preempted, RestartRequested, ResumeRequested, StopRequested, SuspendRequested
from zoe_jupyter.lifecycle.queueing import enqueue
from zoe_jupyter.model.errors import Conflict
from zoe_jupyter.model.execution import Goal, Outcome, Reason, Service, ServiceState, State

OVERDUE_S = 10.0
"""After the grace, how long to wait before a stop is asked for again."""


def stop_requested(draft: Draft, event: StopRequested) -> None:
    stop(draft, event.outcome, event.reason)


def stop(draft: Draft, outcome: Outcome, reason: Reason | None) -> None:
    """End the execution as ``outcome``; the first such wish decides."""
    if draft.execution.target.goal is Goal.STOP:
        return
    draft.aim(Goal.STOP, outcome=outcome, reason=reason)
    _take_down(draft)


def suspend_requested(draft: Draft, event: SuspendRequested) -> None:
    """Take the services away and keep the rest; with the goal of a restart under way, that one changes."""
    _refuse_when_ending(draft, "suspended")
    if draft.execution.target.goal is not Goal.SUSPEND:
        draft.aim(Goal.SUSPEND)
        _take_down(draft)


def restart_requested(draft: Draft, event: RestartRequested) -> None:
    draft.aim(Goal.RUN, generation=draft.execution.target.generation + 1)
    draft.record("execution.restarted", {"generation": draft.execution.target.generation})
    _take_down(draft)


def restart_requested_while_stopping(draft: Draft, event: RestartRequested) -> None:
    """A suspension under way becomes a restart; a restart under way is one already."""
    _refuse_when_ending(draft, "restarted")
    if draft.execution.target.goal is Goal.SUSPEND:
        restart_requested(draft, event)


def resume_requested_while_stopping(draft: Draft, event: ResumeRequested) -> None:
    """It will be queued again when all its services are gone."""
    _refuse_when_ending(draft, "resumed")
    if draft.execution.target.goal is Goal.SUSPEND:
        draft.aim(Goal.RUN)


def preempted(draft: Draft, event: Preempted) -> None:
    take_back(draft, event.reason)


def take_back(draft: Draft, reason: Reason) -> None:
    """Give all of its room back and queue it again, with the reason."""
    draft.aim(Goal.RUN, reason=reason)
    _take_down(draft)


def _refuse_when_ending(draft: Draft, wish: str) -> None:
    if draft.execution.target.goal is Goal.STOP:
        raise Conflict(
            f"execution {draft.execution.name} is being stopped and cannot be {wish}; start a new one when it has ended"
        )


def _take_down(draft: Draft) -> None:
    """Stop all services, those first that come after others; when none is alive, the goal is reached at once."""
    target = draft.execution.target
    application = draft.execution.application
    for service in sorted(draft.services, key=lambda s: -counts.depth(application, s.process)):
        if service.state is ServiceState.WAITING:
            _drop_waiting(draft, service)
        elif service.state not in (ServiceState.STOPPING, ServiceState.ENDED):
            stop_service(draft, service)
    if any(service.state in counts.ALIVE for service in draft.services):
        facts: dict[str, Any] = {"goal": target.goal.value}
        if target.outcome is not None:
            facts["outcome"] = target.outcome.value
        draft.enter(State.STOPPING, reason=target.reason, **facts)
    else:
        reach_goal(draft)


def _drop_waiting(draft: Draft, service: Service) -> None:
    """It does not run: the attempt before, if there was one, is what became of it."""
    if service.attempt - 1 > draft.execution.spent_attempts.get(service.name, 0):
        draft.put(service, state=ServiceState.ENDED, attempt=service.attempt - 1, due_at=0.0)
    else:
        draft.remove(service)


def stop_service(draft: Draft, service: Service) -> Service:
    """Ask a live service to end."""
    grace_s = draft.process_of(service).grace_s
    stopping = draft.put(service, state=ServiceState.STOPPING, due_at=draft.now + grace_s + OVERDUE_S)
    draft.act(Stop(service.name, service.attempt, grace_s))
    return stopping


def stop_overdue(draft: Draft) -> None:
    """Ask again, without grace, for what should have ended by now; where all is to end, see to it that it does."""
    overdue = [each for each in draft.services if each.state is ServiceState.STOPPING and each.due_at <= draft.now]
    for service in overdue:
        draft.put(service, due_at=draft.now + OVERDUE_S)
        draft.act(Stop(service.name, service.attempt, 0.0))
    alive = [each for each in draft.services if each.state in counts.ALIVE]
    is_grace_over = all(each.due_at <= draft.now + OVERDUE_S for each in alive)
    if overdue and is_grace_over and draft.execution.state is State.STOPPING:
        draft.act(Force({each.name: each.attempt for each in alive}))


def reach_goal(draft: Draft) -> None:
    """When no service is alive any more, the execution is where it was wanted."""
    if any(service.state in counts.ALIVE for service in draft.services):
        return
    target = draft.execution.target
    if target.goal is Goal.STOP:
        draft.change(outcome=target.outcome, ended_at=draft.now)
        draft.enter(State.ENDED, reason=target.reason, outcome=target.outcome.value if target.outcome else None)
        draft.act(Clean())
        return
    for service in draft.services:
        draft.remove(service)
    if target.goal is Goal.SUSPEND:
        draft.enter(State.SUSPENDED)
    else:
        draft.aim(Goal.RUN)
        enqueue(draft, reason=target.reason)
