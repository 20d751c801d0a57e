"""Room that is kept for the first in the queue, and who may start in front of it."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.snapshot import Job, Reservation, Rules

NODES = [node("a"), node("b")]
WAITED = NOW - 300


def running(name: str, where: str, run_s: float | None, *, count: int = 4, **more: Any) -> Job:
    """Began this moment."""
    return admitted(name, demand(count), core={W: {where: count}}, run_s=run_s, started_at=NOW, done_at=NOW, **more)


def first(*demands: Any, **more: Any) -> Job:
    return job("first", *(demands or (demand(1, cores=4),)), at=WAITED, **more)


def short(name: str, run_s: float | None, cores: float = 1, **more: Any) -> Job:
    return job(name, demand(1, cores=cores), at=NOW, run_s=run_s, **more)


def decided(*jobs: Job, **more: Any) -> Plan:
    return plan(NODES, *jobs, **more)


def test_the_first_gets_one_after_a_while() -> None:
    busy = running("x", "a", 60.0), running("y", "b", 90.0)
    assert decided(*busy, job("first", demand(1, cores=4), at=WAITED + 1)).reservation is None
    assert decided(*busy, first()).reservation == Reservation("first", NOW + 60, {W: {"a": 1}})
    assert decided(*busy, first(), rules=Rules(reserve_after_s=None, ageing_s=None)).reservation is None
    for ageing_s, kept in ((301.0, None), (300.0, Reservation("first", NOW + 60, {W: {"a": 1}}))):
        assert decided(*busy, first(), rules=Rules(reserve_after_s=None, ageing_s=ageing_s)).reservation == kept


def test_it_counts_with_cores_alone() -> None:
    """With one of two services an execution takes twice as long; what it has done counts."""
    slow = admitted(
        "x", demand(2, 6), core={W: {"a": 2}}, elastic={W: {"a": 2}}, run_s=100.0, started_at=NOW - 40, done_at=NOW - 20, done_s=10.0
    )  # fmt: skip
    kept = decided(slow, running("y", "b", None), first()).reservation
    assert kept == Reservation("first", NOW + (100 - 10 - 20 / 2) * 4, {W: {"a": 1}})


def test_several_ends_may_be_needed() -> None:
    ends = [running(f"x{i}", "a", 10.0 * (i + 1), count=1) for i in range(4)]
    ends += [running(f"y{i}", "b", 15.0 * (i + 1), count=1) for i in range(4)]
    assert decided(*ends, first()).reservation == Reservation("first", NOW + 40, {W: {"a": 1}})
    both = first(demand(2, cores=3))
    assert decided(*ends, both).reservation == Reservation("first", NOW + 45, {W: {"a": 1, "b": 1}})


def test_elastic_services_of_a_higher_class_stay_until_their_execution_ends() -> None:
    higher = admitted(
        "x", demand(1, 3), core={W: {"a": 1}}, elastic={W: {"a": 3}}, run_s=10.0, started_at=NOW, done_at=NOW, priority=200
    )  # fmt: skip
    busy = running("y", "b", None), job("z", demand(1, cores=4), at=0, priority=200, not_before=NOW + 5)
    assert decided(higher, *busy, first(demand(1, cores=3))).reservation == Reservation(
        "first", NOW + 40, {W: {"a": 1}}
    )


class TestBehind:
    BUSY = running("x", "a", 60.0, count=3), running("y", "b", 600.0, count=3)

    def test_who_is_over_in_time_starts(self) -> None:
        plan_ = decided(*self.BUSY, first(), short("s", 60.0))
        assert list(plan_.start) == ["s"]
        assert plan_.reservation == Reservation("first", NOW + 60, {W: {"a": 1}})

    def test_who_may_take_longer_starts_only_where_nothing_is_kept(self) -> None:
        plan_ = decided(*self.BUSY, first(), short("l", 61.0), short("m", 61.0))
        assert plan_.start == {"l": Start({W: {"b": 1}})}
        assert codes(plan_) == {"first": "waits_for_resources", "m": "reserved"}
        assert plan_.waiting["m"].text == (
            "there would be room, but it is kept for an execution before it; this one might not be over in 1 min, when that one starts"
        )
        assert plan_.waiting["m"].numbers["starts_in_s"] == 60

    def test_core_alone_has_to_be_over_in_time(self) -> None:
        elastic = job("e", demand(1, 1), at=NOW + 1, run_s=31.0)
        assert list(decided(*self.BUSY, first(), short("other", None), elastic).start) == ["other"]

    def test_who_is_of_unknown_length_is_told_so(self) -> None:
        plan_ = decided(*self.BUSY, first(), short("l", None), short("m", None))
        assert plan_.waiting["m"].text.endswith("nobody knows how long this one takes: say it with an estimate")

    def test_who_would_not_fit_anyway_is_told_so(self) -> None:
        plan_ = decided(*self.BUSY, first(), short("l", None, cores=2), short("m", None, cores=2))
        assert codes(plan_)["m"] == "behind_others"
        assert [each["code"] for each in plan_.waiting["m"].numbers["details"]] == ["waits_for_resources"]

    def test_the_short_ones_leave_the_long_ones_less(self) -> None:
        plan_ = decided(*self.BUSY, first(), short("a", 9.0), short("b", 9.0), short("l", None))
        assert (list(plan_.start), codes(plan_)["l"]) == (["a", "b"], "behind_others")

    def test_room_is_made_for_short_ones_only(self) -> None:
        grown = admitted("g", demand(1, 1), core={W: {"b": 1}}, elastic={W: {"b": 1}}, run_s=999.0)
        jobs = running("x", "a", 60.0, count=3), running("y", "b", 600.0, count=2), grown, first()
        plan_ = decided(*jobs, short("t", 9.0, cores=1), short("s", 9.0, cores=1))
        assert (list(plan_.start), plan_.shrink) == (["s"], {"g": {W: {"b": 1}}})
        plan_ = decided(*jobs, short("t", 999.0), short("s", None))
        assert (plan_.shrink, codes(plan_)["s"]) == ({}, "reserved")

    def test_a_higher_class_is_not_bound(self) -> None:
        assert list(decided(*self.BUSY, first(), short("u", None, priority=200), short("v", None, priority=200)).start) == ["u", "v"]  # fmt: skip

    def test_ports_that_are_kept_are_kept(self) -> None:
        busy = running("x", "a", 60.0, count=3), running("y", "b", None, count=4)
        kept = first(demand(1, cores=2, host_ports=frozenset({80})))
        late = [short("l", None), job("p", demand(1, cores=1, host_ports=frozenset({80})), at=NOW)]
        assert decided(*busy, kept, late[1]).start == {}
        assert list(decided(*busy, kept, *late).start) == ["l"]
        early = job("q", demand(1, cores=1, host_ports=frozenset({81})), at=NOW - 1, run_s=1.0)
        assert list(decided(*busy, kept, early, late[1]).start) == ["q"]


class TestUnknown:
    """Nobody knows when there will be room: nobody overtakes the first where it could run."""

    BUSY = running("x", "a", None, count=3), running("y", "b", 60.0, count=3)

    def test_nobody_starts_where_it_could_run(self) -> None:
        both = first(demand(2, cores=4))
        plan_ = decided(*self.BUSY, both, short("s", 1.0), short("l", None))
        assert plan_.reservation == Reservation("first", math.inf)
        assert (plan_.start, codes(plan_)["s"], codes(plan_)["l"]) == ({}, "reserved", "reserved")
        for key in "sl":
            assert plan_.waiting[key].text.endswith("nobody knows when that one can start"), "no estimate would help"
            assert "starts_in_s" not in plan_.waiting[key].numbers

    def test_others_start_elsewhere(self) -> None:
        nodes = [node("a", labels={"disk": "fast"}), node("b")]
        kept = first(demand(1, cores=4, labels={"disk": "fast"}))
        assert plan(nodes, *self.BUSY, kept, short("l", None)).start == {"l": Start({W: {"b": 1}})}


class TestOverdue:
    """Somebody took longer than was said."""

    LATE = admitted("late", demand(4), core={W: {"a": 4}}, run_s=400.0, started_at=NOW - 500, done_at=NOW - 500)
    BEFORE = Reservation("first", NOW - 100, {W: {"a": 1}})

    def test_the_first_waits_for_no_node_any_more_while_others_take_all_that_come_free(self) -> None:
        plan_ = decided(self.LATE, first(), short("s", 1.0), short("u", None), reservation=self.BEFORE)
        assert plan_.start == {"first": Start({W: {"b": 1}})}
        partly = running("x", "b", None, count=1)
        plan_ = decided(self.LATE, partly, first(), short("s", 1.0), short("u", None), reservation=self.BEFORE)
        assert (plan_.start, plan_.reservation) == ({}, Reservation("first", NOW - 100))
        assert codes(plan_) == {"first": "waits_for_resources", "s": "reserved", "u": "reserved"}
        for key in "su":
            assert plan_.waiting[key].text.endswith("nobody knows when that one can start"), "no estimate would help"
            assert "starts_in_s" not in plan_.waiting[key].numbers

    def test_nobody_is_promised_its_room(self) -> None:
        assert decided(self.LATE, running("y", "b", 60.0), first()).reservation == Reservation(
            "first", NOW + 60, {W: {"b": 1}}
        )
        plan_ = decided(self.LATE, running("y", "b", None), first())
        assert plan_.reservation == Reservation("first", math.inf)
        assert "expected_start" not in plan_.waiting["first"].numbers


class TestHolder:
    BUSY = running("x", "a", 60.0), running("y", "b", 90.0)

    def again(self, before: Reservation, *jobs: Job, **more: Any) -> Reservation | None:
        return decided(*(jobs or (*self.BUSY, first())), reservation=before, **more).reservation

    def test_it_never_moves_later(self) -> None:
        assert self.again(Reservation("first", NOW + 30, {W: {"b": 1}})) == Reservation(
            "first", NOW + 30, {W: {"b": 1}}
        )

    @pytest.mark.parametrize("at", [NOW + 61, math.inf])
    def test_it_moves_earlier(self, at: float) -> None:
        assert self.again(Reservation("first", at, {W: {"b": 1}})) == Reservation("first", NOW + 60, {W: {"a": 1}})

    def test_nodes_that_are_gone_are_looked_for_anew(self) -> None:
        assert self.again(Reservation("first", NOW + 30, {W: {"z": 1}})) == Reservation("first", NOW + 30)

    def test_who_has_it_keeps_it_before_those_who_came_in_front(self) -> None:
        jobs = *self.BUSY, job("front", demand(1, cores=4), at=0), first()
        assert self.again(Reservation("first", NOW + 60, {W: {"a": 1}}), *jobs) == Reservation(
            "first", NOW + 60, {W: {"a": 1}}
        )
        higher = job("front", demand(1, cores=4), at=NOW, priority=200)
        kept = self.again(Reservation("first", NOW + 60, {W: {"a": 1}}), *self.BUSY, higher, first())
        assert kept == Reservation("first", NOW + 60, {W: {"a": 1}}), "the other one has not waited long enough"
        higher = job("front", demand(1, cores=4), at=WAITED, priority=200)
        kept = self.again(Reservation("first", NOW + 60, {W: {"a": 1}}), *self.BUSY, higher, first())
        assert kept == Reservation("front", NOW + 60, {W: {"a": 1}})

    def test_it_ends_when_its_execution_starts_or_is_gone(self) -> None:
        assert self.again(Reservation("gone", NOW + 60), running("x", "a", 60.0), first()) is None

    def test_who_can_never_run_gets_none(self) -> None:
        kept = self.again(Reservation("never", 0.0), *self.BUSY, job("never", demand(1, cores=5)), first())
        assert kept == Reservation("first", NOW + 60, {W: {"a": 1}})

    @pytest.mark.parametrize("before", [None, Reservation("big", NOW + 30, {W: {"a": 1}})])
    def test_while_room_is_made_for_it_nobody_behind_it_gets_one(self, before: Reservation | None) -> None:
        """Who had it then would stand before it in the next moment, and take that room."""
        elastic = admitted("e", demand(1, 3), core={W: {"a": 1}}, elastic={W: {"a": 3}}, run_s=500.0)
        busy = admitted("x", demand(1, cores=4), core={W: {"b": 1}}, run_s=500.0)
        big, behind = job("big", demand(1, cores=3), at=NOW - 1000), job("behind", demand(1, cores=4), at=NOW - 900)
        jobs, rules = (elastic, busy, big, behind), Rules(reclaims=True)
        plan_ = decided(*jobs, rules=rules, reservation=before)
        assert (plan_.shrunk_for, plan_.reservation) == ({"e": "big"}, before)

    def test_what_was_preempted_is_not_waited_for(self) -> None:
        small = admitted("p", demand(1), core={W: {"a": 1}}, run_s=5.0, may_be_preempted=True, priority=50)
        jobs = (
            small,
            running("x", "a", 60.0, count=3),
            running("y", "b", None),
            job("u", demand(1), at=NOW, priority=200),
            first(),
        )
        plan_ = decided(*jobs, rules=Rules(preempts=True))
        assert (plan_.preempt, plan_.reservation) == (("p",), Reservation("first", math.inf))


class TestElasticBeside:
    """A higher class could not be made to give kept room back."""

    def test_a_higher_class_does_not_grow_into_it(self) -> None:
        higher = admitted("h", demand(1, 9), core={W: {"a": 1}}, run_s=None, priority=200)
        equal = admitted("e", demand(1, 9), core={W: {"b": 1}}, run_s=60.0, started_at=NOW, done_at=NOW)
        big = first(demand(1, cores=4))
        grown = decided(higher, equal, big, rules=Rules(reclaims=True)).grow
        assert grown["h"].elastic == {W: {"a": 3}}
        assert set(grown) == {"h", "e"}
        assert grown["e"].elastic == {W: {"b": 3}}
        only = plan([node("b")], equal, admitted("h", demand(1, 9), core={W: {"b": 1}}, priority=200), big)
        assert {key: each.elastic for key, each in only.grow.items()} == {"e": {W: {"b": 2}}}
