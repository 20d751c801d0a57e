"""What came of a simulated workload, and its statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from zoe_jupyter.simulator.workload import Application

LEAST_RUN_S = 10.0
"""Slowdown is told over at least this, so that the shortest applications do not drown the others."""


@dataclass(frozen=True, slots=True)
class Finished:
    """When an application's core got room (in the try that ended well), and when its work was done."""

    application: Application
    started_s: float
    ended_s: float

    @property
    def turnaround_s(self) -> float:
        return self.ended_s - self.application.submit_s

    @property
    def waiting_s(self) -> float:
        return self.started_s - self.application.submit_s

    @property
    def slowdown(self) -> float:
        return self.turnaround_s / max(self.application.run_s, LEAST_RUN_S)


@dataclass(frozen=True, slots=True)
class Moment:
    """Which shares of the machines were given away from here to the next moment."""

    at: float
    cores: float
    memory: float


@dataclass(frozen=True, slots=True)
class Outcome:
    finished: tuple[Finished, ...]
    """In the workload's order."""
    never_fits: tuple[str, ...]
    """Ids of those whose core no empty cluster could hold; they are in nothing else."""
    allocated: tuple[Moment, ...]
    preempted: int
    """How often a whole application was taken back."""
    reclaimed: int
    """How many elastic services were taken back."""

    @property
    def makespan_s(self) -> float:
        """From the first submit to the last end."""
        if not self.finished:
            return 0.0
        first = min(one.application.submit_s for one in self.finished)
        return max(one.ended_s for one in self.finished) - first


def summary(outcome: Outcome) -> dict[str, Any]:
    """The statistics, as ``jupyter zoe simulate --json`` prints them for one policy."""
    cores, memory = mean_allocated(outcome)
    return {
        "turnaround_s": spread([one.turnaround_s for one in outcome.finished]),
        "waiting_s": spread([one.waiting_s for one in outcome.finished]),
        "slowdown": spread([one.slowdown for one in outcome.finished]),
        "allocated": {"cores": cores, "memory": memory},
        "makespan_s": outcome.makespan_s,
        "preempted": outcome.preempted,
        "reclaimed": outcome.reclaimed,
        "never_fits": list(outcome.never_fits),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, median and 95th percentile; 0 each when there is nothing."""
    ordered = sorted(values)
    return {
        "mean": sum(ordered) / len(ordered) if ordered else 0.0,
        "p50": percentile(ordered, 0.5),
        "p95": percentile(ordered, 0.95),
    }


def percentile(ordered: Sequence[float], share: float) -> float:
    """Between the two nearest of sorted values, in proportion; 0 of none."""
    if not ordered:
        return 0.0
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mean_allocated(outcome: Outcome) -> tuple[float, float]:
    """Mean shares of cores and memory that were given away, from the first submit to the last end."""
    cores = memory = 0.0
    for here, following in pairwise(outcome.allocated):
        cores += here.cores * (following.at - here.at)
        memory += here.memory * (following.at - here.at)
    makespan_s = outcome.makespan_s
    return (cores / makespan_s, memory / makespan_s) if makespan_s else (0.0, 0.0)
