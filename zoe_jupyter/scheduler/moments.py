"""When time alone may change a decision: whoever decides on events needs one more at that moment, and no polling."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from zoe_jupyter.scheduler.snapshot import Job, Rules, Snapshot
from zoe_jupyter.scheduler.work import core_only_end

COARSE_S = 5.0
"""Turns that come with waiting are looked for so often at most: thousands that were submitted one after the other make no decision each."""


def next_moment(snapshot: Snapshot, now: float) -> float | None:
    """The next moment, in epoch seconds, at which to decide anew though nothing else happened; None: no such moment.

    A policy whose order changes all the time, such as ``hrrn``, changes no decision by that alone: room has to come free as well.
    """
    waiting = [job for job in snapshot.jobs if not job.is_admitted]
    closing = {node.closes_at for node in snapshot.nodes if node.closes_at is not None}
    later = chain(
        closing,
        _too_late(closing, waiting, now),
        (job.grow_after for job in snapshot.jobs if job.is_admitted),
        (job.not_before for job in waiting),
        _of_queue([job.queued_at for job in waiting], snapshot.rules, now),
    )
    return min((each for each in later if each > now), default=None)


def _too_late(closing: Collection[float], waiting: Sequence[Job], now: float) -> Iterator[float]:
    """When those that wait may no longer start where they did not get room in time, so that nothing is kept for them there."""
    if closing:
        lengths = {core_only_end(job, now) - now for job in waiting if job.run_s is not None}
        yield from (math.floor((at - each) / COARSE_S + 1) * COARSE_S for at in closing for each in lengths)


def _of_queue(queued_at: Sequence[float], rules: Rules, now: float) -> Iterator[float]:
    """The turn of each for a reservation, and when it has aged once more."""
    if rules.reserve_after_s is not None:
        yield from (_coarse(at + rules.reserve_after_s) for at in queued_at)
    if ageing_s := rules.ageing_s:
        yield from (_coarse(at + ageing_s * (max(0.0, now - at) // ageing_s + 1)) for at in queued_at)


def _coarse(at: float) -> float:
    return math.ceil(at / COARSE_S) * COARSE_S
