"""Of every decision under any policy, rules and quotas: what the scheduler promises."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given as of
from hypothesis import settings
from hypothesis import strategies as st

from tests.scheduler.rules.promises import cores_are_whole, nobody_is_in_the_way, nothing_is_given_twice
from tests.scheduler.rules.worlds import (
    POLICIES,
    carried_out,
    given,
    snapshots,
    within_limits,
)
from tests.scheduler.world import NOW, W, admitted, demand, job, node
from zoe_jupyter.scheduler.decide import Memo, can_ever_fit, decide
from zoe_jupyter.scheduler.fitting import would_fit
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.policies.fair import Fair
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.policies.hrrn import Hrrn
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.policies.srpt import Srpt
from zoe_jupyter.scheduler.snapshot import Job, Rules, Snapshot, Strategy
from zoe_jupyter.scheduler.work import core_only_end

NEVER = {"misconfigured", "no_matching_node", "exceeds_every_node", "exceeds_cluster"}
ASIDE = NEVER | {"node_closes"} | {"start_failed", "begins_later", "quota"}

many = settings(max_examples=150, deadline=None)
some = settings(max_examples=80, deadline=None)


def total(counts: object) -> int:
    return sum(sum(nodes.values()) for nodes in counts.values())  # type: ignore[attr-defined]


@of(snapshots(), POLICIES)
@many
def test_nothing_is_given_twice(snapshot: Snapshot, policy: Policy) -> None:
    """Neither room nor a port, nor on a node that will not do, nor beside whom it must not lie."""
    nothing_is_given_twice(snapshot, decide(snapshot, policy, NOW))


@of(snapshots(), POLICIES)
@many
def test_nobody_starts_where_it_is_known_to_be_in_the_way(snapshot: Snapshot, policy: Policy) -> None:
    nobody_is_in_the_way(snapshot, decide(snapshot, policy, NOW), NOW)


@of(snapshots(), POLICIES)
@many
def test_a_core_is_whole_and_elastic_services_are_at_most_as_many_as_wanted(snapshot: Snapshot, policy: Policy) -> None:
    cores_are_whole(snapshot, decide(snapshot, policy, NOW))


@of(snapshots(), POLICIES)
@many
def test_the_same_in_any_order_and_with_any_memory(snapshot: Snapshot, policy: Policy) -> None:
    memo = Memo()
    plan = decide(snapshot, policy, NOW)
    assert decide(snapshot, policy, NOW, memo) == plan
    assert decide(replace(snapshot, jobs=snapshot.jobs[::-1], nodes=snapshot.nodes[::-1]), policy, NOW, memo) == plan
    after, later = carried_out(snapshot, plan), NOW + 7
    assert decide(after, policy, later, memo) == decide(after, policy, later)
    fewer = replace(after, jobs=after.jobs[1:])
    assert decide(fewer, policy, later, memo) == decide(fewer, policy, later)
    assert decide(snapshot, policy, NOW, memo) == plan


@of(snapshots(), POLICIES)
@many
def test_the_first_that_waits_gets_room_if_elastic_services_can_make_it(snapshot: Snapshot, policy: Policy) -> None:
    """In policy order, of those that quotas allow: it starts, or room is made for it."""
    rules = replace(snapshot.rules, reclaims=True, ageing_s=None, preempts=False)
    nodes = tuple(replace(each, closes_at=None) for each in snapshot.nodes)
    snapshot = replace(snapshot, rules=rules, nodes=nodes)
    plan = decide(snapshot, policy, NOW)
    first = next((key for key, reason in plan.waiting.items() if reason.code not in ASIDE), None)
    if first is None or plan.waiting[first].code == "reserved":
        return
    asking = next(each for each in snapshot.jobs if each.id == first)
    if sum(wanted.core > 0 for wanted in asking.demands) > 1:
        return  # a mixture is bin packing, for which less room may lead to a way that more room has hidden
    after = replace(snapshot, jobs=tuple(_started(each, plan) for each in snapshot.jobs))
    if would_fit(asking, after):
        assert plan.waiting[first].text.endswith("room is being made for it")
    else:
        assert not any(whom == first for whom in plan.shrunk_for.values())


def _started(each: Job, plan: Plan) -> Job:
    core, _ = given(each, plan)
    held = {process: dict(nodes) for process, nodes in each.core.items()}
    for process, nodes in core.items():
        for name, count in nodes.items():
            held.setdefault(process, {})[name] = held.get(process, {}).get(name, 0) + count
    return replace(each, core=held, is_admitted=each.is_admitted or each.id in plan.start)


@of(snapshots(), POLICIES)
@many
def test_only_equal_or_lower_classes_give_way_and_no_more_than_needed(snapshot: Snapshot, policy: Policy) -> None:
    snapshot = replace(snapshot, rules=replace(snapshot.rules, ageing_s=None))
    plan = decide(snapshot, policy, NOW)
    by_id = {each.id: each for each in snapshot.jobs}
    for victim, whom in plan.shrunk_for.items():
        is_called_back = plan.waiting[whom].code == "quota"
        assert is_called_back or by_id[victim].priority <= by_id[whom].priority
        assert snapshot.rules.reclaims
        assert whom in plan.waiting
    assert plan.shrunk_for.keys() <= plan.shrink.keys()
    assert not plan.shrunk_for.keys() & plan.grow.keys()
    assert not {*plan.preempt} & (plan.shrink.keys() | plan.grow.keys())
    if plan.preempt:
        highest = max(by_id[key].priority for key in plan.waiting)
        assert snapshot.rules.preempts
        assert all(by_id[key].may_be_preempted and by_id[key].priority < highest for key in plan.preempt)


@of(snapshots(), POLICIES)
@many
def test_a_victim_does_not_grow_back_too_soon(snapshot: Snapshot, policy: Policy) -> None:
    plan = decide(snapshot, policy, NOW)
    for each in snapshot.jobs:
        if each.grow_after > NOW and each.is_admitted and given(each, plan)[1]:
            assert not plan.waiting


@of(snapshots(), POLICIES)
@many
def test_nobody_gets_more_than_quotas_allow(snapshot: Snapshot, policy: Policy) -> None:
    within_limits(snapshot, decide(snapshot, policy, NOW))


@of(snapshots(), POLICIES, st.floats(0, 500))
@many
def test_a_reservation_only_moves_earlier(snapshot: Snapshot, policy: Policy, later_s: float) -> None:
    plan = decide(snapshot, policy, NOW)
    kept, before = plan.reservation, snapshot.reservation
    # Who has aged is given one also where the first in the queue is not: else backfill would starve it.
    assert snapshot.rules.reserve_after_s is not None or snapshot.rules.ageing_s is not None or kept is None
    if kept is None:
        return
    assert kept.job in plan.waiting
    assert before is None or before.job != kept.job or kept.at <= before.at
    again = decide(replace(carried_out(snapshot, plan)), policy, NOW + later_s).reservation
    assert again is None or again.job != kept.job or again.at <= kept.at


@of(snapshots(), POLICIES)
@many
def test_every_reason_is_true(snapshot: Snapshot, policy: Policy) -> None:
    plan = decide(snapshot, policy, NOW)
    by_id = {each.id: each for each in snapshot.jobs}
    assert [reason.numbers["position"] for reason in plan.waiting.values()] == list(range(1, len(plan.waiting) + 1))
    for key, reason in plan.waiting.items():
        each, numbers = by_id[key], reason.numbers
        assert reason.text
        if reason.code in {"start_failed", "begins_later"}:
            assert each.not_before > NOW
            assert (reason.code == "start_failed") == bool(each.failed_starts)
        elif reason.code == "quota":
            assert numbers["held"] + numbers.get("kept", 0) + numbers["asked"] > numbers["limit"]
        elif reason.code == "reserved":
            assert plan.reservation is not None
            assert numbers["first"] == plan.reservation.job != key
            assert plan.reservation.at == math.inf or core_only_end(each, NOW) > plan.reservation.at
        elif reason.code == "behind_others":
            assert numbers["ahead"] == numbers["position"] - 1 > 0
            assert plan.waiting[numbers["first"]].numbers["position"] < numbers["position"]
        elif reason.code == "node_closes":
            closes = {node_.name: node_.closes_at or math.inf for node_ in snapshot.nodes}
            assert all(closes[name] < core_only_end(each, NOW) < math.inf for name in numbers["nodes"])
        elif reason.code in NEVER and any(node_.is_enabled for node_ in snapshot.nodes):
            enabled = [node_ for node_ in snapshot.nodes if node_.is_enabled]
            assert can_ever_fit(_lacking(each), enabled) is not None
        assert numbers.get("expected_start", NOW) >= NOW


def _lacking(each: Job) -> list[object]:
    return [
        replace(wanted, core=wanted.core - sum(each.core.get(wanted.process, {}).values())) for wanted in each.demands
    ]


@of(snapshots(), POLICIES)
@some
def test_a_plan_that_was_carried_out_leads_to_rest(snapshot: Snapshot, policy: Policy) -> None:
    """No thrashing, and nobody is taken back in turns: after a few rounds nothing moves any more."""
    for _ in range(20):
        plan = decide(snapshot, policy, NOW)
        if not (plan.start or plan.grow or plan.shrink or plan.preempt):
            return
        snapshot = carried_out(snapshot, plan)
    raise AssertionError(f"still moving: {plan}")


@of(
    st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=5),
    st.integers(0, 60),
    st.sampled_from(Strategy),
)
@many
def test_weights_share_as_told(weights: list[float], room: int, strategy: Strategy) -> None:
    jobs = tuple(admitted(f"j{i}", demand(0, 99, gib=0), weight=weight) for i, weight in enumerate(weights))
    plan = decide(Snapshot((node("a", room), node("b", 3)), jobs, rules=Rules(placement=strategy)), Fifo(), NOW)
    counts = [total(given(each, plan)[1]) for each in jobs]
    assert sum(counts) == room + 3
    levels = [count / weight for count, weight in zip(counts, weights, strict=True)]
    assert all(level - 1 / weight <= min(levels) + 1e-9 for level, weight in zip(levels, weights, strict=True) if level)


@pytest.mark.parametrize("policy", [Fifo(), Sjf(), Srpt(), Hrrn(), Fair()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("run_s", [None, 40.0])
@pytest.mark.parametrize(
    "rules", [Rules(ageing_s=None), Rules(reserve_after_s=None), Rules()], ids=["reserve", "age", "both"]
)
def test_nobody_waits_for_ever(policy: Policy, run_s: float | None, rules: Rules) -> None:
    """A large one starts although small, shorter ones keep coming that would always fill the machine."""
    if rules.ageing_s is None and isinstance(policy, Sjf | Srpt):
        return  # who is longer than all others is never the first: ageing is for that
    rules = replace(rules, ageing_s=rules.ageing_s and 2000.0)
    waiting, running, plan = [job("big", demand(1, cores=4), run_s=run_s, owner="bob")], dict[str, Job](), Plan()
    for number in range(1000):
        now = number * 15.0
        running = {key: each for key, each in running.items() if each.done_at + 30 + number % 7 > now}
        waiting += [job(f"s{number:05}{letter}", demand(1), at=now, run_s=30.0) for letter in "ab"]
        jobs = (*waiting, *running.values())
        plan = decide(Snapshot((node("n"),), jobs, rules=rules, reservation=plan.reservation), policy, now)
        if "big" in plan.start:
            return
        for each in [each for each in waiting if each.id in plan.start]:
            waiting.remove(each)
            running[each.id] = replace(each, is_admitted=True, core={W: {"n": 1}}, started_at=now, done_at=now)
    raise AssertionError("it waits for ever")
