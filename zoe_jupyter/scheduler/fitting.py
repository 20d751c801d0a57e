"""Whether a core would fit were it not for elastic services: the question that the reclaim rule asks, for those who check it."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.scheduler.memo import Memo, mates
from zoe_jupyter.scheduler.placement import fits
from zoe_jupyter.scheduler.snapshot import Job, Snapshot


def would_fit(job: Job, snapshot: Snapshot) -> bool:
    """Say whether what ``job`` lacks of its core would fit once all has left that is on its way out, and every elastic service of its own
    class or a lower one. Quotas and reservations are not looked at. Where its own services have to lie apart, its elastic ones stay."""
    others = [
        replace(other, elastic={} if other.priority <= job.priority else other.elastic, leaving={})
        for other in snapshot.jobs
        if other.id != job.id
    ]
    own = replace(job, elastic={}, leaving={})
    world = Memo().read(replace(snapshot, jobs=(own, *others)))
    beside = mates(job, world.machines)
    return fits(world.entries[job.id].needs, world.machines, world.free, beside) is not None
