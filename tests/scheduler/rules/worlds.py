"""Random clusters and queues with everything that a site and its users may choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from hypothesis import strategies as st

from tests.scheduler.world import NOW, demand, node
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.policies.fair import Fair
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.policies.hrrn import Hrrn
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.policies.srpt import Srpt
from zoe_jupyter.scheduler.snapshot import (
    Counts,
    Demand,
    Job,
    Limit,
    Quota,
    Quotas,
    Reservation,
    Rules,
    Snapshot,
    Strategy,
    Together,
)

POLICIES: st.SearchStrategy[Policy] = st.sampled_from([Fifo(), Sjf(), Srpt(), Hrrn(), Fair()])
NODES = st.lists(
    st.builds(
        node,
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 8),
        st.integers(0, 16),
        gpus=st.sampled_from([0, 0, 2]),
        labels=st.sampled_from([{}, {}, {"disk": "fast"}]),
        is_enabled=st.sampled_from([True, True, True, False]),
        closes_at=st.sampled_from([None, None, NOW + 20, NOW + 5e3]),
    ),
    max_size=3,
    unique_by=lambda each: each.name,
)
RULES = st.builds(
    Rules,
    placement=st.sampled_from(Strategy),
    reclaims=st.sampled_from([True, True, True, False]),
    protection_s=st.sampled_from([0.0, 60.0]),
    reserve_after_s=st.sampled_from([None, 0.0, 300.0]),
    ageing_s=st.sampled_from([None, 200.0]),
    preempts=st.booleans(),
)
LIMITS = st.builds(
    Limit,
    executions=st.sampled_from([None, None, 1, 3]),
    microcores=st.sampled_from([None, None, 2_000_000, 6_000_000]),
    memory_bytes=st.sampled_from([None, None, 8 * 1024**3]),
    gpus=st.sampled_from([None, None, 1]),
)
QUOTA = st.builds(Quota, share=st.none() | LIMITS, limit=LIMITS)
QUOTAS = st.just(Quotas()) | st.builds(
    Quotas,
    users=st.dictionaries(st.sampled_from(["alice", "bob"]), QUOTA, max_size=2),
    groups=st.dictionaries(st.sampled_from(["lab", "hall"]), QUOTA, max_size=2),
    default=st.just(Quota()) | QUOTA,
)
OWNERS = st.sampled_from([("alice", "lab"), ("bob", "lab"), ("carol", "hall"), ("dave", "")])


@st.composite
def demands(draw: st.DrawFn) -> tuple[Demand, ...]:
    return tuple(
        demand(
            draw(st.integers(0, 4)),
            draw(st.integers(0, 5)),
            process=f"p{place}",
            cores=draw(st.sampled_from([0, 0.5, 1, 3])),
            gib=draw(st.sampled_from([0, 1, 5])),
            gpus=draw(st.sampled_from([0, 0, 0, 1])),
            labels=draw(st.sampled_from([{}, {}, {"disk": "fast"}])),
            nodes=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"a", "b"})])),
            host_ports=draw(st.sampled_from([frozenset(), frozenset(), frozenset({80}), frozenset({80, 81})])),
            together=draw(st.sampled_from(Together)),
        )
        for place in range(draw(st.integers(0, 2)))
    )


@st.composite
def jobs(draw: st.DrawFn, nodes: list[Node]) -> tuple[Job, ...]:
    """Some in progress, holding what a scheduler could have given them, and some that wait."""
    stock = _Stock(nodes)
    return tuple(_job(draw, place, stock) for place in range(draw(st.integers(0, 6))))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    nodes = draw(NODES)
    found = draw(jobs(nodes))
    holder = draw(st.sampled_from([None, *(job.id for job in found)]))
    return Snapshot(
        tuple(nodes),
        found,
        rules=draw(RULES),
        quotas=draw(QUOTAS),
        usage=draw(st.dictionaries(st.sampled_from(["alice", "lab"]), st.floats(0, 1e4), max_size=2)),
        group_usage=draw(st.dictionaries(st.just("lab"), st.floats(0, 1e4), max_size=1)),
        reservation=holder and Reservation(holder, draw(st.sampled_from([NOW - 5, NOW + 50, NOW + 1e4]))),
        seed=draw(st.integers(0, 3)),
    )


def _job(draw: st.DrawFn, place: int, stock: _Stock) -> Job:
    owner, group = draw(OWNERS)
    job = Job(
        f"j{place}",
        owner,
        draw(demands()),
        queued_at=NOW - draw(st.sampled_from([0, 10, 250, 450, 900])),
        priority=draw(st.sampled_from([50, 100, 100, 200])),
        group=group,
        weight=draw(st.sampled_from([1.0, 1.0, 2.5])),
        run_s=draw(st.sampled_from([None, 0.0, 40.0, 4000.0])),
        may_be_preempted=draw(st.booleans()),
    )
    if draw(st.booleans()):
        return replace(
            job, not_before=draw(st.sampled_from([0.0, 0.0, NOW + 5])), failed_starts=draw(st.integers(0, 1))
        )
    core, elastic, leaving = ({}, {}, {})
    for each in job.demands:
        core[each.process] = stock.take(draw, each, each.core)
        elastic[each.process] = stock.take(draw, each, 5)
        leaving[each.process] = stock.take(draw, each, 2)
    began = draw(st.sampled_from([None, NOW - 30]))
    return replace(
        job,
        is_admitted=True,
        core=core,
        elastic=elastic,
        leaving=leaving,
        started_at=began,
        done_at=began or 0.0,
        grow_after=draw(st.sampled_from([0.0, 0.0, NOW + 30])),
    )


class _Stock:
    """What is left to be held."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._room = {each.name: each.capacity for each in nodes}
        self._ports: set[tuple[str, int]] = set()

    def take(self, draw: st.DrawFn, wanted: Demand, most: int) -> dict[str, int]:
        counts: dict[str, int] = {}
        for each in self._nodes:
            for _ in range(draw(st.integers(0, most - sum(counts.values()))) if draw(st.booleans()) else 0):
                taken = {(each.name, port) for port in wanted.host_ports}
                if wanted.resources.fits_in(self._room[each.name]) and not taken & self._ports:
                    self._room[each.name] -= wanted.resources
                    self._ports |= taken
                    counts[each.name] = counts.get(each.name, 0) + 1
        return counts


def amounts(demands: tuple[Demand, ...], counts: Counts) -> Iterator[tuple[str, Demand, int]]:
    for wanted in demands:
        for name, count in counts.get(wanted.process, {}).items():
            yield name, wanted, count


def given(job: Job, plan: Plan) -> tuple[Counts, Counts]:
    """Core and elastic services that it gets."""
    change = plan.start.get(job.id) or plan.grow.get(job.id)
    return (change.core, change.elastic) if change else ({}, {})


def at_once(job: Job, plan: Plan) -> tuple[Counts, ...]:
    """All that it holds at the moment in which everything new was started and nothing has left yet."""
    return (job.core, job.elastic, job.leaving, *given(job, plan))


def resources(job: Job, counts: tuple[Counts, ...]) -> Resources:
    held = Resources()
    for each in counts:
        for _, wanted, count in amounts(job.demands, each):
            held += wanted.resources * count
    return held


def carried_out(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """As it is once all was started, and all has left that is on its way out."""
    return replace(snapshot, jobs=tuple(_after(job, plan) for job in snapshot.jobs), reservation=plan.reservation)


def _after(job: Job, plan: Plan) -> Job:
    if job.id in plan.preempt:
        return replace(job, is_admitted=False, core={}, elastic={}, leaving={}, started_at=None)
    core, elastic = given(job, plan)
    return replace(
        job,
        is_admitted=job.is_admitted or job.id in plan.start,
        core=_sum(job.core, core, 1),
        elastic=_sum(_sum(job.elastic, elastic, 1), plan.shrink.get(job.id, {}), -1),
        leaving={},
    )


def _sum(a: Counts, b: Counts, sign: int) -> Mapping[str, Mapping[str, int]]:
    total = {process: dict(nodes) for process, nodes in a.items()}
    for process, nodes in b.items():
        for name, count in nodes.items():
            there = total.setdefault(process, {})
            there[name] = there.get(name, 0) + sign * count
    return {process: {name: count for name, count in nodes.items() if count} for process, nodes in total.items()}


def within_limits(snapshot: Snapshot, plan: Plan) -> None:
    """No start and no growth takes an owner or a group beyond its limit."""
    quotas = snapshot.quotas
    for owner in {each.owner for each in snapshot.jobs}:
        of_owner = [each for each in snapshot.jobs if each.owner == owner]
        _within(of_owner, plan, quotas.users.get(owner, quotas.default).limit)
    for group, quota in quotas.groups.items():
        _within([each for each in snapshot.jobs if each.group == group], plan, quota.limit)


def _within(jobs: list[Job], plan: Plan, limit: Limit) -> None:
    new = sum(
        (resources(each, given(each, plan) if each.id in plan.start else ({}, given(each, plan)[1])) for each in jobs),
        Resources(),
    )
    held = sum((resources(each, at_once(each, plan)) for each in jobs), Resources())
    lost = sum((resources(each, given(each, plan)[:1]) for each in jobs if each.id in plan.grow), Resources())
    started = sum(each.id in plan.start for each in jobs)
    count = started + sum(each.is_admitted for each in jobs)
    assert not started or limit.executions is None or count <= limit.executions
    for got, has, back, most in (
        (new.microcores, held.microcores, lost.microcores, limit.microcores),
        (new.memory_bytes, held.memory_bytes, lost.memory_bytes, limit.memory_bytes),
        (new.gpus, held.gpus, lost.gpus, limit.gpus),
    ):
        assert not got or most is None or has - back <= most
