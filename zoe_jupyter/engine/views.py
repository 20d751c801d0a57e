"""The executions that live, as the scheduler wants to see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from zoe_jupyter.engine.remembering import Remembered
from zoe_jupyter.lifecycle.counts import wanted_core, wanted_elastic
from zoe_jupyter.lifecycle.events import Event, Grown, Placed, Preempted, Shrunk
from zoe_jupyter.model.execution import Execution, Goal, Reason, Service, ServiceState, State
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Demand, Job, Snapshot

ADMITTED = frozenset({State.STARTING, State.RUNNING})
LEAVING = frozenset({ServiceState.DRAINING, ServiceState.STOPPING})


class Jobs:
    """The executions as jobs of the scheduler, each made again only when it has changed."""

    def __init__(self) -> None:
        self._made = Remembered(lambda execution: job(execution) if _has_room_business(execution) else None)

    def snapshot(self, executions: Iterable[Execution], nodes: Sequence[Node], *, is_reachable: bool) -> Snapshot:
        """All that wants or holds room."""
        jobs = tuple(made for _, made in self._made.all(executions) if made is not None)
        return Snapshot(nodes=tuple(nodes), jobs=jobs, is_reachable=is_reachable)


def job(execution: Execution) -> Job:
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
        is_admitted=is_stopping or execution.state in ADMITTED,
        core=_counts(service for service in staying if service.is_core),
        elastic=_counts(service for service in staying if not service.is_core),
        leaving=_counts(service for service in held if service.state in LEAVING),
    )


def demands(execution: Execution) -> tuple[Demand, ...]:
    """What each process wants in all; the user's own scaling and tasks that are done already are reckoned in."""
    return tuple(
        Demand(
            process=process.name,
            resources=process.resources,
            core=wanted_core(execution, process),
            elastic=wanted_elastic(execution, process),
        )
        for process in execution.application.processes
    )


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


def happened(plan: Plan) -> dict[str, list[Event]]:
    """What a plan means for the lifecycle."""
    events: dict[str, list[Event]] = {}
    for execution_id, counts in plan.shrink.items():
        events.setdefault(execution_id, []).append(Shrunk(elastic=counts))
    for execution_id in plan.preempt:
        events.setdefault(execution_id, []).append(
            Preempted(Reason("preempted", "made room for an execution of a higher priority; it waits again"))
        )
    for execution_id, start in plan.start.items():
        events.setdefault(execution_id, []).append(Placed(core=start.core, elastic=start.elastic))
    for execution_id, more in plan.grow.items():
        events.setdefault(execution_id, []).append(Grown(core=more.core, elastic=more.elastic))
    return events


def _has_room_business(execution: Execution) -> bool:
    return (
        execution.state in ADMITTED
        or execution.state is State.STOPPING
        or (execution.state is State.QUEUED and execution.target.goal is Goal.RUN)
    )


def _counts(services: Iterable[Service]) -> Mapping[str, Mapping[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for service in services:
        nodes = counts.setdefault(service.process, {})
        nodes[service.node] = nodes.get(service.node, 0) + 1
    return counts


def _sum(execution: Execution, services: Iterable[Service]) -> Resources:
    total = Resources()
    for service in services:
        total = total + execution.application.process(service.process).resources
    return total
