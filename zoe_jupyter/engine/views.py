"""The executions that live, as the scheduler wants to see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches

from zoe_jupyter.lifecycle.counts import wanted_core, wanted_elastic
from zoe_jupyter.lifecycle.events import Event, Grown, Placed, Preempted, Shrunk
from zoe_jupyter.model.execution import Execution, Goal, Reason, Service, ServiceState, State
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Demand, Job, Together

ADMITTED = frozenset({State.STARTING, State.RUNNING})
LEAVING = frozenset({ServiceState.DRAINING, ServiceState.STOPPING})


def job(execution: Execution, *, group: str = "", may_be_preempted: bool = False) -> Job:
    """One execution in counts."""
    held = [service for service in execution.services.values() if service.state is not ServiceState.ENDED]
    staying = [service for service in held if service.state not in LEAVING]
    is_stopping = execution.state is State.STOPPING
    return Job(
        id=execution.id,
        owner=execution.owner,
        demands=tuple(replace(demand, core=0, elastic=0) for demand in demands(execution))
        if is_stopping
        else demands(execution),
        queued_at=execution.queued_at if execution.queued_at is not None else execution.created_at,
        priority=execution.priority,
        group=group,
        weight=execution.weight,
        run_s=execution.estimate_s,
        is_assumed=execution.is_assumed,
        started_at=execution.up_at,
        done_s=execution.done_s,
        done_at=execution.done_at,
        grow_after=execution.grow_after,
        may_be_preempted=may_be_preempted,
        failed_starts=execution.failed_starts,
        not_before=execution.not_before,
        is_admitted=is_stopping or execution.state in ADMITTED,
        core=counts(service for service in staying if service.is_core),
        elastic=counts(service for service in staying if not service.is_core),
        leaving=counts(service for service in held if service.state in LEAVING),
    )


def demands(execution: Execution) -> tuple[Demand, ...]:
    """What each process wants in all; the user's own scaling and tasks that are done already are reckoned in."""
    return tuple(
        Demand(
            process=process.name,
            resources=process.resources,
            core=wanted_core(execution, process),
            elastic=wanted_elastic(execution, process),
            labels=process.labels,
            together=Together(process.together),
        )
        for process in execution.application.processes
    )


def core(execution: Execution) -> Resources:
    """The room that all its core services need together."""
    total = Resources()
    for process in execution.application.processes:
        total = total + process.resources * process.core
    return total


def held(job: Job) -> Resources:
    """The room that it takes, what is on its way out included."""
    total = Resources()
    for demand in job.demands:
        count = sum(sum(part.get(demand.process, {}).values()) for part in (job.core, job.elastic, job.leaving))
        total = total + demand.resources * count
    return total


def reserved(execution: Execution) -> Resources:
    """The room that it takes now."""
    return _sum(
        execution, (service for service in execution.services.values() if service.state is not ServiceState.ENDED)
    )


def reserved_on(execution: Execution, node: str) -> tuple[Resources, int]:
    """The room that it takes on a node, and its services there."""
    there = [
        service
        for service in execution.services.values()
        if service.node == node and service.state is not ServiceState.ENDED
    ]
    return _sum(execution, there), len(there)


def by_owner(executions: Iterable[Execution]) -> dict[str, tuple[int, Resources]]:
    """How many each owner has, and the room that they take."""
    uses: dict[str, tuple[int, Resources]] = {}
    for execution in executions:
        count, total = uses.get(execution.owner, (0, Resources()))
        uses[execution.owner] = (count + 1, total + reserved(execution))
    return uses


def main_service(execution: Execution) -> str:
    """The service whose log people mean: of the process that ends it, else of the last process that started."""
    application = execution.application
    process = application.ends_with or application.processes[-1].name
    names = sorted(
        (s.name for s in execution.services.values() if s.process == process), key=lambda name: (len(name), name)
    )
    return names[0] if names else f"{process}-0"


def happened(plan: Plan, *, grow_after: float) -> dict[str, list[Event]]:
    """What a plan means for the lifecycle; who gives way to another does not grow before ``grow_after``."""
    events: dict[str, list[Event]] = {}
    for execution_id, services in plan.shrink.items():
        after = grow_after if execution_id in plan.shrunk_for else 0.0
        events.setdefault(execution_id, []).append(Shrunk(elastic=services, grow_after=after))
    for execution_id in plan.preempt:
        events.setdefault(execution_id, []).append(
            Preempted(Reason("preempted", "made room for an execution of a higher priority; it waits again"))
        )
    for execution_id, start in plan.start.items():
        events.setdefault(execution_id, []).append(Placed(core=start.core, elastic=start.elastic))
    for execution_id, more in plan.grow.items():
        events.setdefault(execution_id, []).append(Grown(core=more.core, elastic=more.elastic))
    return events


def has_room_business(execution: Execution) -> bool:
    """Whether it wants or holds room."""
    return (
        execution.state in ADMITTED
        or execution.state is State.STOPPING
        or (execution.state in (State.SUBMITTED, State.QUEUED) and execution.target.goal is Goal.RUN)
    )


def counts(services: Iterable[Service]) -> Mapping[str, Mapping[str, int]]:
    """By process and node."""
    found: dict[str, dict[str, int]] = {}
    for service in services:
        nodes = found.setdefault(service.process, {})
        nodes[service.node] = nodes.get(service.node, 0) + 1
    return found


def _sum(execution: Execution, services: Iterable[Service]) -> Resources:
    total = Resources()
    for service in services:
        total = total + execution.application.process(service.process).resources
    return total


def closest(name: str, owner: str, executions: Iterable[Execution]) -> str:
    """The owner's living execution that may be meant, as the end of an error; empty where none is near."""
    names = sorted({execution.name for execution in executions if execution.owner == owner})
    close = get_close_matches(name[:80], names, n=1)
    return f"; did you mean {close[0]}?" if close else ""
