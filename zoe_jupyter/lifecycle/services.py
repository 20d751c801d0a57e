"""What happens to a service when its backend tells of it. News of another attempt than the current one is never applied."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.lifecycle.advance import advance
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.events import (
    LaunchFailed,
    ServiceDrained,
    ServiceExited,
    ServiceLaunched,
    ServiceReady,
    ServiceTroubled,
)
from zoe_jupyter.lifecycle.failing import exited_unexpectedly, launch_failed_unexpectedly
from zoe_jupyter.lifecycle.stopping import reach_goal, stop_service
from zoe_jupyter.model.execution import PULLING, UNTOLD, Reason, Service, ServiceState, State

STOPPED = "stopped"
"""The code of a service's reason that says: it ended because it was told to."""
PLAIN_ENDS = ("exited", "killed")
"""What backends say of programs that have just ended, in whatever way."""


def launched(draft: Draft, event: ServiceLaunched) -> None:
    """Remember where it is; also of one that is on its way out, so that it can be found."""
    service = draft.attempt(event.service, event.attempt)
    if service is not None and service.state in counts.ALIVE:
        reason = None if _is_over_once_launched(service.reason) else service.reason
        image = event.image or service.image
        draft.put(service, handle=event.handle, host=event.host, ports=event.ports, image=image, reason=reason)


def _is_over_once_launched(reason: Reason | None) -> bool:
    """Whether it says why it could not be launched yet; why the attempt before ended is told until this one is ready."""
    return reason is not None and (reason.code in (PULLING, UNTOLD) or "retry_in_s" in reason.numbers)


def ready(draft: Draft, event: ServiceReady) -> None:
    service = draft.attempt(event.service, event.attempt)
    if service is None or service.state is not ServiceState.STARTING:
        return
    draft.record_service("ready", draft.put(service, state=ServiceState.RUNNING, ready_at=draft.now, reason=None))
    advance(draft)


def troubled(draft: Draft, event: ServiceTroubled) -> None:
    service = draft.attempt(event.service, event.attempt)
    if service is None or service.state not in counts.ALIVE:
        return
    if service.state in counts.LEAVING and not _is_kept(event.reason or service.reason):
        return
    if event.reason is None:
        draft.put(service, reason=None)
    elif service.reason != event.reason:
        draft.record_service("troubled", draft.put(service, reason=event.reason), reason=event.reason)


def _is_kept(reason: Reason | None) -> bool:
    """Whether its machine does not let it go, since it does not answer."""
    return reason is not None and reason.code in ("lost", UNTOLD)


def exited(draft: Draft, event: ServiceExited) -> None:
    service = draft.attempt(event.service, event.attempt)
    if service is None or service.state not in counts.ALIVE:
        return
    if service.state in counts.LEAVING:
        _gone(draft, service, event.exit_code, event.reason)
    else:
        exited_unexpectedly(draft, service, event)


def launch_failed(draft: Draft, event: LaunchFailed) -> None:
    service = draft.attempt(event.service, event.attempt)
    if service is None or service.state not in counts.ALIVE:
        return
    if service.state in counts.LEAVING:
        _gone(draft, service, None, event.reason)
    elif service.state is ServiceState.STARTING:
        launch_failed_unexpectedly(draft, service, event)


def drained(draft: Draft, event: ServiceDrained) -> None:
    service = draft.attempt(event.service, event.attempt)
    if service is not None and service.state is ServiceState.DRAINING:
        stop_service(draft, service)


def _gone(draft: Draft, service: Service, exit_code: int | None, reason: Reason | None) -> None:
    """It ended as it was told to."""
    reason = _as_told(reason)
    ended = draft.put(service, state=ServiceState.ENDED, exit_code=exit_code, reason=reason, due_at=0.0)
    if draft.execution.state is State.STOPPING:
        draft.record_service("exited", ended, reason=reason, exit_code=exit_code)
        reach_goal(draft)
    else:
        draft.remove(ended)
        draft.record_service("removed", ended, reason=reason, exit_code=exit_code)


def _as_told(reason: Reason | None) -> Reason | None:
    """Programs end in many ways when they are told to, and none is a failure; what else happened to it meanwhile stays as it is."""
    if reason is None or reason.code not in PLAIN_ENDS:
        return reason
    return replace(reason, code=STOPPED, text=f"stopped: {reason.text}")
