"""A broken execution is seen as such: each invariant, broken once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.lifecycle.life import HEAD, Life
from zoe_jupyter.lifecycle.events import StopRequested, SuspendRequested
from zoe_jupyter.lifecycle.invariants import validate
from zoe_jupyter.model.execution import Execution, Goal, Outcome, Service, ServiceState, State, Target

RUNNING = Life.running().execution
STOPPING = Life.running().happens(StopRequested()).execution
ENDED = Life.running().happens(StopRequested()).all_exit().execution
SUSPENDED = Life.running().happens(SuspendRequested()).all_exit().execution
WAITING = Life.placed().execution


def with_service(execution: Execution, name: str, **changes: Any) -> Execution:
    return replace(execution, services={**execution.services, name: replace(execution.services[name], **changes)})


def with_more(execution: Execution, service: Service, *, key: str = "") -> Execution:
    return replace(execution, services={**execution.services, key or service.name: service})


SECOND_HEAD = Service("spark.head-1", HEAD, "n1", is_core=True, state=ServiceState.RUNNING, ready_at=1.0)

BROKEN: list[tuple[Callable[[], Execution], str]] = [
    (lambda: replace(RUNNING, target=Target(goal=Goal.SUSPEND)), "running with goal suspend"),
    (lambda: replace(STOPPING, target=Target(goal=Goal.STOP)), "goal stop with target outcome None"),
    (lambda: replace(ENDED, ended_at=None), "ended without an outcome and a moment"),
    (
        lambda: replace(RUNNING, outcome=Outcome.FAILED),
        "has an outcome or a moment of its end although it has not ended",
    ),
    (lambda: replace(SUSPENDED, services=ENDED.services), "suspended with services"),
    (lambda: replace(ENDED, services=STOPPING.services), "ended with services that have not"),
    (lambda: replace(STOPPING, services=RUNNING.services), "stopping, but spark.head-0 is running"),
    (lambda: replace(STOPPING, services=ENDED.services), "stopping with nothing left to stop"),
    (lambda: replace(STOPPING, idle_since=1.0), "idle although stopping"),
    (lambda: replace(RUNNING, state=State.STARTING), "starting with core ready: True"),
    (lambda: replace(WAITING, state=State.RUNNING), "running with core ready: False"),
    (lambda: replace(RUNNING, started_at=None), "running, but never started"),
    (lambda: with_more(RUNNING, SECOND_HEAD), "more core services of spark.head than 1"),
    (
        lambda: with_service(RUNNING, "spark.head-0", state=ServiceState.STOPPING, due_at=1.0),
        "core service spark.head-0 is stopping in an execution that is running",
    ),
    (
        lambda: with_service(RUNNING, "spark.head-0", state=ServiceState.ENDED),
        "core service spark.head-0 has ended, and the execution goes on",
    ),
    (
        lambda: with_more(RUNNING, SECOND_HEAD, key="spark.head-7"),
        "spark.head-7 is not a name of a service of spark.head",
    ),
    (lambda: with_service(RUNNING, "spark.head-0", attempt=0), "spark.head-0 has attempt 0 and 0 failures"),
    (lambda: replace(RUNNING, spent_attempts={"spark.head-0": 1}), "spark.head-0 uses attempt 1 again"),
    (
        lambda: with_service(WAITING, "spark.worker-0", handle={"pid": 1}),
        "spark.worker-0 waits to be launched and has a handle",
    ),
    (lambda: with_service(RUNNING, "spark.worker-1", ready_at=None), "spark.worker-1 runs and was never ready"),
    (lambda: with_service(RUNNING, "spark.worker-1", due_at=1.0), "spark.worker-1 is running with a deadline"),
    (lambda: with_service(STOPPING, "spark.worker-1", due_at=0.0), "spark.worker-1 is stopping without a deadline"),
    (
        lambda: with_service(RUNNING, "spark.head-0", state=ServiceState.DRAINING, due_at=1.0),
        "spark.head-0 is drained although it is core",
    ),
]


@pytest.mark.parametrize("execution", [RUNNING, STOPPING, ENDED, SUSPENDED, WAITING], ids=lambda e: e.state.value)
def test_all_is_well(execution: Execution) -> None:
    assert validate(execution) == []


@pytest.mark.parametrize(("broken", "problem"), BROKEN, ids=[problem for _, problem in BROKEN])
def test_a_broken_invariant_is_named(broken: Callable[[], Execution], problem: str) -> None:
    assert problem in validate(broken())
