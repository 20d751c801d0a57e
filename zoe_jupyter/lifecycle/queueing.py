"""Into the queue and out of it: acceptance, room from the scheduler, resumption."""

from __future__ import annotations

from collections.abc import Mapping

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.advance import advance
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.events import Accepted, Grown, Placed, Placement, ResumeRequested
from zoe_jupyter.model.errors import InvalidTransition
from zoe_jupyter.model.execution import Goal, Reason, Service, State


def accepted(draft: Draft, event: Accepted) -> None:
    """It waits since it was submitted: those that are taken in together keep their order."""
    enqueue(draft)
    draft.change(queued_at=draft.execution.created_at)


def enqueue(draft: Draft, *, reason: Reason | None = None) -> None:
    """Begin a try: what was done in the one before is lost with its services."""
    draft.change(queued_at=draft.now, up_at=None, done_s=0.0, done_at=0.0, grow_after=0.0)
    draft.enter(State.QUEUED, reason=reason)


def resumed(draft: Draft, event: ResumeRequested) -> None:
    draft.aim(Goal.RUN)
    enqueue(draft)


def placed(draft: Draft, event: Placed) -> None:
    _refuse_strangers(draft, event.core, event.elastic)
    for process in draft.execution.application.processes:
        given = sum(event.core.get(process.name, {}).values())
        if given != process.core:
            raise InvalidTransition(f"room for {given} core services of {process.name}, which needs {process.core}")
    draft.enter(State.STARTING)
    _add(draft, event.core, is_core=True)
    _add(draft, event.elastic, is_core=False)
    advance(draft)


def grown(draft: Draft, event: Grown) -> None:
    _refuse_strangers(draft, event.core, event.elastic)
    for process in draft.execution.application.processes:
        given = sum(event.core.get(process.name, {}).values())
        held = sum(s.is_core and s.process == process.name for s in draft.services)
        if given > process.core - held:
            raise InvalidTransition(
                f"room for {given} more core services of {process.name}, which has {held} of {process.core}"
            )
    _add(draft, event.core, is_core=True)
    _add(draft, event.elastic, is_core=False)
    advance(draft)


def _refuse_strangers(draft: Draft, *placements: Placement) -> None:
    known = {process.name for process in draft.execution.application.processes}
    strangers = sorted(name for placement in placements for name in placement if name not in known)
    if strangers:
        raise InvalidTransition(f"room for processes that it does not have: {', '.join(strangers)}")


def _add(draft: Draft, placement: Mapping[str, Mapping[str, int]], *, is_core: bool) -> None:
    for process in draft.execution.application.processes:
        taken = {service.name for service in draft.services}
        for node, count in placement.get(process.name, {}).items():
            for _ in range(count):
                name = counts.free_name(process.name, taken)
                taken.add(name)
                attempt = draft.execution.spent_attempts.get(name, 0) + 1
                draft.put(Service(name=name, process=process.name, node=node, is_core=is_core, attempt=attempt))
