"""Those that have no room on the only node that they may go to. No cluster is needed."""

from __future__ import annotations

import pytest

from tests.backends.kubernetes.test_upkeep import WHO, known, only, pinned, pod
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes.upkeep import Crowded


def test_who_finds_no_room_on_its_node_is_to_go_elsewhere_and_nobody_is_placed_there_for_a_while() -> None:
    found = known(pinned())
    crowded = Crowded(found, open_nodes=lambda: {"n1", "n2"})

    assert crowded.look(1000.0) == []
    assert crowded.look(1029.0) == []
    assert crowded.nodes(1029.0) == set()
    ((attempt, reason),) = crowded.look(1030.0)
    found.give_up(attempt, reason)

    assert (only(found).state, only(found).is_blameless, dict(reason.numbers)) == (
        SeenState.EXITED,
        True,
        {"node": "n1"},
    )
    assert crowded.look(1031.0) == []
    assert (crowded.nodes(1149.0), crowded.nodes(1150.0)) == ({"n1"}, set())


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"),
        ("Unschedulable", 'persistentvolumeclaim "data" not found'),
        ("Unschedulable", "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports"),
    ],
)
def test_who_waits_for_something_else_than_room_waits_on(reason: str, message: str) -> None:
    crowded = Crowded(known(pinned(reason=reason, message=message)), open_nodes=lambda: {"n1", "n2"})

    assert crowded.look(1000.0) == []
    assert crowded.look(9000.0) == []


def test_who_lacks_a_port_that_its_own_execution_has_goes_elsewhere() -> None:
    """Else the start would wait for its own end. Others are kept from that node for a moment only."""
    message = "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports"
    sibling = Attempt("lab", "x1", "app.other-0", 1)
    beside = pod(sibling)
    found = known(pinned(message=message), beside)
    crowded = Crowded(found, open_nodes=lambda: {"n1", "n2"})
    assert (crowded.look(900.0), crowded.look(999.0)) == ([], []), "that one is not on the node's network"

    beside["spec"]["hostNetwork"] = True
    crowded.look(1000.0)
    assert [attempt for attempt, _ in crowded.look(1030.0)] == [WHO]
    assert (crowded.nodes(1039.0), crowded.nodes(1040.0)) == ({"n1"}, set())
    assert (crowded.look(1040.0), crowded.look(1059.0)) == ([], [])
    assert [attempt for attempt, _ in crowded.look(1060.0)] == [WHO], (
        "ever more seldom, where it comes back to that node"
    )
    found.take(WHO.name, pod())
    crowded.look(1061.0)
    found.take(WHO.name, pinned(message=message))
    assert [len(crowded.look(at)) for at in (1070.0, 1100.0)] == [0, 1], "it had a node meanwhile"


def test_who_lacks_a_port_opens_no_node_that_has_no_room() -> None:
    message = "0/2 nodes are available: 1 node(s) didn't have free ports for the requested pod ports"
    others = [Attempt("lab", "x1", f"app.other-{number}", 1) for number in range(2)]
    holder = pod(others[0])
    holder["spec"]["hostNetwork"] = True
    crowded = Crowded(known(pinned(), holder, pinned(others[1], message=message)), open_nodes=lambda: {"n1", "n2"})
    crowded.look(1000.0)
    assert len(crowded.look(1030.0)) == 2
    assert crowded.nodes(1149.0) == {"n1"}


def test_who_finds_no_room_waits_for_it_and_its_node_stays_open_where_there_is_no_other() -> None:
    open_nodes = {"n1"}
    crowded = Crowded(known(pinned()), open_nodes=lambda: open_nodes)

    assert crowded.look(1000.0) == []
    assert (crowded.look(1031.0), crowded.nodes(1031.0)) == ([], set())
    open_nodes.add("n2")
    assert [attempt for attempt, _ in crowded.look(1032.0)] == [WHO]
    assert crowded.nodes(1032.0) == {"n1"}


def test_the_last_open_node_is_never_closed_for_want_of_room() -> None:
    other = Attempt("lab", "x1", "app.other-0", 1)
    crowded = Crowded(known(pinned(), pinned(other, node="n2")), open_nodes=lambda: {"n1", "n2"})

    crowded.look(1000.0)
    assert [attempt for attempt, _ in crowded.look(1030.0)] == [WHO]
    assert crowded.nodes(1030.0) == {"n1"}
