"""For people: what happened to an execution, how far it is, and what it is (for error messages)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoe_jupyter.lifecycle import counts, titles
from zoe_jupyter.model.application import Process
from zoe_jupyter.model.execution import (
    HINDRANCES,
    Execution,
    Goal,
    LogEvent,
    Reason,
    Service,
    ServiceState,
    State,
    Story,
)
from zoe_jupyter.model.units import format_duration

Facts = Mapping[str, Any]


def story(events: Sequence[LogEvent], *, reader: str = "") -> tuple[Story, ...]:
    """Retell the event log of one execution, one line for each event, in its order; what ``reader`` did as ``you``."""
    return tuple(Story(event.at, _tell(event, reader)) for event in events)


def _tell(event: LogEvent, reader: str) -> str:
    line = _LINES.get(event.kind)
    text = line(event.data) if line else event.kind.replace(".", " ").replace("_", " ")
    why = _why(event.data, reader)
    if event.kind == "execution.ended" and why:
        return f"ended: {told_once(str(event.data.get('outcome') or ''), why)}"
    return f"{text}: {why}" if why else text


def _why(data: Facts, reader: str) -> str:
    reason = data.get("reason")
    if not isinstance(reason, Mapping):
        return str(data.get("text", ""))
    numbers = reason.get("numbers") or {}
    return addressed(Reason(str(reason.get("code", "")), str(reason.get("text", "")), numbers), reader).text


def addressed(reason: Reason, reader: str) -> Reason:
    """The reason as its reader says it: what they did themselves was done by ``you``."""
    if reason.code == "stopped_by_user" and reader and reason.numbers.get("user") == reader:
        return replace(reason, text="stopped by you")
    return reason


def told_once(outcome: str, why: str) -> str:
    """How it ended and why, without a word said twice."""
    return why if not outcome or why.startswith(outcome) else f"{outcome}: {why}"


def _service(data: Facts) -> str:
    attempt = data.get("attempt", 1)
    return f"{data.get('service', 'a service')}" + (f" (attempt {attempt})" if attempt != 1 else "")


def _exited(data: Facts) -> str:
    code = data.get("exit_code")
    ended = f"{_service(data)} ended" + (f" with exit code {code}" if code is not None else "")
    retry_in_s = data.get("retry_in_s")
    return ended if retry_in_s is None else f"{ended}, next try in {format_duration(retry_in_s)}"


def _removed(data: Facts) -> str:
    wanted = data.get("wanted")
    return f"{_service(data)} was taken away" + (
        f", {wanted} elastic ones are wanted from now on" if wanted is not None else ""
    )


def _scaled(data: Facts) -> str:
    """All services of a process are counted; Zoe did not always write down how many it cannot do without."""
    before, core = data.get("before", {}), data.get("core", {})
    changes = [
        f"{name} from {before[name] + core[name]} to {count + core[name]}"
        if name in core
        else f"{name} to {count} more"
        for name, count in data.get("elastic", {}).items()
    ]
    return f"scaled: {', '.join(changes)}"


_STOPPING_SAID = {
    Goal.STOP.value: "stopping",
    Goal.SUSPEND.value: "stopping, to be suspended",
    Goal.RUN.value: "stopping, to start anew",
}
_LINES: Mapping[str, Callable[[Facts], str]] = {
    "execution.submitted": lambda data: "submitted",
    "execution.queued": lambda data: "queued",
    "execution.waiting": lambda data: "waits",
    "execution.starting": lambda data: "starting",
    "execution.running": lambda data: "running: all that it needs is ready",
    "execution.stopping": lambda data: _STOPPING_SAID.get(data.get("goal", ""), "stopping"),
    "execution.suspended": lambda data: "suspended",
    "execution.restarted": lambda data: "restart wanted",
    "execution.scaled": _scaled,
    "execution.ended": lambda data: f"ended: {data.get('outcome') or 'nobody knows how'}",
    "service.starting": lambda data: f"{_service(data)} is started on {data.get('node', 'its node')}",
    "service.ready": lambda data: f"{_service(data)} is ready",
    "service.troubled": lambda data: f"{_service(data)} is in trouble",
    "service.exited": _exited,
    "service.draining": lambda data: f"{_service(data)} hands over its work before it is taken away",
    "service.stopping": lambda data: f"{_service(data)} is being taken away",
    "service.removed": _removed,
}


def progress(execution: Execution) -> str:
    """One line for people who wait: ``queued``, ``starting master``, ``worker 1 of 2 ready``, ``running``."""
    return _PROGRESS[execution.state](execution)


def _suspended(execution: Execution) -> str:
    return "suspended; resume it to go on"


def _plain(execution: Execution) -> str:
    return execution.state.value


def _active(execution: Execution) -> str:
    pending = [p for p in execution.application.processes if _is_pending(execution, p)]
    if not pending:
        return execution.state.value + "".join(_roomless(execution))
    first = min(pending, key=lambda p: counts.depth(execution.application, p.name))
    return _of_process(execution, first)


def _is_pending(execution: Execution, process: Process) -> bool:
    """Whether services of it are still to come: core ones that it lacks, and any that have room and are not ready."""
    services = _services(execution, process)
    done = sum(s.is_core and s.state in (ServiceState.RUNNING, ServiceState.ENDED) for s in services)
    return done < process.core or any(s.state in (ServiceState.WAITING, ServiceState.STARTING) for s in services)


def _roomless(execution: Execution) -> Iterator[str]:
    """What it could use and the machines have no room for."""
    for process in execution.application.processes:
        held, wanted = len(_services(execution, process)), process.core + counts.wanted_elastic(execution, process)
        if held < wanted:
            yield f", {titles.of_process(execution.application, process.name)}: room for {held} of {wanted}"


def _of_process(execution: Execution, process: Process) -> str:
    services = _services(execution, process)
    title = titles.of_process(execution.application, process.name)
    again = next((s for s in services if s.state is ServiceState.WAITING and s.reason), None)
    if again is not None and again.reason is not None:
        return f"starting {titles.of_service(execution.application, again)} again: {again.reason.text}"
    for service in services:
        if service.reason is not None and service.reason.code in HINDRANCES and service.state is ServiceState.STARTING:
            return f"starting {title}: {service.reason.text}"
    total = max(process.core, len(services))
    ready = sum(s.state is ServiceState.RUNNING for s in services)
    if total == 1 or (ready == 0 and any(s.state is ServiceState.STARTING for s in services)):
        return f"starting {title}"
    return f"{title} {ready} of {total} ready"


def _services(execution: Execution, process: Process) -> list[Service]:
    """Those that are there to stay."""
    return [s for s in execution.services.values() if s.process == process.name and s.state not in counts.LEAVING]


def _stopping(execution: Execution) -> str:
    left = sum(service.state in counts.ALIVE for service in execution.services.values())
    doing = {Goal.STOP: "stopping", Goal.SUSPEND: "suspending", Goal.RUN: "restarting"}[execution.target.goal]
    return f"{doing}, {left} service{'s' if left != 1 else ''} left"


def _ended(execution: Execution) -> str:
    outcome = execution.outcome.value if execution.outcome else "ended"
    return told_once(outcome, execution.reason.text) if execution.reason else outcome


_PROGRESS: Mapping[State, Callable[[Execution], str]] = {
    State.SUBMITTED: _plain,
    State.QUEUED: _plain,
    State.STARTING: _active,
    State.RUNNING: _active,
    State.SUSPENDED: _suspended,
    State.STOPPING: _stopping,
    State.ENDED: _ended,
}


def describe(execution: Execution) -> str:
    """All that a developer needs to know of an execution that something impossible happened to."""
    target = execution.target
    asked = f"wanted {target.goal.value}, generation {target.generation}, version {execution.version}"
    times = f"queued {execution.queued_at}, started {execution.started_at}, ended {execution.ended_at}"
    lines = [
        f"execution {execution.id} ({execution.name} of {execution.owner}): {execution.state.value}, {asked}",
        f"created {execution.created_at}, {times}",
    ]
    return "\n".join([*lines, *map(_describe_service, execution.services.values())])


def _describe_service(service: Service) -> str:
    kind = "core" if service.is_core else "elastic"
    where = f"{service.name}#{service.attempt} {kind} on {service.node}"
    return f"{where}: {service.state.value}, failures {service.failures}, due {service.due_at}"
