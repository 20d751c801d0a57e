"""What must hold after any fault, and when nothing is under way: each function names the contradictions in what is the case. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zoe_jupyter.engine import views
from zoe_jupyter.lifecycle.counts import ALIVE, wanted_elastic
from zoe_jupyter.lifecycle.invariants import validate
from zoe_jupyter.model.execution import Execution, LogEvent, Outcome, Service, ServiceState, State
from zoe_jupyter.testing.sight import Sight, mark

FOLLOWS: Mapping[str, frozenset[str]] = {
    "": frozenset({"submitted"}),
    "submitted": frozenset({"queued", "suspended", "ended"}),
    "queued": frozenset({"starting", "suspended", "ended"}),
    "starting": frozenset({"running", "stopping", "queued", "suspended", "ended"}),
    "running": frozenset({"starting", "stopping", "queued", "suspended", "ended"}),
    "stopping": frozenset({"stopping", "queued", "suspended", "ended"}),
    "suspended": frozenset({"queued", "ended"}),
    "ended": frozenset({"forgotten"}),
    "forgotten": frozenset(),
}
"""Which state may come after which, by the event log."""
ONCE = ("starting", "ready", "draining", "stopping", "exited", "removed")
"""What happens to an attempt at most once, in this order."""
CAUSES = {Outcome.STOPPED: ("stopped_by_user",), Outcome.LOST: ("lost",)}
"""The only true reasons of an outcome, where there are but few."""


def broken(sight: Sight, *, is_idle: bool = False) -> list[str]:
    """The broken invariants, in words; ``is_idle``: all is over, and nothing may be left at all."""
    problems = [problem for check in CHECKS for problem in check(sight)]
    return [*problems, *(_left(sight) if is_idle else ())]


def _legal(sight: Sight) -> Iterator[str]:
    for execution in sight.executions:
        yield from (f"{execution.name}: {problem}" for problem in validate(execution))


def _processes(sight: Sight) -> Iterator[str]:
    """No process without a live execution, and no "running" without its processes."""
    services = {name: service for _, name, service in _services(sight)}
    alive = {process.name for process in sight.processes if process.service}
    for name in sorted(alive):
        if name not in services or services[name].state not in ALIVE:
            yield f"{name} runs, and no living execution has it"
    for name, service in services.items():
        if service.state is ServiceState.RUNNING and name not in alive:
            yield f"{name} is said to run, and has no process"
    lively = {execution.id for execution in sight.executions if not execution.is_ended}
    for process in sight.processes:
        if not process.service and process.execution not in lively:
            yield f"supervisor {process.pid} looks after {process.execution}, which does not live"
    yield from (
        f"the run folder of {name} is left, which does not live" for name in sight.run_folders if name not in lively
    )


def _doubled(sight: Sight) -> Iterator[str]:
    """At most one published set of services for each execution."""
    for name, times in Counter(sight.launches).items():
        if times > 1:
            yield f"{name} was started {times} times"
    for name, times in Counter(p.execution for p in sight.processes if not p.service).items():
        if times > 1:
            yield f"{name} has {times} supervisors"
    attempts = defaultdict(set)
    for process in sight.processes:
        if process.service:
            attempts[process.execution, process.service].add(process.attempt)
    for (execution_id, service), found in attempts.items():
        if len(found) > 1:
            yield f"attempts {sorted(found)} of {service} of {execution_id} live at once"
    for execution in sight.executions:
        yield from _too_many(execution)
    names = Counter((e.owner, e.name) for e in sight.executions if not e.is_ended)
    yield from (
        f"{times} living executions of {owner} are named {name}" for (owner, name), times in names.items() if times > 1
    )


def _too_many(execution: Execution) -> Iterator[str]:
    for process in execution.application.processes:
        staying = [
            service
            for service in execution.services.values()
            if service.process == process.name and service.state in (ServiceState.STARTING, ServiceState.RUNNING)
        ]
        most = process.core + max(wanted_elastic(execution, process), 0)
        if len(staying) > most and not execution.is_ended:
            yield f"{execution.name} publishes {len(staying)} services of {process.name}, and wants {most}"


def _ports(sight: Sight) -> Iterator[str]:
    """Port numbers are held for what lives, and for nothing else."""
    owners: dict[int, str] = {}
    wanted: dict[str, set[int]] = defaultdict(set)
    for execution, name, service in _services(sight):
        if service.state in ALIVE:
            wanted[execution.id] |= set(service.ports.values())
            for number in service.ports.values():
                if owners.setdefault(number, name) != name:
                    yield f"port {number} belongs to {owners[number]} and to {name}"
    for process in sight.processes:
        if process.service:
            continue
        held = process.ports
        if extra := held - wanted[process.execution]:
            yield f"ports {sorted(extra)} are held for {process.execution}, and nothing that lives has them"
        if lacking := wanted[process.execution] - held:
            yield f"ports {sorted(lacking)} of {process.execution} are not held: others may take them"


def _memory(sight: Sight) -> Iterator[str]:
    """Control groups are there for what lives only."""
    alive = {f"{e.id}.{s.name}.{s.attempt}" for e, _, s in _services(sight) if s.state in ALIVE}
    for name in sight.cages:
        if name.split(".", 2)[2] not in alive:
            yield f"control group {name} is left, and nothing that lives has it"


def _reserved(sight: Sight) -> Iterator[str]:
    """What the scheduler believes to be taken is what lives."""
    for node in sight.nodes or ():
        taken, count = (0, 0, 0), 0
        for execution in sight.executions:
            room, services = views.reserved_on(execution, node["name"])
            if not execution.is_ended:
                taken = taken[0] + room.microcores, taken[1] + room.memory_bytes, taken[2] + room.gpus
                count += services
        said = node["reserved"]
        believed = round(said["cores"] * 1e6), said["memory_bytes"], said["gpus"]
        if (*believed, node["services"]) != (*taken, count):
            yield f"{node['name']}: {believed} for {node['services']} services are reserved; {taken} for {count} live"


def _log(sight: Sight) -> Iterator[str]:
    """Every event once and in order."""
    numbers = [event.seq for event in sight.events]
    if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield f"the event log has gaps or repeats: {numbers}"
    by_execution: dict[str, list[LogEvent]] = defaultdict(list)
    for event in sight.events:
        if event.execution_id:  # else it is of a machine or a quota
            by_execution[event.execution_id].append(event)
    states = {execution.id: execution.state.value for execution in sight.executions}
    for execution_id in {**by_execution, **states}:
        happened = by_execution[execution_id]
        yield from (f"{execution_id}: {problem}" for problem in _walk(happened, states.get(execution_id, "forgotten")))
        yield from (f"{execution_id}: {problem}" for problem in _attempts(happened))


def _walk(events: Sequence[LogEvent], state: str) -> Iterator[str]:
    """The states of one execution must follow each other, and lead to the stored one."""
    before = ""
    for event in events:
        kind = event.kind.removeprefix("execution.")
        if kind not in FOLLOWS:
            continue
        if kind not in FOLLOWS[before]:
            yield f"{kind} came after {before or 'nothing'} (event {event.seq})"
        before = kind
    if before != state:
        yield f"it is {state}, and the event log says {before or 'nothing'}"


def _attempts(events: Sequence[LogEvent]) -> Iterator[str]:
    """Each step of an attempt once and in order; attempts count up."""
    reached: dict[str, tuple[int, int]] = {}
    for event in events:
        what = event.kind.removeprefix("service.")
        if not event.kind.startswith("service.") or what not in ONCE:
            continue
        step = int(event.data["attempt"]), ONCE.index(what)
        before = reached.get(event.data["service"], (0, 0))
        if what == "removed" and before[0] < step[0]:
            continue  # it only waited: its successor starts with the same attempt
        if step <= before:
            yield f"{event.data['service']}#{step[0]} {what} again or too late (event {event.seq})"
        reached[event.data["service"]] = step


def _reasons(sight: Sight) -> Iterator[str]:
    """Whoever asks why is told, and told the truth."""
    last = {event.execution_id: event for event in sight.events if event.kind == "execution.ended"}
    for execution in sight.executions:
        if execution.is_ended:
            yield from (f"{execution.name}: {problem}" for problem in _end(execution, last.get(execution.id)))
        for service in execution.services.values():
            if service.failures and service.state is ServiceState.WAITING and not _says(service.reason):
                yield f"{execution.name}: {service.name} waits for another try, and nobody says why"
    yield from _queue(sight)


def _end(execution: Execution, event: LogEvent | None) -> Iterator[str]:
    reason, outcome = execution.reason, execution.outcome
    told = {} if event is None else event.data
    if told.get("outcome") != (outcome.value if outcome else None):
        yield f"it is {outcome}, and the event log says {told.get('outcome')}"
    if outcome is Outcome.SUCCEEDED:
        ends_with = execution.application.ends_with
        if any(service.process == ends_with and service.exit_code for service in execution.services.values()):
            yield "it succeeded, although a service failed"
        return
    if reason is None or not _says(reason):
        yield f"it ended as {outcome.value if outcome else 'nothing'}, and nobody says why"
        return
    if (told.get("reason") or {}).get("text") != reason.text:
        yield f"it says {reason.text!r}, and the event log says {told.get('reason')}"
    if outcome in CAUSES and reason.code not in CAUSES[outcome]:
        yield f"it is {outcome.value} because of {reason.code}: {reason.text}"
    named = execution.services.get(str(reason.numbers.get("service"))) if outcome is Outcome.FAILED else None
    if named is not None and named.exit_code != reason.numbers.get("exit_code"):
        yield f"{named.name} ended with {named.exit_code}, and the reason says {reason.numbers.get('exit_code')}"


def _queue(sight: Sight) -> Iterator[str]:
    if sight.nodes is None:
        return
    places = {place["execution_id"]: place for place in sight.queue}
    for execution in sight.executions:
        is_queued = execution.state is State.QUEUED
        if is_queued and not _says(places.get(execution.id, {}).get("reason")):
            yield f"{execution.name} waits, and nobody says for what"
        if not is_queued and execution.id in places:
            yield f"{execution.name} is {execution.state.value}, and has a place in the queue"
    positions = sorted(place["position"] for place in sight.queue)
    if positions != list(range(1, len(positions) + 1)):
        yield f"the places in the queue are {positions}"
    if places and not any(node["services"] for node in sight.nodes):
        yield f"{len(places)} wait although nothing runs"


def _says(reason: Any) -> bool:
    return bool(reason["text"] if isinstance(reason, Mapping) else reason and reason.text)


def _left(sight: Sight) -> Iterator[str]:
    yield from (f"{e.name} is {e.state.value} although all is over" for e in sight.executions if not e.is_ended)
    yield from (f"process {p.pid} is left: {p.command}" for p in sight.processes)
    yield from (f"the run folder {name} is left" for name in sight.run_folders)
    yield from (f"the control group {name} is left" for name in sight.cages)
    yield from (
        f"{node['reserved']} of {node['name']} is still reserved" for node in sight.nodes or () if node["services"]
    )


def _services(sight: Sight) -> Iterator[tuple[Execution, str, Service]]:
    for execution in sight.executions:
        for service in execution.services.values():
            yield execution, mark(execution.id, service.name, service.attempt), service


CHECKS: tuple[Callable[[Sight], Iterator[str]], ...] = (
    _legal, _processes, _doubled, _ports, _memory, _reserved, _log, _reasons,
)  # fmt: skip
