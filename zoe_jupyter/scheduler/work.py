"""How far an execution is, and when it ends with its core alone: the authors' model, in which work is linear in the services that run."""

from __future__ import annotations

import math

from zoe_jupyter.scheduler.snapshot import Counts, Job

UNKNOWN_RUN_S = 3600.0
"""What a policy assumes where neither a user nor the site's history says how long an execution works."""


def expected_run_s(job: Job) -> float:
    """``run_s``, or what is assumed where nobody knows it."""
    return UNKNOWN_RUN_S if job.run_s is None else job.run_s


def remaining_s(job: Job, now: float) -> float:
    """What is left of the expected ``run_s``; never below 0, as estimates may be wrong."""
    return max(0.0, expected_run_s(job) - done_s(job, now))


def done_s(job: Job, now: float) -> float:
    """How much of ``run_s`` is worked off: what was told, and what the services did since then."""
    return _done_s(job, now, *wanted(job))


def _done_s(job: Job, now: float, core: int, elastic: int) -> float:
    if job.started_at is None:
        return job.done_s
    rate = (core + count(job.elastic)) / (core + elastic) if core + elastic else 1.0
    return job.done_s + max(0.0, now - job.done_at) * min(1.0, rate)


def core_only_end(job: Job, now: float) -> float:
    """When it ends if from now on only its core works; infinite where nobody knows its ``run_s``."""
    if job.run_s is None:
        return math.inf
    core, elastic = wanted(job)
    slowness = (core + elastic) / core if core else 1.0
    return now + max(0.0, job.run_s - _done_s(job, now, core, elastic)) * slowness


def wanted(job: Job) -> tuple[int, int]:
    """Core and elastic services that it wants in all."""
    core = elastic = 0
    for demand in job.demands:
        core += demand.core
        elastic += demand.elastic
    return core, elastic


def count(counts: Counts) -> int:
    """Services of all processes on all nodes."""
    return sum(sum(nodes.values()) for nodes in counts.values())
