"""A machine that is taken out of use is emptied of what is there, and of nothing else."""

from __future__ import annotations

from tests.lifecycle.life import Life, job
from zoe_jupyter.engine.draining import drained
from zoe_jupyter.lifecycle.events import Accepted, Placed, Preempted
from zoe_jupyter.model.application import RestartWhen


def test_a_job_does_not_begin_anew_for_a_task_that_has_ended_there() -> None:
    tasks = job(tasks=2, when=RestartWhen.ON_FAILURE)
    life = Life.of(tasks).happens(Accepted(), Placed({"job.main": {"left": 1, "right": 1}})).all_ready()
    done = next(service.name for service in life.execution.services.values() if service.node == "left")
    execution = life.exits(done, 0).execution

    assert drained([execution], frozenset({"left"})) == {}
    [event] = drained([execution], frozenset({"right"}))[execution.id]
    assert isinstance(event, Preempted)
