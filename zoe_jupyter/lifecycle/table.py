"""The one transition table: which rule applies to an event in a state. What is not here is a defect of the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoe_jupyter.lifecycle import events, lifetime, moments, queueing, scaling, services, stopping
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.model.errors import Conflict
from zoe_jupyter.model.execution import State

Rule = Callable[[Draft, Any], None]


def ignore(draft: Draft, event: events.Event) -> None:
    """It changes nothing here: it is so already, or came too late to matter."""


def refuse(draft: Draft, event: events.Event) -> None:
    """A user asked for what this state does not allow. Raises Conflict."""
    wish = type(event).__name__.removesuffix("Requested").lower()
    state = draft.execution.state
    way_out = "resume it instead" if state is State.SUSPENDED else "start a new one"
    raise Conflict(f"execution {draft.execution.name} {_SAID[state]}: it cannot {wish}; {way_out}")


_SAID = {State.SUSPENDED: "is suspended", State.ENDED: "has ended"}

_SUBMITTED, _QUEUED, _STARTING, _RUNNING = State.SUBMITTED, State.QUEUED, State.STARTING, State.RUNNING
_SUSPENDED, _STOPPING, _ENDED = State.SUSPENDED, State.STOPPING, State.ENDED


def _in(*states: State, rule: Rule) -> dict[State, Rule]:
    return dict.fromkeys(states, rule)


def _of_services(rule: Rule) -> dict[State, Rule]:
    """News of a service may come late: then there is none of that attempt."""
    return {**_in(*State, rule=ignore), **_in(_STARTING, _RUNNING, _STOPPING, rule=rule)}


_ROWS: Mapping[type[Any], Mapping[State, Rule]] = {
    events.Accepted: _in(_SUBMITTED, rule=queueing.accepted),
    events.Placed: _in(_QUEUED, rule=queueing.placed),
    events.Grown: _in(_STARTING, _RUNNING, rule=queueing.grown),
    events.Shrunk: _in(_STARTING, _RUNNING, rule=scaling.shrunk),
    events.Preempted: _in(_STARTING, _RUNNING, rule=stopping.preempted),
    events.StopRequested: {**_in(*State, rule=stopping.stop_requested), _ENDED: ignore},
    events.RestartRequested: {
        **_in(_SUBMITTED, _QUEUED, rule=ignore),
        **_in(_STARTING, _RUNNING, rule=stopping.restart_requested),
        _STOPPING: stopping.restart_requested_while_stopping,
        **_in(_SUSPENDED, _ENDED, rule=refuse),
    },
    events.SuspendRequested: {**_in(*State, rule=stopping.suspend_requested), _SUSPENDED: ignore, _ENDED: refuse},
    events.ResumeRequested: {
        **_in(_SUBMITTED, _QUEUED, _STARTING, _RUNNING, rule=ignore),
        _SUSPENDED: queueing.resumed,
        _STOPPING: stopping.resume_requested_while_stopping,
        _ENDED: refuse,
    },
    events.ScaleRequested: {**_in(*State, rule=scaling.scale_requested), _ENDED: refuse},
    events.ServiceLaunched: _of_services(services.launched),
    events.ServiceReady: _of_services(services.ready),
    events.ServiceTroubled: _of_services(services.troubled),
    events.ServiceExited: _of_services(services.exited),
    events.LaunchFailed: _of_services(services.launch_failed),
    events.ServiceDrained: _of_services(services.drained),
    events.TimePassed: {
        **_in(_SUBMITTED, _QUEUED, _SUSPENDED, rule=lifetime.time_passed),
        **_in(_STARTING, _RUNNING, rule=lifetime.time_passed_while_active),
        _STOPPING: lifetime.time_passed_while_stopping,
        _ENDED: ignore,
    },
    events.ClockSet: {**_in(*State, rule=moments.clock_set), _ENDED: ignore},
    events.Paused: {**_in(*State, rule=moments.paused), _ENDED: ignore},
    events.LeasesChanged: {**_in(*State, rule=lifetime.leases_changed), _ENDED: ignore},
    events.ActivitySeen: {**_in(*State, rule=ignore), _RUNNING: lifetime.activity_seen},
}

TABLE: Mapping[tuple[State, type[Any]], Rule] = {
    (state, event): rule for event, row in _ROWS.items() for state, rule in row.items()
}
