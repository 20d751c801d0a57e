"""From whom room is taken back for a core, in counts."""

from __future__ import annotations

from typing import Any

from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.fitting import would_fit
from zoe_jupyter.scheduler.plan import Start
from zoe_jupyter.scheduler.snapshot import Job, Rules, Snapshot


def grown(name: str, elastic: int, where: str = "n", **more: Any) -> Job:
    """One core service, and elastic ones beside it."""
    return admitted(name, demand(1, elastic), core={W: {where: 1}}, elastic={W: {where: elastic}}, **more)


class TestClasses:
    def test_a_higher_class_gives_nothing(self) -> None:
        decided = plan([node("n", 4)], grown("r", 3, priority=200), job("new", demand(1)))
        assert (decided.shrink, codes(decided)) == ({}, {"new": "waits_for_resources"})

    def test_the_lowest_class_gives_first(self) -> None:
        decided = plan([node("n", 6)], grown("low", 1, priority=50), grown("rich", 3), job("new", demand(2)))
        assert decided.shrink == {"low": {W: {"n": 1}}, "rich": {W: {"n": 1}}}
        assert decided.shrunk_for == {"low": "new", "rich": "new"}

    def test_the_lowest_class_gives_wherever_it_is(self) -> None:
        """Though less would have to leave where a higher one is."""
        filler, batch = grown("filler", 3, "a", priority=50), grown("batch", 2, "c")
        decided = plan([node("a"), node("c")], filler, batch, job("new", demand(1, cores=3)))
        assert decided.shrink == {"filler": {W: {"a": 3}}}
        decided = plan([node("a"), node("c")], filler, batch, job("new", demand(2, cores=3)))
        assert decided.shrink == {"filler": {W: {"a": 3}}, "batch": {W: {"c": 2}}}

    def test_who_aged_into_a_class_takes_as_that_class(self) -> None:
        jobs = grown("r", 3, priority=200), job("new", demand(1), at=0), job("x", demand(9), at=NOW, priority=200)
        assert plan([node("n", 4)], *jobs, rules=Rules(ageing_s=500.0)).shrink == {"r": {W: {"n": 1}}}

    def test_those_of_a_lower_class_get_what_is_left_over(self) -> None:
        jobs = (
            grown("low", 3, priority=50),
            job("high", demand(1), priority=200, at=1),
            job("low-too", demand(1), priority=50),
        )
        decided = plan([node("n", 4)], *jobs)
        assert decided.shrink == {"low": {W: {"n": 2}}}


def test_by_weight_who_holds_most_gives_first() -> None:
    heavy, light = grown("heavy", 4, weight=4.0), grown("light", 2)
    assert plan([node("n", 8)], heavy, light, job("new", demand(1))).shrink == {"light": {W: {"n": 1}}}
    decided = plan(
        [node("n", 12)],
        *(admitted(each.id, demand(1, 20), core=each.core, weight=each.weight) for each in (heavy, light)),
    )
    assert {key: start.elastic[W]["n"] for key, start in decided.grow.items()} == {"heavy": 8, "light": 2}


def test_there_where_least_has_to_leave() -> None:
    jobs = grown("r", 3, "a"), grown("s", 3, "b"), grown("t", 2, "c")
    decided = plan([node("a"), node("b"), node("c")], *jobs, job("new", demand(1, cores=3)))
    assert decided.shrink == {"t": {W: {"c": 2}}}


def test_for_several_that_wait_at_once() -> None:
    decided = plan([node("n", 8)], grown("r", 7), *(job(name, demand(2)) for name in "abcd"))
    assert decided.shrink == {"r": {W: {"n": 6}}}
    assert list(codes(decided).values()) == ["waits_for_resources"] * 3 + ["behind_others"]


def test_it_can_be_switched_off() -> None:
    jobs = grown("r", 3), job("new", demand(1))
    assert plan([node("n", 4)], *jobs, rules=Rules(reclaims=False)).shrink == {}
    coming = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 2}}, leaving={W: {"n": 1}})
    decided = plan([node("n", 4)], coming, jobs[1], rules=Rules(reclaims=False))
    assert decided.waiting["new"].text.endswith("room is being made for it")


def test_what_gives_nothing_that_is_missing_is_spared() -> None:
    memory = demand(0, 2, cores=0, gib=4, process="m")
    cores = demand(0, 2, cores=2, gib=0, process="c")
    held = admitted("r", memory, cores, elastic={"m": {"n": 2}, "c": {"n": 2}})
    assert plan([node("n", 4, 16)], held, job("new", demand(1, cores=2, gib=0))).shrink == {"r": {"c": {"n": 1}}}
    assert plan([node("n", 4, 8)], held, job("new", demand(1, cores=0, gib=4))).shrink == {"r": {"m": {"n": 1}}}


def test_a_large_one_that_frees_enough_spares_the_small_ones_before_it() -> None:
    large, small = demand(0, 1, cores=3, process="l"), demand(0, 2, cores=1, process="s")
    held = admitted("r", large, small, elastic={"s": {"n": 2}, "l": {"n": 1}})
    assert plan([node("n", 5)], held, job("new", demand(1, cores=3))).shrink == {"r": {"l": {"n": 1}}}


def test_gpus_are_given_back_too() -> None:
    gpus = admitted("g", demand(0, 2, gpus=1), elastic={W: {"n": 2}})
    assert plan([node("n", 6, gpus=2)], gpus, job("new", demand(1, gpus=1))).shrink == {"g": {W: {"n": 1}}}


def test_a_placement_that_the_cheapest_way_misses_is_found() -> None:
    """One by one where least has to leave, the heavy ones would sit on both nodes, and the cores for the last would be gone."""
    nodes = [node("a", 4, 16), node("b", 4, 16)]
    held = [admitted(f"r{name}", demand(0, 1, cores=4, gib=0), elastic={W: {name: 1}}) for name in "ab"]
    new = job("new", demand(2, cores=1, gib=8, process="heavy"), demand(1, cores=4, gib=0, process="wide"))
    decided = plan(nodes, *held, new)
    assert set(decided.shrink) == {"ra", "rb"}
    assert decided.waiting["new"].text.endswith("room is being made for it")


class TestProtection:
    def victim(self, **more: Any) -> Job:
        return admitted("r", demand(1, 3), core={W: {"n": 1}}, **more)

    def test_a_victim_does_not_grow_while_somebody_waits(self) -> None:
        waits = job("w", demand(9), at=NOW)
        assert plan([node("n")], self.victim(grow_after=NOW + 1), waits).grow == {}
        assert plan([node("n")], self.victim(grow_after=NOW), waits).grow == {"r": Start({}, {W: {"n": 3}})}

    def test_it_grows_when_nobody_waits(self) -> None:
        assert plan([node("n")], self.victim(grow_after=NOW + 60)).grow == {"r": Start({}, {W: {"n": 3}})}

    def test_it_never_holds_up_a_core(self) -> None:
        held = self.victim(elastic={W: {"n": 3}}, grow_after=NOW + 60)
        assert plan([node("n")], held, job("w", demand(1), at=NOW)).shrink == {"r": {W: {"n": 1}}}

    def test_it_does_not_grow_in_the_plan_that_shrinks_it(self) -> None:
        decided = plan(
            [node("n"), node("m", 1)], self.victim(elastic={W: {"n": 3}}), job("w", demand(1, cores=2), at=NOW)
        )
        assert (decided.shrink, decided.grow) == ({"r": {W: {"n": 2}}}, {})


class TestPreempt:
    RULES = Rules(preempts=True)

    def low(self, name: str, count: int = 1, *, at: float = 0.0, **more: Any) -> Job:
        return admitted(
            name, demand(count), core={W: {"n": count}}, at=at, **{"priority": 50, "may_be_preempted": True} | more
        )

    def test_a_higher_class_takes_back_whole_executions_the_newest_first(self) -> None:
        jobs = (
            self.low("old", 2, started_at=5.0),
            self.low("new", 2, started_at=6.0),
            job("urgent", demand(2), priority=200),
        )
        decided = plan([node("n")], *jobs, rules=self.RULES)
        assert (decided.preempt, decided.start) == (("new",), {})
        assert decided.waiting["urgent"].text.endswith("room is being made for it")

    def test_the_lowest_class_and_no_more_than_needed(self) -> None:
        jobs = self.low("filler", 1), self.low("small", 1, priority=100, at=1), self.low("big", 3, priority=100)
        decided = plan([node("n", 5)], *jobs, job("urgent", demand(3), priority=200), rules=self.RULES)
        assert decided.preempt == ("big",)
        decided = plan([node("n", 5)], *jobs, job("urgent", demand(1), priority=200), rules=self.RULES)
        assert decided.preempt == ("filler",)

    def test_only_where_the_admin_allows_it_and_the_execution_may_be(self) -> None:
        urgent = job("urgent", demand(2), priority=200)
        assert plan([node("n")], self.low("r", 4), urgent).preempt == ()
        assert plan([node("n")], self.low("r", 4, may_be_preempted=False), urgent, rules=self.RULES).preempt == ()

    def test_never_by_an_equal_class_and_never_back(self) -> None:
        """Not even after so long a wait that it stands in the higher class."""
        old = job("old", demand(4), at=-9e9, priority=50)
        assert (
            plan([node("n")], self.low("r", 4, priority=100), old, rules=Rules(preempts=True, ageing_s=1.0)).preempt
            == ()
        )
        assert plan([node("n")], self.low("r", 4, priority=100), job("j", demand(4)), rules=self.RULES).preempt == ()

    def test_its_room_is_kept_for_whom_it_was_taken_back(self) -> None:
        """Also where elastic services alone were not enough; else another would start there, and the first would start again."""
        filler = grown("filler", 1, priority=50, may_be_preempted=True)
        waiting = job("urgent", demand(1, cores=3), at=NOW - 400, priority=200), job("small", demand(1), at=NOW)
        decided = plan([node("n")], self.low("r", 1, priority=100), filler, *waiting, rules=self.RULES)
        assert (decided.preempt, decided.shrink, decided.start) == (("filler",), {}, {})
        assert decided.waiting["urgent"].text.endswith("room is being made for it")

    def test_not_who_is_just_given_back_what_it_had_lost(self) -> None:
        lame = admitted("lame", demand(2, cores=2), core={W: {"a": 1}}, may_be_preempted=True)
        urgent = job("urgent", demand(1, cores=4), priority=200)
        decided = plan([node("a"), node("b", 2)], lame, urgent, rules=self.RULES)
        assert (list(decided.grow), decided.preempt) == (["lame"], ())
        whole = admitted("lame", demand(2, cores=2), core={W: {"a": 1, "b": 1}}, may_be_preempted=True)
        assert plan([node("a"), node("b", 2)], whole, urgent, rules=self.RULES).preempt == ("lame",)

    def test_nothing_is_taken_where_it_would_not_help(self) -> None:
        fixed = admitted("fixed", demand(2), core={W: {"n": 2}})
        decided = plan([node("n")], fixed, self.low("r", 2), job("u", demand(3), priority=200), rules=self.RULES)
        assert (decided.preempt, codes(decided)) == ((), {"u": "waits_for_resources"})

    def test_elastic_services_go_before_executions_and_with_their_own(self) -> None:
        whole = admitted(
            "whole", demand(1, 1), core={W: {"n": 1}}, elastic={W: {"n": 1}}, priority=50, may_be_preempted=True
        )
        part = admitted("part", demand(1, 1), core={W: {"n": 1}}, elastic={W: {"n": 1}}, priority=100)
        decided = plan([node("n")], whole, part, job("u", demand(1), priority=200), rules=self.RULES)
        assert (decided.preempt, decided.shrink) == ((), {"whole": {W: {"n": 1}}})
        decided = plan([node("n")], whole, part, job("u", demand(3), priority=200), rules=self.RULES)
        assert (decided.preempt, decided.shrink, decided.grow) == (("whole",), {"part": {W: {"n": 1}}}, {})

    def test_without_reclaim_their_elastic_services_go_with_them(self) -> None:
        whole = admitted(
            "w", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 3}}, priority=50, may_be_preempted=True
        )
        decided = plan(
            [node("n")], whole, job("u", demand(4), priority=200), rules=Rules(preempts=True, reclaims=False)
        )
        assert (decided.preempt, decided.shrink) == (("w",), {})

    def test_what_leaves_anyway_is_not_counted_twice(self) -> None:
        scaled_down = admitted(
            "w", demand(1, 0), core={W: {"n": 1}}, elastic={W: {"n": 2}}, priority=50, may_be_preempted=True
        )
        fixed = admitted("fixed", demand(1), core={W: {"n": 1}})
        for count, preempted in ((3, ("w",)), (4, ())):
            decided = plan(
                [node("n")],
                fixed,
                scaled_down,
                job("u", demand(count), priority=200),
                rules=Rules(preempts=True, reclaims=False),
            )
            assert decided.preempt == preempted

    def test_elastic_services_of_a_class_between_are_not_asked_for_a_lower_one(self) -> None:
        """What a preempted execution of a higher class frees is there for a lower one, too."""
        jobs = grown("r", 3, "n", priority=100, may_be_preempted=True), job("low", demand(1), priority=50, at=0)
        lame = admitted("lame", demand(1), priority=50)
        decided = plan([node("n")], lame, *jobs, job("u", demand(2), priority=200), rules=self.RULES)
        assert (decided.shrink, decided.preempt) == ({"r": {W: {"n": 2}}}, ())
        decided = plan([node("n")], lame, *jobs, job("u", demand(4), priority=200), rules=self.RULES)
        assert decided.preempt == ("r",)


class TestPorts:
    def test_who_holds_a_port_that_is_needed_gives_way(self) -> None:
        web = demand(0, 1, host_ports=frozenset({80, 90}))
        held = admitted("r", web, demand(0, 1, process="x"), elastic={W: {"n": 1}, "x": {"n": 1}})
        decided = plan([node("n")], held, job("new", demand(1, host_ports=frozenset({80, 81}))))
        assert decided.shrink == {"r": {W: {"n": 1}}}


def test_would_fit_looks_at_elastic_services_of_its_class_and_below() -> None:
    nodes = (node("n", 4),)
    new = job("new", demand(2))
    for priority, answer in ((100, True), (50, True), (200, False)):
        assert would_fit(new, Snapshot(nodes, (grown("r", 3, priority=priority), new))) is answer
    assert not would_fit(job("new", demand(4)), Snapshot(nodes, (grown("r", 3),)))
