"""How much of its work an execution has done: the integral of (core + elastic services at work) over (core + elastic wanted)."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.lifecycle import counts
from zoe_jupyter.model.execution import Execution, ServiceState, State


def done_s(execution: Execution, now: float) -> float:
    """What is done until now, in seconds with all that it wants."""
    return execution.done_s + _rate(execution) * max(0.0, now - execution.done_at)


def worked(before: Execution, after: Execution, now: float) -> Execution:
    """``after``, with what ``before`` had done when its rate changed."""
    if after is before or after.up_at is None or _rate(before) == _rate(after):
        return after
    return replace(after, done_s=done_s(before, now), done_at=now)


def _rate(execution: Execution) -> float:
    """Nothing is done before all core services are there, nor by an elastic one that is not ready or on its way out."""
    if execution.state is not State.RUNNING:
        return 0.0
    processes = execution.application.processes
    core = sum(process.core for process in processes)
    wanted = core + sum(counts.wanted_elastic(execution, process) for process in processes)
    at_work = core + sum(not s.is_core and s.state is ServiceState.RUNNING for s in execution.services.values())
    return at_work / wanted if wanted else 1.0
