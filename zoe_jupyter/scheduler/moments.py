"""When time alone may change a decision: whoever decides on events needs one more at that moment, and no polling."""

from __future__ import annotations

import math
from collections.abc import Iterator

from zoe_jupyter.scheduler.snapshot import Job, Rules, Snapshot


def next_moment(snapshot: Snapshot, now: float) -> float | None:
    """The next moment, in epoch seconds, at which to decide anew though nothing else happened; None: no such moment.

    A policy whose order changes all the time, such as ``hrrn``, changes no decision by that alone: room has to come free as well.
    """
    later = [
        each
        for job in snapshot.jobs
        for each in (_of_waiting(job, snapshot.rules, now) if not job.is_admitted else [job.grow_after])
    ]
    return min((each for each in later if each > now), default=None)


def _of_waiting(job: Job, rules: Rules, now: float) -> Iterator[float]:
    """Its next try or begin, its turn for a reservation, and when it has aged once more."""
    yield job.not_before
    if rules.reserve_after_s is not None:
        yield job.queued_at + rules.reserve_after_s
    if rules.ageing_s:
        yield job.queued_at + rules.ageing_s * (math.floor(max(0.0, now - job.queued_at) / rules.ageing_s) + 1)
