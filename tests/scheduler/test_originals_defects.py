"""What the original scheduler did wrong, and this one must not: one test for each defect that concerns decisions.

6 and 8 concern the engine: ``tests/engine/test_turns.py``.
"""

from __future__ import annotations

from dataclasses import replace

from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.decide import Memo, can_ever_fit, decide
from zoe_jupyter.scheduler.plan import Start
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Snapshot


def test_1_an_exact_fit_was_refused() -> None:
    assert list(plan([node("n", 4, 8)], job("j", demand(1, gib=8))).start) == ["j"]


def test_2_who_needed_no_memory_never_started_and_held_up_all() -> None:
    assert list(plan([node("n")], job("first", demand(1, gib=0), at=1), job("next", demand(1), at=2)).start) == [
        "first",
        "next",
    ]


def test_3_who_could_never_be_satisfied_held_up_all_and_was_not_refused() -> None:
    nodes = [node("n", 4, 16)]
    decided = plan(nodes, job("huge", demand(1, gib=200), at=1), job("next", demand(1), at=2))
    assert (list(decided.start), codes(decided)) == (["next"], {"huge": "exceeds_every_node"})
    refused = can_ever_fit([demand(1, gib=200)], nodes)
    assert refused is not None
    assert "200 GiB" in refused.text


def test_4_an_elastic_service_without_room_held_up_all() -> None:
    running = admitted("r", demand(1, process="c"), demand(0, 1, gib=64, process="e"), core={"c": {"n": 1}})
    assert list(plan([node("n")], running, job("next", demand(1), at=2)).start) == ["next"]


def test_5_the_same_room_was_given_twice() -> None:
    """A decision that was not carried out yet is part of the next snapshot, whatever the machines report."""
    nodes, waiting = (node("n", 64, 128),), tuple(job(f"j{i}", demand(1, gib=16), at=i) for i in range(20))
    memo, snapshot = Memo(), Snapshot(nodes, waiting)
    started = decide(snapshot, Fifo(), NOW, memo).start
    assert len(started) == 8
    placed = tuple(
        replace(each, is_admitted=True, core=started[each.id].core) if each.id in started else each for each in waiting
    )
    assert decide(Snapshot(nodes, placed), Fifo(), NOW, memo).start == {}


def test_7_an_execution_that_was_starting_when_zoe_ended_was_lost() -> None:
    """It is admitted, and gets what it lacks before anybody else."""
    starting = admitted("s", demand(3), core={W: {"n": 1}})
    decided = plan([node("n", 4)], starting, job("next", demand(2), at=0))
    assert decided.grow == {"s": Start({W: {"n": 2}})}
    assert codes(decided) == {"next": "waits_for_resources"}


def test_9_a_lost_core_service_was_not_noticed_while_an_elastic_one_was_pending() -> None:
    lame = admitted("l", demand(2, 1), core={W: {"n": 1}})
    assert plan([node("n", 2)], lame).grow == {"l": Start({W: {"n": 1}})}


def test_10_elastic_services_that_ran_were_never_reclaimed() -> None:
    running = admitted("a", demand(1, 10, gib=8), core={W: {"n": 1}}, elastic={W: {"n": 10}})
    decided = plan([node("n", 32, 88)], running, job("b", demand(1, gib=64), at=5))
    assert decided.shrink == {"a": {W: {"n": 8}}}
    after = replace(running, elastic={W: {"n": 2}})
    assert list(plan([node("n", 32, 88)], after, job("b", demand(1, gib=64), at=5)).start) == ["b"]


def test_10_who_came_at_once_shared_at_least() -> None:
    decided = plan([node("n", 32, 96)], job("a", demand(1, 10, gib=8), at=1), job("b", demand(1, gib=64), at=2))
    assert {key: start.elastic for key, start in decided.start.items()} == {"a": {W: {"n": 3}}, "b": {}}


def test_11_before_machines_were_seen_a_decision_broke() -> None:
    assert codes(plan([], job("j", demand(1)))) == {"j": "no_matching_node"}


def test_12_an_elastic_service_that_could_not_start_ended_its_execution() -> None:
    """It is only missing, and comes when there is room."""
    running = admitted("r", demand(1, 2), core={W: {"n": 1}}, elastic={W: {"n": 1}})
    assert plan([node("n", 2)], running).grow == {}
    assert plan([node("n", 3)], running).grow == {"r": Start({}, {W: {"n": 1}})}


def test_13_a_users_priority_was_not_read() -> None:
    assert list(plan([node("n")], job("a", demand(1), at=1), job("b", demand(1), at=2, priority=200)).start) == [
        "b",
        "a",
    ]


def test_14_waiting_long_counted_for_nothing() -> None:
    """A reservation, then age; see test_reservations.py and test_order.py."""
    big, small = job("big", demand(4), at=0), job("small", demand(1), at=NOW)
    busy = admitted("r", demand(1), core={W: {"n": 1}})
    assert codes(plan([node("n")], busy, big, small)) == {"big": "waits_for_resources", "small": "reserved"}
