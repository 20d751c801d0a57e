"""Of every decision: nothing is given twice, a core is whole, and no elastic service stands in a core's way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import is_linear
from tests.scheduler.world import GIB, NOW, admitted, demand, job, node
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import Memo, can_ever_fit, decide
from zoe_jupyter.scheduler.memo import lacking
from zoe_jupyter.scheduler.placement import fits
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Job, Snapshot
from zoe_jupyter.scheduler.space import Machines

LABELS = st.sampled_from([{}, {}, {"disk": "fast"}])
NODES = st.lists(
    st.builds(
        node,
        st.sampled_from(["a", "b", "c", "d"]),
        st.integers(0, 8),
        st.integers(0, 16),
        labels=LABELS,
        is_enabled=st.sampled_from([True, True, True, False]),
    ),
    max_size=4,
    unique_by=lambda each: each.name,
)
SIZES = st.fixed_dictionaries({"cores": st.sampled_from([0, 0.5, 1, 3]), "gib": st.sampled_from([0, 1, 5])})


@st.composite
def demands(draw: st.DrawFn) -> tuple[Demand, ...]:
    count = draw(st.integers(0, 2))
    return tuple(
        demand(draw(st.integers(0, 4)), draw(st.integers(0, 5)), process=f"p{i}", labels=draw(LABELS), **draw(SIZES))
        for i in range(count)
    )


@st.composite
def jobs(draw: st.DrawFn, nodes: list[Node]) -> tuple[Job, ...]:
    """Some in progress, holding what a scheduler could have given them, and some that wait."""
    room = {each.name: each.capacity for each in nodes}
    found: list[Job] = []
    for i in range(draw(st.integers(0, 6))):
        wanted, at, priority = draw(demands()), float(draw(st.integers(0, 3))), draw(st.sampled_from([100, 100, 200]))
        if draw(st.booleans()):
            held = [_held(draw, wanted, nodes, room, most) for most in (4, 5, 2)]
            core = {d.process: _at_most(held[0].get(d.process, {}), d.core) for d in wanted}
            found.append(
                admitted(f"j{i}", *wanted, core=core, elastic=held[1], leaving=held[2], at=at, priority=priority)
            )
        else:
            found.append(
                job(f"j{i}", *wanted, at=at, priority=priority, not_before=draw(st.sampled_from([0.0, 0.0, NOW + 5])))
            )
    return tuple(found)


def _held(
    draw: st.DrawFn, wanted: tuple[Demand, ...], nodes: list[Node], room: dict[str, Resources], most: int
) -> Counts:
    counts: dict[str, dict[str, int]] = {}
    for each in wanted:
        for place_ in nodes:
            for _ in range(draw(st.integers(0, most)) if draw(st.booleans()) else 0):
                if each.resources.fits_in(room[place_.name]):
                    room[place_.name] -= each.resources
                    there = counts.setdefault(each.process, {})
                    there[place_.name] = there.get(place_.name, 0) + 1
    return counts


def _at_most(nodes: Counts | dict[str, int], count: int) -> dict[str, int]:
    kept: dict[str, int] = {}
    for name, there in nodes.items():
        kept[name] = min(there, count - sum(kept.values()))  # type: ignore[type-var, call-overload]
    return {name: there for name, there in kept.items() if there}


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    nodes = draw(NODES)
    return Snapshot(tuple(nodes), draw(jobs(nodes)))


def size(counts: Counts) -> int:
    return sum(sum(nodes.values()) for nodes in counts.values())


def amounts(demands: tuple[Demand, ...], counts: Counts) -> Iterator[tuple[str, Resources]]:
    for wanted in demands:
        for name, count in counts.get(wanted.process, {}).items():
            yield name, wanted.resources * count


def held(snapshot: Snapshot, plan: Plan) -> dict[str, Resources]:
    """What is taken on each node at the moment in which everything new was started and nothing has left yet."""
    taken = {each.name: Resources() for each in snapshot.nodes}
    for each in snapshot.jobs:
        change = plan.start.get(each.id) or plan.grow.get(each.id)
        new = (change.core, change.elastic) if change else ()
        for counts in (each.core, each.elastic, each.leaving, *new):
            for name, amount in amounts(each.demands, counts):
                taken[name] += amount
    return taken


def would_fit(job: Job, snapshot: Snapshot, rooms: dict[str, Resources]) -> bool:
    machines = Machines(snapshot.nodes)
    space = machines.capacity.copy()
    for number, name in enumerate(machines.names):
        room = rooms[name]
        space.cores[number], space.memory[number], space.gpus[number] = room.microcores, room.memory_bytes, room.gpus
    return fits(lacking(job, machines), machines, space, {}) is not None


@given(snapshots())
@settings(max_examples=400, deadline=None)
def test_no_node_is_given_more_than_it_has(snapshot: Snapshot) -> None:
    """Nor anything that was not asked for, or that it may not run."""
    plan = decide(snapshot, Fifo(), NOW)
    taken = held(snapshot, plan)
    by_name = {each.name: each for each in snapshot.nodes}
    assert all(taken[name].fits_in(each.capacity) for name, each in by_name.items())
    for key, change in {**plan.start, **plan.grow}.items():
        asked = {each.process: each for each in next(j for j in snapshot.jobs if j.id == key).demands}
        for counts in (change.core, change.elastic):
            for process, nodes in counts.items():
                assert all(count > 0 and by_name[name].is_enabled for name, count in nodes.items())
                assert all(asked[process].labels.items() <= by_name[name].labels.items() for name in nodes)


@given(snapshots())
@settings(max_examples=400, deadline=None)
def test_a_core_is_whole_and_elastic_services_are_at_most_as_many_as_wanted(snapshot: Snapshot) -> None:
    plan = decide(snapshot, Fifo(), NOW)
    for each in snapshot.jobs:
        change = plan.start.get(each.id) or plan.grow.get(each.id)
        for wanted in each.demands:
            core, elastic, back = (
                size({"": counts.get(wanted.process, {})})
                for counts in (
                    change.core if change else {},
                    change.elastic if change else {},
                    plan.shrink.get(each.id, {}),
                )
            )
            if each.id in plan.start or core:
                assert core + sum(each.core.get(wanted.process, {}).values()) == wanted.core
            had = sum(each.elastic.get(wanted.process, {}).values())
            assert had + elastic - back <= wanted.elastic
            assert all(
                count <= each.elastic[wanted.process][name]
                for name, count in plan.shrink.get(each.id, {}).get(wanted.process, {}).items()
            )


@given(snapshots())
@settings(max_examples=400, deadline=None)
def test_everybody_who_wants_a_core_gets_it_or_a_reason(snapshot: Snapshot) -> None:
    plan = decide(snapshot, Fifo(), NOW)
    waiting = {each.id for each in snapshot.jobs if not each.is_admitted}
    assert waiting <= plan.start.keys() | plan.waiting.keys()
    assert not plan.start.keys() & plan.waiting.keys()
    assert [reason.numbers["position"] for reason in plan.waiting.values()] == list(range(1, len(plan.waiting) + 1))
    assert all(reason.text for reason in plan.waiting.values())


@given(snapshots())
@settings(max_examples=400, deadline=None)
def test_no_elastic_service_stands_in_the_way_of_a_core(snapshot: Snapshot) -> None:
    """Whoever is first in the queue either has room on the way, or would not fit even if nothing elastic ran."""
    plan = decide(snapshot, Fifo(), NOW)
    first = next((key for key, reason in plan.waiting.items() if reason.code == "waits_for_resources"), None)
    if first is None:
        return
    asking = next(each for each in snapshot.jobs if each.id == first)
    taken = held(snapshot, plan)
    later = {each.name: each.capacity - taken[each.name] for each in snapshot.nodes if each.is_enabled}
    without = dict(later)
    for each in snapshot.jobs:
        change = plan.start.get(each.id) or plan.grow.get(each.id)
        for counts, rooms in (
            (each.leaving, (later, without)),
            (plan.shrink.get(each.id, {}), (later,)),
            (each.elastic if each.priority <= asking.priority else {}, (without,)),
            (change.elastic if change and each.priority <= asking.priority else {}, (without,)),
        ):
            for name, amount in amounts(each.demands, counts):
                for room in rooms:
                    if name in room:
                        room[name] += amount
    if would_fit(asking, snapshot, without):
        assert would_fit(asking, snapshot, later)
        assert plan.waiting[first].text.endswith("room is being made for it")


@given(snapshots())
@settings(max_examples=200, deadline=None)
def test_the_same_in_any_order_and_with_any_memory(snapshot: Snapshot) -> None:
    memo = Memo()
    plan = decide(snapshot, Fifo(), NOW)
    assert decide(snapshot, Fifo(), NOW, memo) == plan
    assert decide(snapshot, Fifo(), NOW, memo) == plan
    turned = replace(snapshot, nodes=snapshot.nodes[::-1], jobs=snapshot.jobs[::-1])
    assert decide(turned, Fifo(), NOW, memo) == plan


@given(snapshots())
@settings(max_examples=200, deadline=None)
def test_a_plan_that_was_carried_out_leads_to_rest(snapshot: Snapshot) -> None:
    """Apply it, let go what leaves, decide again: after a few rounds nothing moves any more."""
    for _ in range(12):
        plan = decide(snapshot, Fifo(), NOW + 10)
        if not (plan.start or plan.grow or plan.shrink):
            return
        snapshot = replace(snapshot, jobs=tuple(_carried_out(each, plan) for each in snapshot.jobs))
    raise AssertionError(f"still moving: {plan}")


def _carried_out(each: Job, plan: Plan) -> Job:
    change = plan.start.get(each.id) or plan.grow.get(each.id)
    core, elastic = (change.core, change.elastic) if change else ({}, {})
    return replace(
        each,
        is_admitted=each.is_admitted or each.id in plan.start,
        core=_sum(each.core, core, 1),
        elastic=_sum(_sum(each.elastic, elastic, 1), plan.shrink.get(each.id, {}), -1),
        leaving={},
    )


def _sum(a: Counts, b: Counts, sign: int) -> Counts:
    total = {process: dict(nodes) for process, nodes in a.items()}
    for process, nodes in b.items():
        for name, count in nodes.items():
            there = total.setdefault(process, {})
            there[name] = there.get(name, 0) + sign * count
    return {process: {name: count for name, count in nodes.items() if count} for process, nodes in total.items()}


@given(NODES, st.integers(1, 6), SIZES)
def test_services_that_are_all_alike_find_a_way_whenever_there_is_one(
    nodes: list[Node], count: int, amount: dict[str, float]
) -> None:
    wanted = demand(count, **amount)
    enabled = [each for each in nodes if each.is_enabled]
    possible = sum(_fit(wanted.resources, each.capacity, count) for each in enabled)
    plan = decide(Snapshot(tuple(nodes), (job("j", wanted),)), Fifo(), NOW)
    assert ("j" in plan.start) == (possible >= count)
    if enabled:
        assert (can_ever_fit([wanted], enabled) is None) == (possible >= count)


def _fit(amount: Resources, capacity: Resources, most: int) -> int:
    count = 0
    while count < most and (amount * (count + 1)).fits_in(capacity):
        count += 1
    return count


def test_a_thousand_that_wait_on_a_hundred_nodes_are_not_held_against_each_other() -> None:
    nodes = tuple(node(f"n{i:03}", 32, 128) for i in range(100))
    sizes = [(1, 4), (2, 8), (4, 16)]
    waiting = tuple(
        job(f"j{i:04}", demand(1, cores=0.5, process="m"), demand(2, 30, cores=c, gib=g, process="w"), at=float(i))
        for i in range(1000)
        for c, g in [sizes[i % 3]]
    )
    running = decide(Snapshot(nodes, waiting[:200]), Fifo(), NOW)
    busy = tuple(_carried_out(each, running) for each in waiting[:200])

    def idle(count: int) -> partial[Plan]:
        return partial(decide, Snapshot(nodes, waiting[:count]), Fifo(), NOW)

    def full(count: int) -> partial[Plan]:
        return partial(decide, Snapshot(nodes, busy + waiting[200 : 200 + count]), Fifo(), NOW)

    assert is_linear(idle, 1000, most=12)
    assert is_linear(full, 800, most=12)
    assert can_ever_fit(waiting[0].demands, nodes) is None
    assert nodes[0].capacity.memory_bytes == 128 * GIB
