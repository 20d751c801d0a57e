"""Elastic services that stand between a core and a limit: whose give way, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scheduler.world import W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.snapshot import Job, Limit, Quota, Quotas, Rules

NODES = [node("n", 64, 256)]


def cores(count: int) -> Limit:
    return Limit(microcores=count * 1_000_000)


def grown(name: str, elastic: int, owner: str = "alice", where: str = "n", **more: Any) -> Job:
    """One core service, and elastic ones beside it."""
    held = {W: {where: elastic}} if elastic else {}
    return admitted(name, demand(1, elastic), core={W: {where: 1}}, elastic=held, owner=owner, **more)


def new(count: int = 1, owner: str = "alice", **more: Any) -> Job:
    return job("new", demand(1, cores=count), owner=owner, at=9, **more)


MINE = Quotas(default=Quota(limit=cores(4)))
OURS = Quotas(groups={"lab": Quota(limit=cores(4))})
LENT = Quotas(default=Quota(share=cores(2), limit=cores(9)), members={"lab": frozenset({"alice", "bob"})})


@pytest.mark.parametrize("quotas", [MINE, OURS, LENT], ids=["its own", "its group's", "what is lent"])
def test_ones_own_give_way_to_ones_own_core(quotas: Quotas) -> None:
    decided = plan(NODES, grown("r", 3, group="lab"), new(2, group="lab"), quotas=quotas)
    assert (decided.shrink, decided.shrunk_for) == ({"r": {W: {"n": 2}}}, {"r": "new"})
    assert decided.waiting["new"].code == "quota"
    assert decided.waiting["new"].text.endswith("; room is being made for it")
    after = plan(NODES, grown("r", 1, group="lab"), new(2, group="lab"), quotas=quotas)
    assert (list(after.start), after.grow) == (["new"], {})


class TestWhatLeavesInThisPlanAnyway:
    """It is counted: no more leaves than is needed."""

    LIMIT = Quotas(users={"alice": Quota(limit=cores(5))})

    def test_since_its_user_scaled_down(self) -> None:
        run = admitted("run", demand(1, 2), core={W: {"n": 1}}, elastic={W: {"n": 4}})
        decided = plan(NODES, run, new(2), quotas=self.LIMIT)
        assert (decided.shrink, decided.shrunk_for) == ({"run": {W: {"n": 2}}}, {})
        assert decided.waiting["new"].text.endswith("; room is being made for it")

    def test_for_another_that_waits_for_room(self) -> None:
        nodes = [node("n", 5, 64, labels={"at": "n"}), node("m", 2, 64, labels={"at": "m"})]
        other = job("other", demand(1, cores=2, labels={"at": "n"}), owner="bob")
        mine = job("new", demand(1, cores=2, labels={"at": "m"}), at=9)
        decided = plan(nodes, grown("run", 4), other, mine, quotas=self.LIMIT)
        assert (decided.shrink, decided.shrunk_for) == ({"run": {W: {"n": 2}}}, {"run": "other"})
        assert all(reason.text.endswith("; room is being made for it") for reason in decided.waiting.values())

    def test_with_an_execution_that_is_preempted(self) -> None:
        nodes = [node("n", 4, 64, labels={"at": "n"}), node("m", 8, 64)]
        whole = admitted("whole", demand(3), core={W: {"n": 3}}, priority=50, may_be_preempted=True)
        urgent = job("urgent", demand(4, labels={"at": "n"}), owner="bob", priority=200)
        decided = plan(
            nodes, whole, grown("run", 1, where="m"), new(2), urgent, quotas=self.LIMIT, rules=Rules(preempts=True)
        )
        assert (decided.preempt, decided.shrink) == (("whole",), {})
        assert decided.waiting["new"].text.endswith("; room is being made for it")


def test_those_of_a_higher_class_do_not_nor_where_nothing_is_taken_back() -> None:
    high = grown("r", 3, priority=200)
    decided = plan(NODES, high, new(), quotas=MINE)
    assert (decided.shrink, decided.waiting["new"].text) == (
        {},
        "asks for 1 of cores, 4 of 4 are taken, the limit of alice; it starts when enough is given back",
    )
    assert plan(NODES, grown("r", 3), new(), quotas=MINE, rules=Rules(reclaims=False)).shrink == {}


def test_not_where_it_would_not_be_enough_nor_where_there_is_no_room_on_the_nodes() -> None:
    fixed = admitted("f", demand(3), core={W: {"n": 3}})
    assert plan(NODES, fixed, grown("r", 1), new(4), quotas=Quotas(default=Quota(limit=cores(6)))).shrink == {}
    full = admitted("full", demand(4), core={W: {"n": 4}}, owner="bob")
    decided = plan([node("n", 8)], full, grown("r", 3), new(4), quotas=Quotas(default=Quota(limit=cores(5))))
    assert (decided.shrink, codes(decided)) == ({}, {"new": "quota"})


def test_what_is_on_its_way_out_is_reckoned_in_and_kept_from_smaller_ones() -> None:
    leaving = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 1}}, leaving={W: {"n": 1}})
    decided = plan(NODES, leaving, new(2), job("small", demand(1), at=10), quotas=MINE)
    assert (decided.shrink, decided.start, decided.grow) == ({"r": {W: {"n": 1}}}, {}, {})
    last = admitted("r", demand(2, 1), core={W: {"n": 2}}, leaving={W: {"n": 1}})
    assert codes(plan(NODES, last, new(2), job("small", demand(1), at=10), quotas=MINE)) == {
        "new": "quota",
        "small": "quota",
    }


class TestOthersOfTheGroup:
    def test_without_shares_theirs_give_way_as_they_do_for_room(self) -> None:
        others = grown("low", 1, "bob", priority=50, group="lab"), grown("high", 1, "carol", priority=200, group="lab")
        assert plan(NODES, *others, new(group="lab"), quotas=OURS).shrink == {"low": {W: {"n": 1}}}
        assert plan(NODES, *others, new(2, group="lab"), quotas=OURS).shrink == {}

    def test_what_they_hold_of_their_own_share_stays_and_what_they_borrowed_goes_first(self) -> None:
        quotas = Quotas(default=Quota(share=cores(4), limit=cores(9)), groups={"lab": Quota(limit=cores(8))})
        mine = grown("mine", 2, group="lab", priority=50)
        decided = plan(NODES, mine, grown("r", 4, "bob", group="lab"), new(group="lab"), quotas=quotas)
        assert decided.shrink == {"r": {W: {"n": 1}}}
        within = grown("r", 3, "bob", group="lab"), admitted("f", core={}, owner="bob", group="lab")
        decided = plan(NODES, grown("mine", 3, group="lab"), *within, new(group="lab"), quotas=quotas)
        assert decided.shrink == {"mine": {W: {"n": 1}}}, "who would borrow has only its own"

    def test_what_was_borrowed_goes_back_to_its_owner_whatever_the_class(self) -> None:
        quotas = Quotas(default=Quota(share=cores(4), limit=cores(9)), groups={"lab": Quota(limit=cores(8))})
        borrower = grown("r", 7, "bob", group="lab", priority=200)
        decided = plan([node("n", 8)], borrower, new(2, group="lab", priority=50), quotas=quotas)
        assert decided.shrink == {"r": {W: {"n": 2}}}

    def test_in_front_of_ones_own_limit_others_have_nothing_to_give(self) -> None:
        fixed = admitted("f", demand(4), core={W: {"n": 4}}, group="lab")
        assert plan(NODES, fixed, grown("r", 3, "bob", group="lab"), new(group="lab"), quotas=MINE).shrink == {}


def test_of_the_lowest_class_then_where_the_core_will_go() -> None:
    nodes = [node("a", 3), node("b", 4)]
    held = grown("r", 2, where="a"), grown("s", 3, where="b")
    quotas = Quotas(default=Quota(limit=cores(7)))
    decided = plan(nodes, *held, new(2), quotas=quotas)
    assert decided.shrink == {"s": {W: {"b": 2}}}


def test_several_limits_at_once() -> None:
    """What helps only in front of the second one is asked when the first is met."""
    memory = admitted("m", demand(0, 4, cores=0, gib=4), elastic={W: {"n": 4}}, owner="bob", group="lab")
    quotas = Quotas(
        users={"alice": Quota(limit=cores(4))}, groups={"lab": Quota(limit=Limit(memory_bytes=20 * 1024**3))}
    )
    decided = plan(NODES, grown("r", 3, group="lab"), memory, new(2, group="lab"), quotas=quotas)
    assert decided.shrink == {"r": {W: {"n": 2}}}
    tight = job("new", demand(1, cores=1, gib=5), at=9, group="lab")
    decided = plan(NODES, grown("r", 3, group="lab"), memory, tight, quotas=quotas)
    assert decided.shrink == {"r": {W: {"n": 1}}, "m": {W: {"n": 1}}}


def test_several_owners_at_once() -> None:
    held = grown("r", 3), grown("s", 3, "bob")
    decided = plan(NODES, *held, new(), job("other", demand(1), owner="bob", at=9), quotas=MINE)
    assert decided.shrink == {"r": {W: {"n": 1}}, "s": {W: {"n": 1}}}


def test_who_has_no_core_and_waits_for_a_number_of_executions_takes_nothing_back() -> None:
    one = Quotas(default=Quota(limit=Limit(executions=1)))
    decided = plan(NODES, grown("r", 3), job("flow", demand(0, 2), at=9), quotas=one)
    assert (decided.shrink, codes(decided)) == ({}, {"flow": "quota"})
