"""More and fewer elastic services: what the user wants, and what the scheduler takes back."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.advance import advance
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.effects import Drain
from zoe_jupyter.lifecycle.events import ScaleRequested, Shrunk
from zoe_jupyter.lifecycle.stopping import stop_service
from zoe_jupyter.model.errors import Conflict
from zoe_jupyter.model.execution import Execution, Goal, Service, ServiceState


def scale_requested(draft: Draft, event: ScaleRequested) -> None:
    """Change what is wanted; the scheduler grows and shrinks accordingly."""
    if draft.execution.target.goal is Goal.STOP:
        raise Conflict(f"execution {draft.execution.name} is being stopped and cannot be scaled; start a new one")
    for name, count in event.elastic.items():
        _check(draft.execution, name, count)
    wanted = {p.name: counts.wanted_elastic(draft.execution, p) for p in draft.execution.application.processes}
    changed = {name: count for name, count in event.elastic.items() if wanted[name] != count}
    if changed:
        target = draft.execution.target
        draft.change(target=replace(target, elastic={**target.elastic, **changed}))
        before = {name: wanted[name] for name in changed}
        core = {p.name: p.core for p in draft.execution.application.processes if p.name in changed}
        draft.record("execution.scaled", {"elastic": changed, "before": before, "core": core})


def _check(execution: Execution, name: str, count: int) -> None:
    processes = {process.name: process for process in execution.application.processes}
    if name not in processes:
        raise Conflict(f"execution {execution.name} has no process {name[:80]!r}; it has: {', '.join(processes)}")
    most = max(processes[name].elastic, processes[name].elastic_limit)
    if not 0 <= count <= most:
        raise Conflict(f"{name} of execution {execution.name} can have 0 to {most} elastic services, not {count}")


def shrunk(draft: Draft, event: Shrunk) -> None:
    """Take back so many on each node: first those that do no work yet, then the newest."""
    for process, nodes in event.elastic.items():
        for node, count in nodes.items():
            held = [
                s
                for s in draft.services
                if (s.process, s.node, s.is_core) == (process, node, False) and s.state not in counts.LEAVING
            ]
            for service in sorted(held, key=_worth)[:count]:
                _take_back(draft, service)
    if event.grow_after:
        draft.change(grow_after=event.grow_after)
    advance(draft)


def _worth(service: Service) -> tuple[bool, int]:
    return service.state is ServiceState.RUNNING, -counts.number(service.name)


def _take_back(draft: Draft, service: Service) -> None:
    drain = draft.process_of(service).drain
    if service.state is ServiceState.WAITING:
        draft.remove(service)
        draft.record_service("removed", service)
    elif drain is not None and service.state is ServiceState.RUNNING:
        draining = draft.put(service, state=ServiceState.DRAINING, due_at=draft.now + drain.timeout_s)
        draft.record_service("draining", draining)
        draft.act(Drain(service.name, service.attempt, drain.timeout_s))
    else:
        draft.record_service("stopping", stop_service(draft, service))


def drain_overdue(draft: Draft) -> None:
    """What takes too long to drain is stopped all the same."""
    for service in draft.services:
        if service.state is ServiceState.DRAINING and service.due_at <= draft.now:
            draft.record_service("stopping", stop_service(draft, service))
