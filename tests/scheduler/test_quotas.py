"""What users and groups may hold, what they lend each other, and how it is given back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.scheduler.world import GIB, NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.plan import Start
from zoe_jupyter.scheduler.snapshot import Job, Limit, Quota, Quotas, Rules

NODES = [node("n", 64, 256)]


def cores(count: int) -> Limit:
    return Limit(microcores=count * 1_000_000)


def one(name: str, owner: str = "alice", count: int = 1, **more: Any) -> Job:
    return job(name, demand(1, cores=count), owner=owner, **more)


def running(name: str, owner: str = "alice", count: int = 1, **more: Any) -> Job:
    return admitted(name, demand(1, cores=count), core={W: {"n": 1}}, owner=owner, **more)


class TestLimits:
    def test_so_many_executions_at_a_time(self) -> None:
        quotas = Quotas(default=Quota(limit=Limit(executions=2)))
        decided = plan(NODES, running("r"), one("a", at=1), one("b", at=2), one("c", "bob", at=3), quotas=quotas)
        assert list(decided.start) == ["a", "c"]
        reason = decided.waiting["b"]
        assert (reason.code, reason.text) == (
            "quota",
            "2 of 2 executions are taken, the limit of alice; it starts when one ends",
        )
        wanted = {
            "position": 1,
            "resource": "executions",
            "held": 2,
            "asked": 1,
            "limit": 2,
            "of": "user",
            "name": "alice",
        }
        assert dict(reason.numbers) == wanted

    def test_who_has_more_than_a_limit_that_was_lowered_waits_for_more_than_one_end(self) -> None:
        quotas = Quotas(default=Quota(limit=Limit(executions=1)))
        decided = plan(NODES, running("r"), running("s"), one("a"), quotas=quotas)
        assert (
            decided.waiting["a"].text
            == "2 of 1 executions are taken, the limit of alice; it starts when enough have ended"
        )

    def test_what_is_kept_for_who_waits_before_is_not_said_to_be_taken(self) -> None:
        limits = {"alice": Quota(limit=Limit(executions=2))}
        quotas = Quotas(users=limits, groups={"g": Quota(limit=cores(4))})
        jobs = [running("r", group="g"), one("large", count=4, at=1, group="g"), one("small", at=2, group="g")]
        reason = plan(NODES, *jobs, quotas=quotas).waiting["small"]
        assert reason.text == (
            "1 of 2 executions are taken and 1 kept for what waits before it, the limit of alice; it starts when enough have ended"
        )
        assert reason.numbers["held"] == 1

    @pytest.mark.parametrize(
        ("limit", "text"),
        [
            (
                cores(5),
                "asks for 4 of cores, 2 of 5 are taken, the limit of alice; it starts when enough is given back",
            ),
            (
                Limit(memory_bytes=8 * GIB),
                "asks for 8 GiB of memory, 1 GiB of 8 GiB are taken, the limit of alice; it starts when enough is given back",
            ),
            (
                Limit(gpus=1),
                "asks for 2 of gpu, the limit of alice is 1; lower what it asks for, or ask the admin",
            ),
        ],
    )
    def test_so_much_of_each_resource(self, limit: Limit, text: str) -> None:
        wanted = job("a", demand(2, cores=2, gib=4, gpus=1), at=1)
        quotas = Quotas(users={"alice": Quota(limit=limit)})
        decided = plan([node("n", 64, 256, gpus=8)], running("r", count=2), wanted, quotas=quotas)
        assert decided.waiting["a"].text == text
        assert list(plan([node("n", 64, 256, gpus=8)], running("r", count=2), wanted).start) == ["a"]

    def test_who_has_waited_long_at_its_own_limit_is_not_passed_by_its_own_smaller_ones(self) -> None:
        quotas = Quotas(default=Quota(limit=cores(4)))
        jobs = [running("r", count=2), one("large", count=4, at=NOW - 400), one("small", at=NOW - 1)]
        patient = Rules(reserve_after_s=None, ageing_s=None)
        assert list(plan(NODES, *jobs, quotas=quotas, rules=patient).start) == ["small"]
        decided = plan(NODES, *jobs, quotas=quotas)
        assert (list(decided.start), codes(decided)) == ([], {"large": "quota", "small": "quota"})
        assert "kept for what waits before it" in decided.waiting["small"].text

    def test_who_asks_for_nothing_of_it_is_not_held_up(self) -> None:
        over = running("r", count=9)
        quotas = Quotas(default=Quota(limit=cores(4)))
        assert list(plan(NODES, over, job("flow"), quotas=quotas).start) == ["flow"]

    def test_who_is_over_its_quota_holds_nobody_up(self) -> None:
        quotas = Quotas(users={"alice": Quota(limit=cores(2))})
        decided = plan(NODES, one("a", count=3), one("b", "bob", 60, at=1), quotas=quotas)
        assert (list(decided.start), codes(decided)) == (["b"], {"a": "quota"})

    def test_elastic_services_count_what_they_hold(self) -> None:
        quotas = Quotas(default=Quota(limit=cores(4)))
        decided = plan(NODES, job("a", demand(1, 9)), quotas=quotas)
        assert decided.start["a"] == Start({W: {"n": 1}}, {W: {"n": 3}})
        held = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 2}}, leaving={W: {"n": 1}})
        decided = plan(NODES, held, one("a", at=1), quotas=quotas)
        assert (decided.grow, codes(decided)) == ({}, {"a": "quota"})

    def test_whoever_room_is_made_for_counts_already(self) -> None:
        grown = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 3}}, owner="bob")
        jobs = grown, one("a", count=2, at=NOW), one("b", count=1, at=NOW)
        decided = plan([node("n")], *jobs, quotas=Quotas(users={"alice": Quota(limit=cores(2))}))
        assert (codes(decided), decided.shrink) == ({"a": "waits_for_resources", "b": "quota"}, {"r": {W: {"n": 2}}})

    def test_those_of_a_group_together(self) -> None:
        quotas = Quotas(groups={"lab": Quota(limit=cores(3))})
        mine, other = running("r", "bob", 2, group="lab"), one("x", "zoe", 9, at=3)
        decided = plan(NODES, mine, one("a", group="lab", at=1), one("b", group="lab", at=2), other, quotas=quotas)
        assert list(decided.start) == ["a", "x"]
        assert "the limit of the group lab" in decided.waiting["b"].text

    def test_a_lost_core_comes_back_whatever_the_quota_says(self) -> None:
        quotas = Quotas(default=Quota(limit=Limit(executions=0)))
        lame = admitted("lame", demand(2), core={W: {"n": 1}})
        assert plan(NODES, lame, quotas=quotas).grow == {"lame": Start({W: {"n": 1}})}


class TestNever:
    def test_what_is_above_a_limit_by_itself_is_refused_at_submit(self) -> None:
        quotas = Quotas(users={"alice": Quota(limit=cores(8))}, groups={"lab": Quota(limit=cores(4))})
        wanted = [demand(3, cores=2), demand(0, 99, process="e")]
        assert can_ever_fit(wanted, NODES, quotas=quotas, owner="alice") is None
        assert can_ever_fit(wanted, NODES, quotas=quotas, owner="bob", group="other") is None
        never = can_ever_fit(wanted, NODES, quotas=quotas, owner="alice", group="lab")
        assert never is not None
        assert (
            never.text
            == "asks for 6 of cores, the limit of the group lab is 4; lower what it asks for, or ask the admin"
        )
        never = can_ever_fit([demand(9)], NODES, quotas=quotas, owner="alice")
        assert never is not None
        assert dict(never.numbers) == {
            "resource": "cores", "held": 0, "asked": 9_000_000, "limit": 8_000_000, "of": "user", "name": "alice",
        }  # fmt: skip

    def test_the_machines_count_too(self) -> None:
        never = can_ever_fit([demand(99)], NODES, quotas=Quotas(), owner="alice")
        assert never is not None
        assert never.code == "exceeds_cluster"


SHARED = Quotas(default=Quota(share=cores(4), limit=cores(12)), groups={"lab": Quota(limit=cores(12))})
"""Three users with a share of 4 each may borrow all that the others leave unused."""


class TestLending:
    def test_what_others_leave_unused_is_lent(self) -> None:
        decided = plan(NODES, *(one(f"a{i}", count=4, group="lab", at=i) for i in range(4)), quotas=SHARED)
        assert list(decided.start) == ["a0", "a1", "a2"]
        assert decided.waiting["a3"].numbers["of"] == "user"

    def test_who_takes_of_its_own_share_goes_before_who_borrows(self) -> None:
        jobs = [one(f"a{i}", count=4, group="lab", at=i) for i in range(3)]
        decided = plan(NODES, *jobs, one("b", "bob", 4, group="lab", at=9), quotas=SHARED)
        assert list(decided.start) == ["a0", "b", "a1"]
        urgent = one("u", count=4, group="lab", at=20, priority=200)
        assert list(plan(NODES, *jobs, urgent, quotas=SHARED).start) == ["u", "a0", "a1"]

    def test_elastic_services_go_back_to_their_owner_when_it_waits(self) -> None:
        borrower = admitted("r", demand(4, 8), core={W: {"n": 4}}, elastic={W: {"n": 8}}, group="lab")
        asks = one("b", "bob", 3, group="lab", at=9)
        decided = plan(NODES, borrower, asks, quotas=SHARED)
        assert (decided.shrink, decided.shrunk_for) == ({"r": {W: {"n": 3}}}, {"r": "b"})
        assert codes(decided) == {"b": "quota"}

        leaving = admitted(
            "r", demand(4, 8), core={W: {"n": 4}}, elastic={W: {"n": 5}}, leaving={W: {"n": 3}}, group="lab"
        )
        decided = plan(NODES, leaving, asks, one("c", "carol", 1, group="lab", at=10), quotas=SHARED)
        assert decided.shrink == {"r": {W: {"n": 1}}}, "for the next owner; what leaves already is enough for the first"
        assert decided.grow == {}

    def test_no_more_than_was_borrowed_and_only_if_it_is_enough(self) -> None:
        mostly_core = admitted("r", demand(10, 2), core={W: {"n": 10}}, elastic={W: {"n": 2}}, group="lab")
        decided = plan(NODES, mostly_core, one("b", "bob", 3, group="lab", at=9), quotas=SHARED)
        assert (decided.shrink, codes(decided)) == ({}, {"b": "quota"})
        own = admitted("r", demand(2, 2), core={W: {"n": 2}}, elastic={W: {"n": 2}}, group="lab")
        other = admitted("o", demand(8), core={W: {"n": 8}}, owner="carol", group="lab")
        assert plan(NODES, own, other, one("b", "bob", 3, group="lab", at=9), quotas=SHARED).shrink == {}

    def test_who_would_borrow_itself_gets_nothing_back(self) -> None:
        borrower = admitted("r", demand(4, 8), core={W: {"n": 4}}, elastic={W: {"n": 8}}, group="lab")
        assert plan(NODES, borrower, one("b", "bob", 5, group="lab", at=9), quotas=SHARED).shrink == {}

    def test_others_of_the_group_do_not_take_what_is_called_back(self) -> None:
        borrower = admitted("r", demand(4, 8), core={W: {"n": 4}}, elastic={W: {"n": 7}}, group="lab")
        asks = one("b", "bob", 3, group="lab", at=9)
        decided = plan(NODES, borrower, asks, one("c", "carol", count=5, group="lab", at=1), quotas=SHARED)
        assert (decided.start, decided.grow, decided.shrink) == ({}, {}, {"r": {W: {"n": 2}}})

    def test_without_a_limit_of_the_group_its_members_shares_are_what_there_is_to_lend(self) -> None:
        quotas = Quotas(default=Quota(share=cores(4), limit=cores(99)), members={"lab": frozenset({"alice", "bob"})})
        decided = plan(NODES, *(one(f"a{i}", count=4, group="lab", at=i) for i in range(3)), quotas=quotas)
        assert list(decided.start) == ["a0", "a1"]
        assert decided.waiting["a2"].text == (
            "asks for 4 of cores, 8 of 8 are taken, what the users of the group lab leave each other; it starts when enough is given back"
        )
        alone = Quotas(default=Quota(share=cores(4), limit=cores(99)))
        assert list(plan(NODES, one("a", count=5, group="lab"), quotas=alone).start) == []
        assert list(plan(NODES, one("a", count=5), quotas=alone).start) == ["a"], "who has no group has nobody to ask"

    def test_who_waits_for_the_limit_of_its_group_is_not_passed_by_smaller_ones_of_it(self) -> None:
        """Else small ones that keep coming would hold a large one back for ever."""
        quotas = Quotas(groups={"lab": Quota(limit=cores(10))})
        large, small = one("large", count=8, group="lab", at=1), one("small", "bob", 2, group="lab", at=2)
        decided = plan(
            NODES, running("r", count=6, group="lab"), large, small, one("else", "carol", at=3), quotas=quotas
        )
        assert list(decided.start) == ["else"]
        assert codes(decided) == {"large": "quota", "small": "quota"}
        assert plan(NODES, large, small, quotas=quotas).waiting.keys() == set()

    def test_who_can_never_start_keeps_nothing_of_its_group(self) -> None:
        """A limit was lowered, or a label taken from the last node that had it, while it waited."""
        quotas = Quotas(groups={"lab": Quota(limit=cores(4))})
        small = one("small", "bob", 2, group="lab", at=2)
        decided = plan(NODES, one("large", count=8, group="lab", at=1), small, quotas=quotas)
        assert list(decided.start) == ["small"]
        assert decided.waiting["large"].text == (
            "asks for 8 of cores, the limit of the group lab is 4; lower what it asks for, or ask the admin"
        )
        lost = job("lost", demand(1, cores=3, labels={"gpu": "a"}), owner="alice", group="lab", at=1)
        decided = plan(NODES, running("r", count=2, group="lab"), lost, small, quotas=quotas)
        assert list(decided.start) == ["small"]

    def test_groups_lend_each_other(self) -> None:
        lab, hall = Quota(share=cores(4), limit=cores(9)), Quota(share=cores(4), limit=cores(9))
        quotas = Quotas(groups={"lab": lab, "hall": hall, "free": Quota()})
        decided = plan(NODES, *(one(f"a{i}", count=2, group="lab", at=i) for i in range(5)), quotas=quotas)
        assert len(decided.start) == 4
        busy = running("r", "bob", 3, group="hall")
        decided = plan(NODES, busy, *(one(f"a{i}", count=2, group="lab", at=i) for i in range(5)), quotas=quotas)
        assert len(decided.start) == 2
        assert decided.waiting["a2"].numbers["of"] == "lent_by_groups"
        assert "what the groups leave each other" in decided.waiting["a2"].text

    def test_a_group_gets_its_share_back_when_it_waits(self) -> None:
        """Within its share nothing but room stands in its way, and elastic services give way to a core."""
        half = Quota(share=cores(2), limit=cores(4))
        quotas = Quotas(groups={"lab": half, "hall": half})
        borrower = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 3}}, group="hall")
        decided = plan([node("n")], borrower, one("b", "bob", 2, group="lab", at=9), quotas=quotas)
        assert (decided.shrink, decided.shrunk_for) == ({"r": {W: {"n": 2}}}, {"r": "b"})
        after = replace(borrower, elastic={W: {"n": 1}})
        decided = plan([node("n")], after, one("b", "bob", 2, group="lab", at=9), quotas=quotas)
        assert (list(decided.start), decided.grow) == (["b"], {})


def test_a_workload_of_thirty_users_in_five_groups() -> None:
    """Kueue's own: 600 cores, a share of 20 for each user, 120 by borrowing in the group."""
    quotas = Quotas(
        default=Quota(share=cores(20), limit=cores(120)), groups={f"g{i}": Quota(limit=cores(120)) for i in range(5)}
    )
    jobs = [one(f"big{i}", "g0u0", 20, group="g0", at=i, priority=200) for i in range(7)]
    jobs += [one(f"u{u}-{i}", f"g0u{u}", 5, group="g0", at=9) for u in range(1, 6) for i in range(4)]
    nodes = [node(f"n{i}", 60, 256) for i in range(10)]
    alone = plan(nodes, *jobs[:7], quotas=quotas)
    assert len(alone.start) == 6, "all of the group's, while nobody else asks"
    assert codes(alone) == {"big6": "quota"}
    together = plan(nodes, *jobs, quotas=quotas, now=NOW)
    assert len(together.start) == 6, "a higher class goes first, borrowed or not"
    batch = [one(f"a{i}", "g0u0", 20, group="g0", at=i) for i in range(7)] + jobs[7:]
    shared = plan(nodes, *batch, quotas=quotas)
    assert sorted(shared.start) == sorted(["a0", *(each.id for each in jobs[7:])])
