"""Why somebody waits: the numbers and the way out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.scheduler.world import GIB, NOW, W, admitted, demand, job, node, plan
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.decide import can_ever_fit, decide
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.reasons import Waiting
from zoe_jupyter.scheduler.snapshot import Demand, Job, Rules, Snapshot, Together

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


def test_a_volume_and_labels_that_exclude_each_other_are_called_so() -> None:
    nodes = [node("a", labels={"disk": "slow"}), node("b", labels={"disk": "fast"})]
    reason = can_ever_fit([demand(1, labels={"disk": "fast"}, nodes=frozenset({"a"}))], nodes)
    assert reason is not None
    assert (reason.code, reason.text) == (
        "misconfigured",
        "app.worker can only be on a, and needs a node with the labels disk=fast: these exclude each other; change one of them",
    )
    reason = can_ever_fit([demand(1, nodes=frozenset({"z"}))], nodes)
    assert reason is not None
    assert (reason.code, reason.text) == (
        "no_matching_node",
        "app.worker can only be on z, and no such machine takes work; wait for it, or ask the admin",
    )
    assert reason.numbers["nodes"] == ["z"]


@pytest.mark.parametrize(
    ("failed", "code", "text"),
    [
        (0, "begins_later", "it begins in 40 s"),
        (1, "start_failed", "its last start failed; the next try is in 40 s"),
        (3, "start_failed", "its last 3 starts failed; the next try is in 40 s"),
    ],
)
def test_who_is_tried_later_is_told_when(failed: int, code: str, text: str) -> None:
    reason = plan([node("n")], job("j", demand(1), not_before=NOW + 40, failed_starts=failed)).waiting["j"]
    assert (reason.code, reason.text) == (code, text)


def test_the_rest_is_told_in_detail() -> None:
    decided = plan([node("n")], *(job(name, demand(3), at=NOW) for name in "abc"))
    assert decided.waiting["c"].numbers == {
        "position": 2,
        "ahead": 1,
        "first": "b",
        "details": [
            {
                "code": "waits_for_resources",
                "text": "its 3 services need 3 cores together, all nodes have 1 free; lower `cores` or their number or wait",
                "numbers": {"services": 3, "resource": "cores", "needed": 3_000_000, "most": 1_000_000},
            }
        ],
    }


def test_what_the_order_rests_on_is_told() -> None:
    jobs = [
        job("a", demand(9), at=NOW),
        job("b", demand(9), at=NOW, run_s=5.0, is_assumed=True),
        job("c", demand(9), run_s=5.0),
    ]
    for policy, told in (
        (Sjf(), [None, "its run time is that of earlier ones", "an execution of unknown length takes an hour"]),
        (Fifo(), [None] * 3),
    ):
        waiting = decide(Snapshot((node("n"),), tuple(jobs)), policy, NOW).waiting
        assert [waiting[key].numbers.get("assumed") for key in ("c", "b", "a")] == told


class TestForecast:
    """With cores alone, and nobody overtaking: rather late than early."""

    def running(self, name: str, run_s: float | None) -> Job:
        return admitted(name, demand(2), core={W: {"n": 2}}, run_s=run_s, started_at=NOW, done_at=NOW)

    def starts(self, *jobs: Job) -> dict[str, float | None]:
        decided = plan([node("n")], *jobs, rules=Rules(reserve_after_s=None))
        return {key: reason.numbers.get("expected_start") for key, reason in decided.waiting.items()}

    def test_as_executions_end_one_after_the_other(self) -> None:
        jobs = [job("a", demand(4), at=1, run_s=50.0), job("b", demand(2), at=2, run_s=9.0), job("c", demand(4), at=3)]
        assert self.starts(self.running("x", 10.0), self.running("y", 30.0), *jobs) == {"a": 1030, "b": 1080, "c": 1089}

    def test_elastic_services_are_no_hindrance(self) -> None:
        grown = admitted("e", demand(0, 4), elastic={W: {"n": 4}}, run_s=60.0)
        assert self.starts(grown, job("a", demand(4), at=1, run_s=50.0), job("b", demand(4), at=2)) == {
            "a": NOW,
            "b": 1050,
        }

    def test_nobody_knows_behind_one_of_unknown_length(self) -> None:
        jobs = [job("a", demand(4), at=1), job("b", demand(1), at=2), job("c", demand(9), at=3)]
        assert self.starts(self.running("x", 10.0), self.running("y", 30.0), *jobs) == {"a": 1030, "b": None, "c": None}
        assert self.starts(self.running("x", None), job("a", demand(4), at=1)) == {"a": None}

    def test_those_that_do_not_wait_for_room_are_left_out(self) -> None:
        assert self.starts(self.running("x", 10.0), job("a", demand(2), not_before=NOW + 1)) == {"a": None}


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


def test_a_single_service_that_is_missing_must_not_lie_beside_its_own() -> None:
    lame = admitted("lame", demand(1, 1, together=Together.APART), elastic={W: {"a": 1}})
    text = "app.worker has to lie apart from the others of its kind, and there is room beside those only; wait"
    assert plan([node("a")], lame).waiting["lame"].text == text


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
