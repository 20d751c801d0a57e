"""Nobody who is known to go on for longer is started on a node that is to be empty before."""

from __future__ import annotations

import pytest

from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.plan import Start
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Demand, Job, Snapshot

A = node("a", 8, closes_at=NOW + 100)
NODES = [A, node("b", 4)]


def short(name: str, run_s: float | None, *demands: Demand, **more: object) -> Job:
    return job(name, *(demands or (demand(1),)), run_s=run_s, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("run_s", "there"), [(100.0, "a"), (101.0, "b"), (None, "a")])
def test_who_goes_on_for_longer_is_started_elsewhere(run_s: float | None, there: str) -> None:
    assert plan(NODES, short("j", run_s)).start == {"j": Start({W: {there: 1}})}


def test_what_counts_is_how_long_its_core_alone_would_take() -> None:
    decided = plan(NODES, short("j", 60.0, demand(1, 1)))
    assert decided.start == {"j": Start({W: {"b": 1}}, {W: {"b": 1}})}


def test_who_runs_there_already_gets_a_lost_service_back() -> None:
    lame = admitted("l", demand(2), core={W: {"b": 1}}, run_s=1e6)
    assert plan([A, node("b", 1)], lame).grow == {"l": Start({W: {"a": 1}})}


@pytest.mark.parametrize(
    ("one", "code", "text"),
    [
        (demand(1, cores=8), "node_closes", "it may go on for longer than a may be used, and there is no room elsewhere; say a shorter estimate, or wait"),
        (demand(1, cores=9), "exceeds_every_node", "app.worker needs 9 cores, the largest node has 8; lower `cores`"),
    ],
)  # fmt: skip
def test_who_fits_nowhere_else_is_told_so_and_holds_nobody_up(one: Demand, code: str, text: str) -> None:
    decided = plan(NODES, short("big", 1e6, one), short("next", None, demand(1, cores=8)))
    assert list(decided.start) == ["next"]
    assert (decided.waiting["big"].code, decided.waiting["big"].text) == (code, text)


def test_who_waits_for_room_elsewhere_is_told_of_the_room_that_there_would_be() -> None:
    busy = admitted("r", demand(4), core={W: {"b": 4}})
    decided = plan(NODES, busy, short("j", 1e6))
    assert decided.waiting["j"].numbers["nodes"] == ["a"]
    full = admitted("s", demand(8), core={W: {"a": 8}})
    assert codes(plan(NODES, busy, full, short("j", 1e6))) == {"j": "waits_for_resources"}


def test_of_many_nodes_some_are_named() -> None:
    decided = plan([node(f"n{place}", closes_at=NOW + 10) for place in range(5)], short("j", 11.0))
    assert "longer than n0, n1, n2 and 2 more may be used" in decided.waiting["j"].text


def test_a_memo_follows_time_and_forgets_with_the_window() -> None:
    memo, jobs = Memo(), (short("j", 60.0, demand(1, cores=8)),)
    snapshot = Snapshot(tuple(NODES), jobs)
    assert list(decide(snapshot, Fifo(), NOW, memo).start) == ["j"]
    for _ in range(2):
        assert codes(decide(snapshot, Fifo(), NOW + 50, memo)) == {"j": "node_closes"}
    assert list(decide(Snapshot((node("a", 8), node("b", 4)), jobs), Fifo(), NOW + 50, memo).start) == ["j"]
