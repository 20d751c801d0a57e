"""In which order those that wait are looked at: classes, ageing and reservations here, in one place; all else is the policy's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot


@dataclass
class Ordered:
    """Jobs in order."""

    jobs: list[Job]
    raised: dict[ExecutionId, int] = field(default_factory=dict)
    """The class in which those stand that have aged."""

    def class_of(self, job: Job) -> int:
        return self.raised.get(job.id, job.priority)


@dataclass
class _Class:
    holder: list[Job] = field(default_factory=list)
    aged: list[Job] = field(default_factory=list)
    others: list[Job] = field(default_factory=list)


def in_order(jobs: Sequence[Job], policy: Policy, snapshot: Snapshot, now: float) -> Ordered:
    """The higher class first; in a class the holder of the reservation, then those that waited for ``Rules.ageing_s``, then as the policy says.

    Whoever waited for twice, three times as long stands at the head of the next class, of the one after.
    """
    ordered = Ordered([])
    classes = _by_class(jobs, ordered, snapshot, now)
    for number in sorted(classes, reverse=True):
        found = classes[number]
        ordered.jobs += found.holder
        ordered.jobs += sorted(found.aged, key=lambda job: (job.queued_at, job.id))
        ordered.jobs += _by_policy(found.others, policy, snapshot, now)
    return ordered


def _by_class(jobs: Sequence[Job], ordered: Ordered, snapshot: Snapshot, now: float) -> dict[int, _Class]:
    ageing_s = snapshot.rules.ageing_s
    holder = snapshot.reservation.job if snapshot.reservation else None
    young = now - ageing_s if ageing_s else -float("inf")
    numbers = sorted({job.priority for job in jobs})
    classes = {number: _Class() for number in numbers}
    for job in jobs:
        is_aged = ageing_s and job.queued_at <= young and not job.is_admitted
        number = job.priority
        if is_aged and ageing_s:
            steps = int((now - job.queued_at) // ageing_s) - 1
            number = numbers[min(numbers.index(number) + steps, len(numbers) - 1)]
            ordered.raised[job.id] = number
        found = classes[number]
        (found.holder if job.id == holder else found.aged if is_aged else found.others).append(job)
    return classes


def _by_policy(jobs: Sequence[Job], policy: Policy, snapshot: Snapshot, now: float) -> list[Job]:
    """Those that the policy left out come last, so that nobody is forgotten."""
    left = {job.id: job for job in jobs}
    ordered = [left.pop(execution_id) for execution_id in policy.order(jobs, snapshot, now) if execution_id in left]
    return ordered + sorted(left.values(), key=lambda job: job.id)
