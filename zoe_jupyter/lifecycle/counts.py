"""What an execution wants and has, in counts. The engine asks the same questions for the scheduler."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from zoe_jupyter.model.application import Application, Process
from zoe_jupyter.model.execution import Execution, Service, ServiceState

ALIVE = frozenset({ServiceState.STARTING, ServiceState.RUNNING, ServiceState.DRAINING, ServiceState.STOPPING})
"""States in which a backend may have something of the service."""
LEAVING = frozenset({ServiceState.DRAINING, ServiceState.STOPPING})
NO_PLACE = "no_place"
"""The code of why what needs the address of others could not be launched; its number ``processes``: those that had no place."""


def wanted_elastic(execution: Execution, process: Process) -> int:
    """Elastic services that are wanted in all."""
    return execution.target.elastic.get(process.name, process.elastic)


def wanted_core(execution: Execution, process: Process, services: Iterable[Service] | None = None) -> int:
    """Core services that must have room: a job's tasks that have ended well need none any more."""
    services = execution.services.values() if services is None else services
    return process.core - sum(
        s.process == process.name and s.is_core and s.state is ServiceState.ENDED for s in services
    )


def number(name: str) -> int:
    """The n of ``<process>-<n>``; -1 when there is none."""
    match = re.search(r"-(\d+)\Z", name)
    return int(match[1]) if match else -1


def free_name(process: str, taken: Collection[str]) -> str:
    """The name with the lowest number that is free."""
    n = 0
    while f"{process}-{n}" in taken:
        n += 1
    return f"{process}-{n}"


def ready_processes(application: Application, services: Iterable[Service]) -> frozenset[str]:
    """The processes of which every core service is ready, or has done its work."""
    lacking = {process.name: process.core for process in application.processes}
    for service in services:
        if service.is_core and service.state in (ServiceState.RUNNING, ServiceState.ENDED):
            lacking[service.process] -= 1
    return frozenset(name for name, count in lacking.items() if count <= 0)


def without_place(application: Application, services: Iterable[Service]) -> list[str]:
    """The processes whose core services were all lost with their machines, while others of the execution go on."""
    placed = {service.process for service in services}
    return [process.name for process in application.processes if process.core and process.name not in placed]


def due_services(application: Application, services: Collection[Service], ready: frozenset[str]) -> Iterator[Service]:
    """Those that wait for nothing but their time; ``ready``: the processes that are."""
    lacking = without_place(application, services)
    for service in (each for each in services if each.state is ServiceState.WAITING):
        if ready.issuperset(application.process(service.process).after) and not _lacks(service, lacking):
            yield service


def _lacks(service: Service, lacking: list[str]) -> bool:
    """Whether it would be told once more what it was told."""
    reason = service.reason
    if not lacking or reason is None or reason.code != NO_PLACE:
        return False
    return list(reason.numbers.get("processes", ())) == lacking


def depth(application: Application, process: str) -> int:
    """How many processes must be ready one after the other before this one."""
    return max((depth(application, before) + 1 for before in application.process(process).after), default=0)
