"""Launches what may be launched, and says whether the execution is running."""

from __future__ import annotations

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.effects import Launch
from zoe_jupyter.model.execution import ServiceState, State


def advance(draft: Draft) -> None:
    """Bring an execution in starting or running as far as it can go now."""
    application = draft.execution.application
    ready = counts.ready_processes(application, draft.services)
    for service in list(counts.due_services(application, draft.services, ready)):
        if service.due_at <= draft.now:
            started = draft.put(service, state=ServiceState.STARTING, due_at=0.0, exit_code=None)
            draft.record_service("starting", started)
            draft.act(Launch(started.name, started.attempt))
    _settle(draft, is_ready=len(ready) == len(application.processes))


def _settle(draft: Draft, *, is_ready: bool) -> None:
    if is_ready and draft.execution.state is State.STARTING:
        if draft.execution.up_at is None:
            earlier = draft.execution.started_at
            draft.change(up_at=draft.now, failed_starts=0, started_at=draft.now if earlier is None else earlier)
        draft.enter(State.RUNNING)
    elif not is_ready and draft.execution.state is State.RUNNING:
        draft.enter(State.STARTING)
