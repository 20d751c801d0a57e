"""The decision: who starts, who grows, who gives room back, and why the others wait.

Core services come first, all or nothing, strictly in the policy's order: nobody overtakes the first that waits for room. Those that could never
run here, or whose next try is not due, hold nobody up. Elastic services fill what is left in equal shares, and give way to any core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler import reasons
from zoe_jupyter.scheduler.elastic import Share, fill, reclaim, shares_of
from zoe_jupyter.scheduler.memo import Memo
from zoe_jupyter.scheduler.order import in_order
from zoe_jupyter.scheduler.placement import Need, place
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.room import Machines, Room
from zoe_jupyter.scheduler.snapshot import Counts, Demand, ExecutionId, Job, Snapshot

__all__ = ["Memo", "can_ever_fit", "decide"]


@dataclass(frozen=True)
class _Claim:
    """The core services that a job lacks."""

    job: Job
    needs: tuple[Need, ...]


@dataclass
class _Verdict:
    """What came of the claims."""

    granted: dict[ExecutionId, Counts] = field(default_factory=dict)
    denied: dict[ExecutionId, _Claim] = field(default_factory=dict)
    """In policy order."""
    never: dict[ExecutionId, Reason] = field(default_factory=dict)
    blocked: _Claim | None = None
    """The first that waits for room; nobody after it was looked at."""


def decide(snapshot: Snapshot, policy: Policy, now: float, memo: Memo | None = None) -> Plan:
    """Decide for this moment; pure and deterministic. ``now`` is in epoch seconds.

    ``memo`` carries over what decisions about the same machines have in common; it changes the time taken, never the plan.
    """
    memo = memo or Memo()
    machines = memo.machines(snapshot.nodes)
    claims = _claims(snapshot, policy, now, memo)
    if not snapshot.is_reachable:
        order = [claim.job.id for claim in claims]
        return Plan(waiting=reasons.Waiting(order, lambda execution_id, position: reasons.unreachable()))
    room = Room(machines, snapshot.jobs)
    shares = shares_of(in_order([job for job in snapshot.jobs if job.is_admitted], policy, snapshot, now).jobs)
    for share in shares.values():
        room.expect(share.job.demands, share.shrink)
    verdict = _judge(claims, now, machines=machines, room=room, memo=memo)
    free = dict(room.free)
    is_room_coming = _make_room(verdict.blocked, list(shares.values()), machines, room)
    shares.update(
        {
            claim.job.id: Share(claim.job, {})
            for claim in claims
            if not claim.job.is_admitted and claim.job.id in verdict.granted
        }
    )
    willing = [share.job for share in shares.values() if share.job.id not in verdict.denied]
    growing = in_order(willing, policy, snapshot, now).jobs
    fill([shares[job.id] for job in growing], machines, room)
    explain = _Explanation(verdict, machines, free, is_room_coming, now)
    return _plan(shares, verdict, reasons.Waiting(list(verdict.denied), explain))


def can_ever_fit(demands: Iterable[Demand], nodes: Sequence[Node]) -> Reason | None:
    """Why such a core can never run on these nodes, disabled ones included; None when it can, or when no node is known."""
    needs = [Need(demand, demand.core) for demand in demands if demand.core > 0]
    return reasons.never_fits(needs, Machines(replace(node, is_enabled=True) for node in nodes))


def _claims(snapshot: Snapshot, policy: Policy, now: float, memo: Memo) -> list[_Claim]:
    """Lost core services of those in progress first, then whole cores of those that wait; each in the policy's order."""
    needs = {job.id: memo.lacking(job) for job in snapshot.jobs}
    lacking = [job for job in snapshot.jobs if job.is_admitted and needs[job.id]]
    waiting = [job for job in snapshot.jobs if not job.is_admitted]
    ordered = (in_order(group, policy, snapshot, now).jobs for group in (lacking, waiting))
    return [_Claim(job, needs[job.id]) for group in ordered for job in group]


def _judge(claims: Sequence[_Claim], now: float, *, machines: Machines, room: Room, memo: Memo) -> _Verdict:
    """Grant claims in order until one has to wait for room."""
    verdict = _Verdict()
    for claim in claims:
        job = claim.job
        is_delayed = not job.is_admitted and job.not_before > now
        placed = None if verdict.blocked or is_delayed else place(claim.needs, machines, room.free)
        if placed is not None:
            room.take(job.demands, placed)
            verdict.granted[job.id] = placed
            continue
        verdict.denied[job.id] = claim
        if verdict.blocked or is_delayed:
            continue
        if (never := memo.never_fits(claim.needs)) is not None:
            verdict.never[job.id] = never
        else:
            verdict.blocked = claim
    return verdict


def _make_room(blocked: _Claim | None, shares: Sequence[Share], machines: Machines, room: Room) -> bool:
    """Keep room for the first that waits, shrinking elastic services when that helps; says whether it will fit once they have left."""
    if blocked is None:
        return False
    placed = place(blocked.needs, machines, room.later())
    if placed is None:
        placed = reclaim(blocked.needs, shares, machines, room)
    if placed is None:
        return False
    room.reserve(blocked.job.demands, placed)
    return True


@dataclass(frozen=True)
class _Explanation:
    """Why somebody waits, worked out only when it is asked for."""

    verdict: _Verdict
    machines: Machines
    free: Mapping[str, Resources]
    is_room_coming: bool
    now: float

    def __call__(self, execution_id: ExecutionId, position: int) -> Reason:
        claim = self.verdict.denied[execution_id]
        if execution_id in self.verdict.never:
            return self.verdict.never[execution_id]
        if not claim.job.is_admitted and claim.job.not_before > self.now:
            return reasons.delayed(claim.job.not_before - self.now)
        blocked = self.verdict.blocked
        if blocked is not None and blocked is not claim:
            return reasons.behind(position, blocked.job.id)
        return reasons.lacks_room(claim.needs, self.machines, self.free, is_room_coming=self.is_room_coming)


def _plan(shares: Mapping[ExecutionId, Share], verdict: _Verdict, waiting: reasons.Waiting) -> Plan:
    changes = {key: Start(verdict.granted.get(key, {}), share.grow) for key, share in shares.items()}
    return Plan(
        start={key: change for key, change in changes.items() if not shares[key].job.is_admitted},
        grow={
            key: change
            for key, change in changes.items()
            if shares[key].job.is_admitted and (change.core or change.elastic)
        },
        shrink={key: share.shrink for key, share in shares.items() if share.shrink},
        waiting=waiting,
    )
