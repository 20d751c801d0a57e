"""Why somebody waits: the numbers and the way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.scheduler.world import GIB, NOW, W, admitted, demand, job, node, plan
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.reasons import Waiting
from zoe_jupyter.scheduler.snapshot import Demand

NODES = [node("a", 4, 8), node("b", 2, 16)]


@pytest.mark.parametrize(
    ("wanted", "nodes", "code", "text"),
    [
        (
            demand(1, gib=64),
            NODES,
            "exceeds_every_node",
            "app.worker needs 64 GiB of memory, the largest node has 16 GiB; lower `memory`",
        ),
        (
            demand(1, cores=5),
            NODES,
            "exceeds_every_node",
            "app.worker needs 5 cores, the largest node has 4; lower `cores`",
        ),
        (demand(1, gpus=1), NODES, "exceeds_every_node", "app.worker needs 1 GPU, the largest node has 0; lower `gpu`"),
        (
            demand(1, cores=4, gib=16),
            NODES,
            "exceeds_every_node",
            "app.worker needs 16 GiB of memory and 4 cores on one node, and no node has all of it; lower one of them",
        ),
        (
            demand(1, labels={"disk": "fast", "arch": "arm"}),
            NODES,
            "no_matching_node",
            "app.worker needs a node with the labels arch=arm, disk=fast, and there is none; change the labels, or ask the admin",
        ),
        (
            demand(7),
            NODES,
            "exceeds_cluster",
            "its 7 services need 7 cores together, all nodes have 6; lower `cores` or their number",
        ),
        (
            demand(2, cores=3),
            NODES,
            "exceeds_cluster",
            "its 2 services do not fit on the nodes, although there is enough in all; lower what each needs",
        ),
    ],
)
def test_what_can_never_run_is_told_at_submit(wanted: Demand, nodes: list[Node], code: str, text: str) -> None:
    reason = can_ever_fit([wanted], nodes)
    assert reason is not None
    assert (reason.code, reason.text) == (code, text)


def test_what_can_run_some_day_may_be_submitted() -> None:
    assert can_ever_fit([demand(6), demand(0, 99, gib=999, process="elastic")], NODES) is None
    assert can_ever_fit([demand(8)], [node("a", 8, is_enabled=False)]) is None, "under maintenance is not for ever"
    assert can_ever_fit([demand(8)], []) is None, "nothing is known yet"
    assert can_ever_fit([], NODES) is None


def test_the_numbers_are_there_to_compute_with() -> None:
    reason = can_ever_fit([demand(1, gib=64)], NODES)
    assert reason is not None
    assert dict(reason.numbers) == {"process": W, "resource": "memory", "needed": 64 * GIB, "most": 16 * GIB}


def waiting_for(wanted: Demand, nodes: list[Node], taken: Demand, place: str = "a") -> Reason:
    holder = admitted("holder", taken, core={W: {place: 1}})
    return plan(nodes, holder, job("j", wanted, at=1)).waiting["j"]


@pytest.mark.parametrize(
    ("wanted", "taken", "text"),
    [
        (
            demand(1, gib=8),
            demand(1, gib=10),
            "app.worker needs 8 GiB of memory, the best node has 6 GiB free; lower `memory` or wait",
        ),
        (
            demand(1, cores=3),
            demand(1, cores=1.5),
            "app.worker needs 3 cores, the best node has 2.5 free; lower `cores` or wait",
        ),
        (
            demand(3),
            demand(1, cores=2),
            "its 3 services need 3 cores together, all nodes have 2 free; lower `cores` or their number or wait",
        ),
    ],
)
def test_who_waits_for_room_is_told_how_much_is_missing(wanted: Demand, taken: Demand, text: str) -> None:
    assert waiting_for(wanted, [node("a", 4, 16)], taken).text == text


def test_enough_in_all_is_not_enough_on_one_node() -> None:
    nodes = [node("a", 4, 16), node("b", 2, 4)]
    reason = waiting_for(demand(1, cores=2, gib=8), nodes, demand(1, cores=3, gib=1))
    assert (
        reason.text
        == "app.worker needs 8 GiB of memory and 2 cores on one node, and no node has all of it free; lower one of them or wait"
    )

    reason = waiting_for(demand(2, cores=2), [node("a", 4), node("b", 3)], demand(1, cores=3, gib=1))
    assert reason.text.startswith(
        "its 2 services do not fit on the nodes of what is free, although there is enough in all"
    )


def test_a_single_service_is_not_called_several() -> None:
    """When one service alone is all that is asked for, it fits by itself or its own reason is told; several processes add up."""
    demands = (demand(1, cores=3, process="a"), demand(1, cores=3, process="b"))
    reason = can_ever_fit(demands, [node("n", 5)])
    assert reason is not None
    assert reason.text == "its 2 services need 6 cores together, all nodes have 5; lower `cores` or their number"


def test_positions_count_all_that_wait() -> None:
    jobs = [job(name, demand(4), at=at) for at, name in enumerate("abcd")]
    decided = plan([node("n", 4)], *jobs)
    assert [(key, reason.numbers["position"]) for key, reason in decided.waiting.items()] == [
        ("b", 1),
        ("c", 2),
        ("d", 3),
    ]
    assert decided.waiting["c"].text == "1 execution is before it; wait for its turn"
    assert decided.waiting["d"].text == "2 executions are before it; wait for its turn"


def test_a_reason_is_worked_out_once_and_only_when_asked_for() -> None:
    asked = []

    def explain(execution_id: str, position: int) -> Reason:
        asked.append(execution_id)
        return Reason("code", "text", {"x": 1})

    waiting = Waiting(["a", "b"], explain)
    assert (len(waiting), list(waiting), "a" in waiting, "z" in waiting, asked) == (2, ["a", "b"], True, False, [])
    assert waiting["b"] == waiting["b"] == Reason("code", "text", {"position": 2, "x": 1})
    assert asked == ["b"]
    with pytest.raises(KeyError):
        waiting["z"]


@pytest.mark.parametrize(
    "ask", [lambda plan: plan.waiting.get("nobody"), lambda plan: dict(plan.waiting).get("nobody")]
)
def test_nobody_has_no_reason(ask: Callable[[object], object]) -> None:
    assert ask(plan([node("n")], job("a", demand(9)), now=NOW)) is None
