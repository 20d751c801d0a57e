"""What a machine that is to be empty means for what runs there."""

from __future__ import annotations

from collections.abc import Iterable

from zoe_jupyter.engine import views
from zoe_jupyter.lifecycle.events import Event, Preempted, Shrunk
from zoe_jupyter.model.application import RestartWhen
from zoe_jupyter.model.execution import Execution, Reason, ServiceState

_GONE = views.LEAVING | {ServiceState.ENDED}
"""On their way out of a machine, or out of it: a job's task that has ended there keeps none of it busy."""


def drained(executions: Iterable[Execution], nodes: frozenset[str]) -> dict[str, list[Event]]:
    """Elastic services hand over and go; an execution whose core is there is taken back whole, and starts elsewhere.

    A program that must run only once is let end.
    """
    found: dict[str, list[Event]] = {}
    for execution in executions if nodes else ():
        if execution.state not in views.ADMITTED:
            continue
        there = [s for s in execution.services.values() if s.node in nodes and s.state not in _GONE]
        core = [service for service in there if service.is_core]
        if core and not _runs_only_once(execution):
            found[execution.id] = [Preempted(_reason(core[0].node))]
        elif elastic := [service for service in there if not service.is_core]:
            found[execution.id] = [Shrunk(elastic=views.counts(elastic))]
    return found


def _runs_only_once(execution: Execution) -> bool:
    core = [service for service in execution.services.values() if service.is_core]
    return any(execution.application.process(s.process).restart.when is RestartWhen.NEVER for s in core)


def _reason(node: str) -> Reason:
    return Reason("node_drained", f"its node {node} is taken out of use; it starts again on another", {"node": node})
