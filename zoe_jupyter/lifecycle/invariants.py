"""What must hold of every execution at any time; for tests, and for a core in debugging."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.model.execution import Execution, Goal, Service, ServiceState, State

_EMPTY = frozenset({State.SUBMITTED, State.QUEUED, State.SUSPENDED})
_ACTIVE = frozenset({State.STARTING, State.RUNNING})
_GOALS = {State.SUSPENDED: Goal.SUSPEND, State.ENDED: Goal.STOP}


def validate(execution: Execution) -> list[str]:
    """The invariants that are broken, in words; empty when all is well."""
    return [problem for check in _CHECKS for problem in check(execution)]


def _goal(execution: Execution) -> Iterator[str]:
    goal = execution.target.goal
    if execution.state is not State.STOPPING and goal is not _GOALS.get(execution.state, Goal.RUN):
        yield f"{execution.state.value} with goal {goal.value}"
    if (goal is Goal.STOP) != (execution.target.outcome is not None):
        yield f"goal {goal.value} with target outcome {execution.target.outcome}"


def _end(execution: Execution) -> Iterator[str]:
    if execution.is_ended and None in (execution.outcome, execution.ended_at):
        yield "ended without an outcome and a moment"
    if not execution.is_ended and (execution.outcome, execution.ended_at) != (None, None):
        yield "has an outcome or a moment of its end although it has not ended"


def _states(execution: Execution) -> Iterator[str]:
    services = execution.services.values()
    if execution.state in _EMPTY and services:
        yield f"{execution.state.value} with services"
    if execution.is_ended and any(s.state is not ServiceState.ENDED for s in services):
        yield "ended with services that have not"
    if execution.state is State.STOPPING:
        yield from (
            f"stopping, but {s.name} is {s.state.value}"
            for s in services
            if s.state not in (ServiceState.STOPPING, ServiceState.ENDED)
        )
        if all(s.state is ServiceState.ENDED for s in services):
            yield "stopping with nothing left to stop"
    if execution.idle_since is not None and execution.state is not State.RUNNING:
        yield f"idle although {execution.state.value}"


def _core(execution: Execution) -> Iterator[str]:
    if execution.state not in _ACTIVE:
        return
    ready = counts.ready_processes(execution.application, execution.services.values())
    is_ready = all(process.name in ready for process in execution.application.processes)
    if is_ready != (execution.state is State.RUNNING):
        yield f"{execution.state.value} with core ready: {is_ready}"
    if execution.state is State.RUNNING and execution.started_at is None:
        yield "running, but never started"
    for process in execution.application.processes:
        if sum(s.process == process.name and s.is_core for s in execution.services.values()) > process.core:
            yield f"more core services of {process.name} than {process.core}"
    yield from (problem for s in execution.services.values() if s.is_core for problem in _core_service(execution, s))


def _core_service(execution: Execution, service: Service) -> Iterator[str]:
    if service.state in counts.LEAVING:
        yield f"core service {service.name} is {service.state.value} in an execution that is {execution.state.value}"
    if service.state is ServiceState.ENDED and (
        service.process != execution.application.ends_with or service.exit_code != 0
    ):
        yield f"core service {service.name} has ended, and the execution goes on"


def _services(execution: Execution) -> Iterator[str]:
    processes = {process.name for process in execution.application.processes}
    for name, service in execution.services.items():
        if (
            name != service.name
            or service.process not in processes
            or name != f"{service.process}-{counts.number(name)}"
        ):
            yield f"{name} is not a name of a service of {service.process}"
        if service.attempt < 1 or (service.failures < 0):
            yield f"{name} has attempt {service.attempt} and {service.failures} failures"
        if service.attempt <= execution.spent_attempts.get(name, 0):
            yield f"{name} uses attempt {service.attempt} again"
        yield from _service(service)


def _service(service: Service) -> Iterator[str]:
    if service.state is ServiceState.WAITING and service.handle:
        yield f"{service.name} waits to be launched and has a handle"
    if service.state is ServiceState.RUNNING and service.ready_at is None:
        yield f"{service.name} runs and was never ready"
    if (service.due_at > 0) and service.state not in (*counts.LEAVING, ServiceState.WAITING):
        yield f"{service.name} is {service.state.value} with a deadline"
    if service.due_at <= 0 and service.state in counts.LEAVING:
        yield f"{service.name} is {service.state.value} without a deadline"
    if service.state is ServiceState.DRAINING and service.is_core:
        yield f"{service.name} is drained although it is core"


_CHECKS: tuple[Callable[[Execution], Iterator[str]], ...] = (_goal, _end, _states, _core, _services)
