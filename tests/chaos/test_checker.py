"""The checker itself: a world that is well has nothing to say; each way to break it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from zoe_jupyter.lifecycle.effects import Record
from zoe_jupyter.lifecycle.events import (
    Accepted,
    Event,
    Placed,
    ServiceExited,
    ServiceLaunched,
    ServiceReady,
    StopRequested,
)
from zoe_jupyter.lifecycle.step import step
from zoe_jupyter.model.application import Application, Process
from zoe_jupyter.model.execution import Execution, LogEvent, Outcome, Reason, ServiceState, State
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing import sight
from zoe_jupyter.testing.checker import broken
from zoe_jupyter.testing.sight import Sight

APPLICATION = Application(
    name="crew",
    title="Crew",
    contexts={},
    processes=(Process("crew.head", "crew", ("head",), resources=Resources(500_000, 1 << 20)),),
)
STOP = StopRequested(reason=Reason("stopped_by_user", "stopped by ada"))
MAIN = "one/crew.head-0#1"


def lived(*happened: Event, own: str = "one") -> tuple[Execution, list[LogEvent]]:
    """An execution to which this happened, and its part of the event log."""
    execution = Execution(own, own, "ada", APPLICATION)
    told = [LogEvent(0, 0.0, "execution.submitted", own, "ada", {"name": own})]
    for event in happened:
        execution, effects = step(execution, event, 1.0)
        for effect in effects:
            if isinstance(effect, Record):
                reason = {} if effect.reason is None else {"reason": {"text": effect.reason.text}}
                told.append(LogEvent(0, 1.0, effect.kind, own, "ada", {**effect.data, **reason}))
    return execution, told


def numbered(*logs: list[LogEvent]) -> list[LogEvent]:
    return [replace(event, seq=number) for number, event in enumerate((e for log in logs for e in log), start=1)]


START: tuple[Event, ...] = (
    Accepted(),
    Placed({"crew.head": {"local": 1}}),
    ServiceLaunched("crew.head-0", 1, {"pid": 7}, ports={"rpc": 20001}),
    ServiceReady("crew.head-0", 1),
)


def node(cores: float, memory_bytes: int, services: int) -> dict[str, Any]:
    return {
        "name": "local",
        "reserved": {"cores": cores, "memory_bytes": memory_bytes, "gpus": 0},
        "services": services,
    }


def well() -> Sight:
    """One runs, one waits, one was stopped."""
    runs, first = lived(*START)
    waits, second = lived(Accepted(), own="two")
    ended, third = lived(*START, STOP, ServiceExited("crew.head-0", 1, 143), own="three")
    return Sight(
        executions=(runs, waits, ended),
        events=numbered(first, second, third, [LogEvent(0, 2.0, "node.disabled", "", "", {"node": "far"})]),
        processes=(
            sight.Process(7, "one", "crew.head-0", 1, "head"),
            sight.Process(6, "one", ports=frozenset({20001})),
        ),
        launches=(MAIN, "three/crew.head-0#1"),
        run_folders=("one",),
        cages=("zoe.zoe.one.crew.head-0.1",),
        nodes=(node(0.5, 1 << 20, 1),),
        queue=({"execution_id": "two", "position": 1, "reason": {"text": "needs 0.5 cores"}},),
    )


def idle() -> Sight:
    ended, told = lived(*START, STOP, ServiceExited("crew.head-0", 1, 143), own="three")
    return Sight(executions=(ended,), events=numbered(told), launches=("three/crew.head-0#1",), nodes=(node(0, 0, 0),))


def test_a_world_that_is_well_has_nothing_to_say() -> None:
    assert broken(well()) == []
    assert broken(idle(), is_idle=True) == []


def changed(world: Sight, number: int, **fields: Any) -> Sight:
    executions = list(world.executions)
    executions[number] = replace(executions[number], **fields)
    return replace(world, executions=executions)


def with_service(world: Sight, **fields: Any) -> Sight:
    service = replace(world.executions[0].services["crew.head-0"], **fields)
    return changed(world, 0, services={"crew.head-0": service})


def with_event(world: Sight, kind: str, own: str = "one", **data: Any) -> Sight:
    return replace(world, events=numbered([*world.events, LogEvent(0, 2.0, kind, own, "ada", data)]))


BREAKS: dict[str, tuple[Callable[[Sight], Sight], str]] = {
    "an illegal state": (lambda w: changed(w, 0, state=State.SUSPENDED), "suspended with"),
    "an end that is none": (lambda w: changed(w, 2, outcome=None), "ended without an outcome"),
    "a process of what has ended": (
        lambda w: replace(w, processes=(*w.processes, sight.Process(8, "three", "crew.head-0", 1))),
        "three/crew.head-0#1 runs, and no living execution has it",
    ),
    "a process of a stranger": (
        lambda w: replace(w, processes=(*w.processes, sight.Process(8, "four", "crew.head-0", 1))),
        "four/crew.head-0#1 runs, and no living execution has it",
    ),
    "a ghost": (lambda w: replace(w, processes=w.processes[1:]), f"{MAIN} is said to run, and has no process"),
    "a late attempt": (
        lambda w: replace(w, processes=(*w.processes, sight.Process(8, "one", "crew.head-0", 2))),
        "attempts [1, 2] of crew.head-0 of one live at once",
    ),
    "a supervisor too many": (
        lambda w: replace(w, processes=(*w.processes, sight.Process(9, "one", ports=frozenset({20001})))),
        "one has 2 supervisors",
    ),
    "a supervisor of nobody": (
        lambda w: replace(w, processes=(*w.processes, sight.Process(9, "three"))),
        "supervisor 9 looks after three",
    ),
    "a folder of nobody": (lambda w: replace(w, run_folders=("one", "three")), "the run folder of three is left"),
    "a second start": (lambda w: replace(w, launches=(*w.launches, MAIN)), f"{MAIN} was started 2 times"),
    "more services than wanted": (
        lambda w: changed(
            w,
            0,
            services={
                name: replace(w.executions[0].services["crew.head-0"], name=name) for name in ("crew.head-0", "crew.head-1")
            },
        ),
        "publishes 2 services of crew.head, and wants 1",
    ),
    "two of one name": (lambda w: changed(w, 1, name="one"), "2 living executions of ada are named one"),
    "a port of nobody": (
        lambda w: replace(w, processes=(w.processes[0], replace(w.processes[1], ports=frozenset({20001, 20002})))),
        "ports [20002] are held for one",
    ),
    "a port that is not held": (
        lambda w: replace(w, processes=(w.processes[0], replace(w.processes[1], ports=frozenset()))),
        "ports [20001] of one are not held",
    ),
    "a control group of nobody": (
        lambda w: replace(w, cages=("zoe.zoe.three.crew.head-0.1",)),
        "control group zoe.zoe.three.crew.head-0.1 is left",
    ),
    "room that nobody has": (lambda w: replace(w, nodes=(node(1.0, 1 << 20, 1),)), "are reserved"),
    "memory that nobody has": (lambda w: replace(w, nodes=(node(0.5, 2 << 20, 1),)), "are reserved"),
    "a service too many in the room": (lambda w: replace(w, nodes=(node(0.5, 1 << 20, 2),)), "are reserved"),
    "a lost event": (lambda w: replace(w, events=[*w.events[:3], *w.events[4:]]), "gaps or repeats"),
    "a repeated event": (lambda w: replace(w, events=[*w.events[:3], *w.events[2:]]), "gaps or repeats"),
    "events out of order": (lambda w: replace(w, events=[w.events[1], w.events[0], *w.events[2:]]), "gaps or repeats"),
    "a second submit": (lambda w: with_event(w, "execution.submitted"), "submitted came after running"),
    "a second end": (lambda w: with_event(w, "execution.ended", "three"), "ended came after ended"),
    "an end that only the log knows": (lambda w: with_event(w, "execution.ended"), "it is running, and the event log says ended"),
    "a state that the log does not know": (
        lambda w: replace(w, events=numbered([e for e in w.events if e.kind != "execution.running"])),
        "it is running, and the event log says starting",
    ),
    "a service that is ready twice": (
        lambda w: with_event(w, "service.ready", service="crew.head-0", attempt=1),
        "crew.head-0#1 ready again or too late",
    ),
    "an attempt that counts down": (
        lambda w: with_event(w, "service.starting", service="crew.head-0", attempt=0),
        "crew.head-0#0 starting again or too late",
    ),
    "an end without a reason": (lambda w: changed(w, 2, reason=None), "nobody says why"),
    "an untrue reason": (
        lambda w: changed(w, 2, reason=Reason("lost", "stopped by ada")),
        "it is stopped because of lost",
    ),
    "a reason that the log does not know": (
        lambda w: changed(w, 2, reason=Reason("stopped_by_user", "stopped by bob")),
        "it says 'stopped by bob', and the event log says",
    ),
    "an outcome that the log does not know": (
        lambda w: changed(w, 2, outcome=Outcome.FAILED),
        "and the event log says stopped",
    ),
    "another try without a reason": (
        lambda w: with_service(w, state=ServiceState.WAITING, failures=1, handle={}),
        "crew.head-0 waits for another try, and nobody says why",
    ),
    "a wait without a reason": (lambda w: replace(w, queue=()), "two waits, and nobody says for what"),
    "a place of what does not wait": (
        lambda w: replace(w, queue=(*w.queue, {"execution_id": "one", "position": 2, "reason": {"text": "no"}})),
        "one is running, and has a place in the queue",
    ),
    "two in one place": (
        lambda w: replace(w, queue=(*w.queue, *w.queue)),
        "the places in the queue are [1, 1]",
    ),
    "a wait for nothing": (
        lambda w: replace(w, nodes=(node(0, 0, 0),)),
        "1 wait although nothing runs",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_world_is_told(name: str) -> None:
    break_it, expected = BREAKS[name]

    problems = broken(break_it(well()))

    assert any(expected in problem for problem in problems), problems


LEFT: dict[str, tuple[Callable[[Sight], Sight], str]] = {
    "an execution": (lambda w: replace(w, executions=(*w.executions, lived(Accepted())[0])), "although all is over"),
    "a process": (lambda w: replace(w, processes=(sight.Process(5, "three", "x-0", 1, "sleep"),)), "process 5 is left: sleep"),
    "a folder": (lambda w: replace(w, run_folders=("three",)), "the run folder three is left"),
    "a control group": (lambda w: replace(w, cages=("zoe.zoe.three.x-0.1",)), "the control group zoe.zoe.three.x-0.1 is left"),
    "room": (lambda w: replace(w, nodes=(node(0.5, 0, 1),)), "is still reserved"),
}  # fmt: skip


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_when_all_is_over_is_told(name: str) -> None:
    leave, expected = LEFT[name]

    problems = broken(leave(idle()), is_idle=True)

    assert any(expected in problem for problem in problems), problems
