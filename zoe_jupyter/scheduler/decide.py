"""The decision: who starts, who grows, who gives room back, and why the others wait.

Core services come first, all or nothing, in order (``order.py``). Whoever does not fit is passed over: those behind it may start where there is
room, until it has waited for so long that a reservation keeps room for it. Elastic services fill what is left in equal shares by weight, and
give way to every core of their own class or a higher one.

Why backfill is open until there is a reservation: a core that fits now does work now, and what makes the first in the queue wait is the cores
that run already; in the authors' workload strict order makes the mean turnaround a fifth longer.
That nothing starves is the business of reservations and ageing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler import reasons
from zoe_jupyter.scheduler.admission import Ledger, has_shares, is_unlimited, never_allowed, own_first
from zoe_jupyter.scheduler.elastic import May, Share, fill
from zoe_jupyter.scheduler.explain import Explanation
from zoe_jupyter.scheduler.forecast import Forecast
from zoe_jupyter.scheduler.judge import Judge
from zoe_jupyter.scheduler.memo import Entry, Memo, World
from zoe_jupyter.scheduler.order import in_order
from zoe_jupyter.scheduler.placement import Places, by_size
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.policies.base import Policy, assumption
from zoe_jupyter.scheduler.snapshot import Demand, ExecutionId, Job, Quotas, Snapshot
from zoe_jupyter.scheduler.space import Machines, Shape

__all__ = ["Memo", "can_ever_fit", "decide"]


def decide(snapshot: Snapshot, policy: Policy, now: float, memo: Memo | None = None) -> Plan:
    """Decide for this moment; pure and deterministic. ``now`` is in epoch seconds.

    ``memo`` carries over what decisions about the same machines have in common; it changes the time taken, never the plan.
    """
    memo = memo or Memo()
    snapshot = memo.windows.keep_out(snapshot, now)
    world = memo.read(snapshot)
    ledger = None if is_unlimited(snapshot.quotas) else Ledger(snapshot.quotas, snapshot.jobs)
    claims = _claims(world, policy, snapshot, now)
    if not snapshot.is_reachable:
        order = [entry.job.id for entry, _ in claims]
        return Plan(
            waiting=reasons.Waiting(order, lambda execution_id, position: reasons.unreachable(snapshot.silence))
        )
    shares = _shares(world)
    judge = Judge(snapshot, now, world, list(shares.values()), ledger)
    for entry, number in claims:
        judge.hear(entry, number)
    judge.room.tell_apart()
    forecast = Forecast(judge, world.never, now)
    explain = Explanation(judge, world, judge.room.free.copy(), assumption(policy), now, forecast)
    growing = in_order(_willing(judge, world, shares, now), policy, snapshot, now).jobs
    for job in growing:
        share = shares.get(job.id)
        if share is None:
            share = shares[job.id] = Share(job)
        share.core = judge.granted.get(job.id, ())
    _fill([shares[job.id] for job in growing], judge, world.machines, ledger)
    return _plan(judge, world, shares, reasons.Waiting(list(judge.denied), explain))


def can_ever_fit(
    demands: Iterable[Demand], nodes: Sequence[Node], *, quotas: Quotas | None = None, owner: str = "", group: str = ""
) -> Reason | None:
    """Why such a core can never run on these nodes, disabled ones included, or within these quotas; None when it can, or when no node is known."""
    wanted = [demand for demand in demands if demand.core > 0]
    denial = never_allowed(wanted, quotas, owner=owner, group=group) if quotas else None
    if denial is not None:
        return reasons.over_quota(denial)
    machines = Machines(replace(node, is_enabled=True) for node in nodes)
    return reasons.never_fits(
        by_size([(demand.process, machines.shape(demand), demand.core) for demand in wanted]), machines
    )


def _claims(world: World, policy: Policy, snapshot: Snapshot, now: float) -> Iterator[tuple[Entry, int]]:
    """Lost core services of those in progress first, then whole cores of those that wait; each in order, with the class in which it stands."""
    entries = world.entries
    lacking = [job for job in snapshot.jobs if job.is_admitted and entries[job.id].needs]
    waiting = in_order([job for job in snapshot.jobs if not job.is_admitted], policy, snapshot, now)
    if has_shares(snapshot.quotas):
        holder = {snapshot.reservation.job} if snapshot.reservation else set[ExecutionId]()
        waiting.jobs = own_first(waiting.jobs, snapshot, waiting.class_of, holder | waiting.raised.keys())
    jobs = [*in_order(lacking, policy, snapshot, now).jobs, *waiting.jobs]
    raised = waiting.raised
    return ((entries[job.id], raised.get(job.id, job.priority)) for job in jobs)


def _shares(world: World) -> dict[ExecutionId, Share]:
    """Of those that hold elastic services; what is above the wanted is taken back."""
    shares = {entry.job.id: Share(entry.job) for entry in world.entries.values() if entry.holds_elastic}
    for key, share in shares.items():
        if world.entries[key].has_surplus:
            share.take_back_surplus()
    return dict(sorted(shares.items(), key=lambda each: (each[1].job.queued_at, each[0])))


class _Open(dict[Shape, bool]):
    """For which shapes there may be room, looked at once."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def __missing__(self, shape: Shape) -> bool:
        is_open = self[shape] = self._places.has_room(shape)
        return is_open


def _willing(judge: Judge, world: World, shares: Mapping[ExecutionId, Share], now: float) -> list[Job]:
    """Those that may grow: whoever was shrunk for another waits for a while, unless nobody waits."""
    is_open, machines, found = _Open(judge.room.places).__getitem__, world.machines, []
    granted, preempted, does_somebody_wait = judge.granted, judge.preempted, bool(judge.denied)
    is_any_open = any(map(is_open, world.wanted))
    for key in world.entries if is_any_open else granted:
        entry = world.entries[key]
        job = entry.job
        if (not job.is_admitted or entry.needs) and key not in granted:
            continue
        if does_somebody_wait and (job.grow_after > now or (key in shares and shares[key].shrunk_for)):
            continue
        if any(map(is_open, entry.wishes(machines))) and key not in preempted:
            found.append(job)
    return found


def _fill(growing: Sequence[Share], judge: Judge, machines: Machines, ledger: Ledger | None) -> None:
    """Give what is left to elastic services; but room that is kept for somebody not to those from which it could not be taken back."""
    may = None if ledger is None else _within(ledger)
    guard = judge.guard
    if guard is None:
        fill(growing, machines, judge.room.places, may)
        return
    firm = [share for share in growing if judge.is_firm(share)]
    fill(firm, machines, guard.places, may)
    for share in firm:
        for node, shape, count in machines.held(share.job.demands, machines.counts(share.grow)):
            for _ in range(count):
                judge.room.places.spend(node, shape)
    fill([share for share in growing if not judge.is_firm(share)], machines, judge.room.places, may)


def _within(ledger: Ledger) -> May:
    def may(job: Job, shape: Shape) -> bool:
        amount = (0, shape.cores, shape.memory, shape.gpus)
        if ledger.denial(job, amount) is not None:
            return False
        ledger.add(job, amount)
        return True

    return may


def _plan(judge: Judge, world: World, shares: Mapping[ExecutionId, Share], waiting: reasons.Waiting) -> Plan:
    counts = world.machines.counts
    start: dict[ExecutionId, Start] = {}
    grow: dict[ExecutionId, Start] = {}
    for key, taken in judge.granted.items():
        changes = grow if world.entries[key].job.is_admitted else start
        changes[key] = Start(counts([(process, node) for process, _, node in taken]))
    for key, share in shares.items():
        if share.grow:
            changes = grow if world.entries[key].job.is_admitted else start
            changes[key] = Start(changes[key].core if key in changes else {}, counts(share.grow))
    shrunk = {key: share for key, share in shares.items() if share.shrink and key not in judge.preempted}
    return Plan(
        start=start,
        grow=grow,
        shrink={key: share.shrink for key, share in shrunk.items()},
        shrunk_for={key: share.shrunk_for for key, share in shrunk.items() if share.shrunk_for},
        preempt=tuple(judge.preempted),
        reservation=judge.guard.reservation if judge.guard else judge.standing,
        waiting=waiting,
    )
