"""The transition table: what may happen when, and what is refused how."""

from __future__ import annotations

import pytest

from tests.lifecycle.life import HEAD, Life
from zoe_jupyter.lifecycle import events as e
from zoe_jupyter.lifecycle.events import Event
from zoe_jupyter.lifecycle.step import step
from zoe_jupyter.lifecycle.table import TABLE
from zoe_jupyter.model.errors import Conflict, InvalidTransition
from zoe_jupyter.model.execution import Execution, Reason, State

EVENTS: tuple[Event, ...] = (
    e.Accepted(),
    Life.of().room(),
    e.Grown(),
    e.Shrunk({}),
    e.Preempted(Reason("preempted", "made room")),
    e.StopRequested(),
    e.RestartRequested(),
    e.SuspendRequested(),
    e.ResumeRequested(),
    e.ScaleRequested({}),
    e.ServiceLaunched("spark.head-0", 9, {}),
    e.ServiceReady("spark.head-0", 9),
    e.ServiceTroubled("spark.head-0", 9, Reason("out_of_memory", "a child")),
    e.ServiceExited("spark.head-0", 9, 1),
    e.LaunchFailed("spark.head-0", 9, Reason("fatal", "no")),
    e.ServiceDrained("spark.head-0", 9),
    e.TimePassed(),
    e.ClockSet(3600.0),
    e.Paused(60.0),
    e.LeasesChanged(0),
    e.ActivitySeen(True),
)
LIVES: dict[State, Life] = {
    State.SUBMITTED: Life.of(),
    State.QUEUED: Life.of().happens(e.Accepted()),
    State.STARTING: Life.placed(),
    State.RUNNING: Life.running(),
    State.STOPPING: Life.running().happens(e.StopRequested()),
    State.SUSPENDED: Life.running().happens(e.SuspendRequested()).all_exit(),
    State.ENDED: Life.running().happens(e.StopRequested()).all_exit(),
}
ALLOWED = {
    e.Accepted: "S",
    e.Placed: "Q",
    e.Grown: "TR",
    e.Shrunk: "TR",
    e.Preempted: "TR",
    e.StopRequested: "SQTRPUE",
    e.RestartRequested: "SQTRpue",
    e.SuspendRequested: "SQTRpUe",
    e.ResumeRequested: "SQTRpUe",
    e.ScaleRequested: "SQTRpUe",
    e.ServiceLaunched: "SQTRPUE",
    e.ServiceReady: "SQTRPUE",
    e.ServiceTroubled: "SQTRPUE",
    e.ServiceExited: "SQTRPUE",
    e.LaunchFailed: "SQTRPUE",
    e.ServiceDrained: "SQTRPUE",
    e.TimePassed: "SQTRPUE",
    e.ClockSet: "SQTRPUE",
    e.Paused: "SQTRPUE",
    e.LeasesChanged: "SQTRPUE",
    e.ActivitySeen: "SQTRPUE",
}
"""S submitted, Q queued, T starting, R running, P stopping, U suspended, E ended; lower case: a Conflict."""
LETTERS = dict(
    zip(
        "SQTRPUE",
        (State.SUBMITTED, State.QUEUED, State.STARTING, State.RUNNING, State.STOPPING, State.SUSPENDED, State.ENDED),
        strict=True,
    )
)


def test_every_event_has_its_row() -> None:
    assert {event for _, event in TABLE} == {type(event) for event in EVENTS} == set(ALLOWED)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("letter", LETTERS)
def test_what_may_happen_in_which_state(event: Event, letter: str) -> None:
    execution = LIVES[LETTERS[letter]].execution
    if letter in ALLOWED[type(event)]:
        assert isinstance(step(execution, event, 2000.0)[0], Execution)
    else:
        expected = Conflict if letter.lower() in ALLOWED[type(event)] else InvalidTransition
        with pytest.raises(expected):
            step(execution, event, 2000.0)


def test_an_impossible_event_tells_the_story() -> None:
    """A developer sees from the message alone what the execution was."""
    with pytest.raises(
        InvalidTransition,
        match=r"Accepted cannot happen to an execution that is running\n(.|\n)*spark.head-0#1 core on n1: running",
    ):
        step(LIVES[State.RUNNING].execution, e.Accepted(), 1.0)


@pytest.mark.parametrize(
    ("core", "elastic", "message"),
    [
        ({HEAD: {"n1": 1}}, {}, "room for 0 core services of spark.worker, which needs 1"),
        ({HEAD: {"n1": 1}, "spark.worker": {"n1": 1, "n2": 1}}, {}, "room for 2 core services of spark.worker"),
        ({HEAD: {"n1": 1}, "spark.worker": {"n1": 1}}, {"other": {"n1": 1}}, "processes that it does not have: other"),
    ],
)
def test_room_must_be_for_the_whole_core_and_nothing_else(
    core: e.Placement, elastic: e.Placement, message: str
) -> None:
    with pytest.raises(InvalidTransition, match=message):
        step(LIVES[State.QUEUED].execution, e.Placed(core, elastic), 1.0)


def test_more_core_than_is_lacking_is_refused() -> None:
    with pytest.raises(InvalidTransition, match=r"room for 1 more core services of spark\.head, which has 1 of 1"):
        step(LIVES[State.RUNNING].execution, e.Grown(core={HEAD: {"n1": 1}}), 1.0)


@pytest.mark.parametrize(
    ("state", "event", "message"),
    [
        (State.ENDED, e.RestartRequested(), "execution mine has ended: it cannot restart; start a new one"),
        (State.SUSPENDED, e.RestartRequested(), "execution mine is suspended: it cannot restart; resume it instead"),
        (State.STOPPING, e.SuspendRequested(), "is being stopped and cannot be suspended"),
        (State.STOPPING, e.ScaleRequested({}), "is being stopped and cannot be scaled"),
    ],
)
def test_a_refusal_names_the_way_out(state: State, event: Event, message: str) -> None:
    with pytest.raises(Conflict, match=message):
        step(LIVES[state].execution, event, 1.0)


@pytest.mark.parametrize("event", [e.RestartRequested(), e.ResumeRequested()])
@pytest.mark.parametrize("state", [State.SUBMITTED, State.QUEUED])
def test_who_asks_for_what_is_so_already_changes_nothing(state: State, event: Event) -> None:
    execution = LIVES[state].execution
    assert step(execution, event, 1.0) == (execution, ())
