"""What every decision keeps to, whatever it looks at."""

from __future__ import annotations

import math

from tests.scheduler.rules.worlds import amounts, at_once, given
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Job, Snapshot, Together
from zoe_jupyter.scheduler.work import core_only_end


def nothing_is_given_twice(snapshot: Snapshot, plan: Plan) -> None:
    """Neither room nor a port, nor on a node that will not do, nor beside whom it must not lie."""
    nodes = {each.name: each for each in snapshot.nodes}
    taken = {name: Resources() for name in nodes}
    ports: dict[tuple[str, int], int] = {}
    touched = set()
    for each in snapshot.jobs:
        for counts in at_once(each, plan):
            for name, wanted, count in amounts(each.demands, counts):
                taken[name] += wanted.resources * count
                for port in wanted.host_ports:
                    ports[name, port] = ports.get((name, port), 0) + count
        touched |= _touched(each, plan, snapshot)
    assert all(taken[name].fits_in(nodes[name].capacity) for name in touched)
    assert all(count <= 1 for (name, _), count in ports.items() if name in touched)


def _touched(each: Job, plan: Plan, snapshot: Snapshot) -> set[str]:
    """Where it gets something: only where it may."""
    nodes, touched = {node.name: node for node in snapshot.nodes}, set()
    for counts in given(each, plan):
        for name, wanted, count in amounts(each.demands, counts):
            touched.add(name)
            assert count > 0
            assert nodes[name].is_enabled
            assert wanted.labels.items() <= nodes[name].labels.items()
            assert not wanted.nodes or name in wanted.nodes
            beside = sum(
                held.get(wanted.process, {}).get(name, 0) for held in (each.core, each.elastic, *given(each, plan))
            )
            assert wanted.together is not Together.APART or beside == 1
    return touched


def nobody_is_in_the_way(snapshot: Snapshot, plan: Plan, now: float) -> None:
    """Nobody starts on a node that closes before it is over."""
    for each in snapshot.jobs:
        if each.id in plan.start and each.run_s is not None:
            there = {name for counts in given(each, plan) for nodes in counts.values() for name in nodes}
            end = core_only_end(each, now)
            assert all((node.closes_at or math.inf) >= end for node in snapshot.nodes if node.name in there)


def cores_are_whole(snapshot: Snapshot, plan: Plan) -> None:
    """Whoever starts has its whole core, nobody more elastic services than it wants, and each starts or waits."""
    assert not plan.start.keys() & plan.waiting.keys()
    for each in snapshot.jobs:
        core, elastic = given(each, plan)
        back = plan.shrink.get(each.id, {})
        for wanted in each.demands:
            process = wanted.process
            new = sum(core.get(process, {}).values())
            if each.id in plan.start or new:
                assert new + sum(each.core.get(process, {}).values()) == max(
                    wanted.core, sum(each.core.get(process, {}).values())
                )
            held = sum(each.elastic.get(process, {}).values())
            assert (
                held + sum(elastic.get(process, {}).values()) - sum(back.get(process, {}).values())
                <= max(wanted.elastic, 0)
                or each.id in plan.preempt
            )
            assert all(count <= each.elastic[process][name] for name, count in back.get(process, {}).items())
        assert each.is_admitted or each.id in plan.start or each.id in plan.waiting


def what_is_taken_back_is_for_somebody(snapshot: Snapshot, plan: Plan) -> None:
    """Room is being made only where something leaves; and what leaves, leaves for one that room is being made for, of a higher class where
    whole executions do."""
    by_id = {each.id: each for each in snapshot.jobs}
    coming = {key for key, reason in plan.waiting.items() if reason.text.endswith("room is being made for it")}
    assert not coming or plan.shrink or plan.preempt or any(each.leaving for each in snapshot.jobs)
    assert coming.issuperset(plan.shrunk_for.values())
    assert not {*plan.preempt} & (plan.shrink.keys() | plan.grow.keys())
    for victim in plan.preempt:
        assert by_id[victim].is_admitted
        assert by_id[victim].may_be_preempted
        assert any(by_id[key].priority > by_id[victim].priority for key in coming)


def a_reservation_goes_to_nobody_behind(snapshot: Snapshot, plan: Plan) -> None:
    """Who had it, and waits for nothing but room, hands it to nobody who stands behind."""
    before, kept, places = snapshot.reservation, plan.reservation, list(plan.waiting)
    if before is None or kept is None or before.job not in places or kept.job not in places:
        return
    is_open = plan.waiting[before.job].code == "waits_for_resources"
    assert not is_open or places.index(kept.job) <= places.index(before.job)


def numbers_are_true(snapshot: Snapshot, plan: Plan, now: float) -> None:
    for position, (key, reason) in enumerate(plan.waiting.items(), 1):
        numbers = reason.numbers
        assert numbers["position"] == position
        assert numbers.get("expected_start", now) >= now
        assert "1 services" not in reason.text
        if reason.code == "quota":
            assert numbers["held"] + numbers.get("kept", 0) + numbers["asked"] > numbers["limit"]
        if reason.code == "waits_for_resources" and "needed" in numbers:
            assert numbers["needed"] > numbers["most"] or reason.text.endswith("room is being made for it"), key
    before, kept = snapshot.reservation, plan.reservation
    assert before is None or kept is None or before.job != kept.job or kept.at <= before.at
