"""For how long a core waited that would have fit, were all elastic services of its own and lower classes gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zoe_jupyter.scheduler.order import in_order
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.snapshot import Job, Snapshot
from zoe_jupyter.simulator.simulation import Decider
from zoe_jupyter.simulator.workload import CORE, ELASTIC


@dataclass(slots=True)
class Missed:
    """A decider that watches another, and counts what the last decision of each moment left behind. Only without start-up and drain."""

    decider: Decider
    policy: Policy
    first_s: float = 0.0
    """In which the first in the policy's order would have fit."""
    any_s: float = 0.0
    """In which somebody would have fit."""
    _since: float = 0.0
    _would_fit: tuple[bool, bool] = (False, False)
    """The first; somebody."""

    def __call__(self, snapshot: Snapshot, now: float) -> Plan:
        self.first_s += (now - self._since) * self._would_fit[0]
        self.any_s += (now - self._since) * self._would_fit[1]
        self._since = now
        plan = self.decider(snapshot, now)
        waiting = [job for job in snapshot.jobs if not job.is_admitted and job.id not in plan.start]
        ordered = in_order(waiting, self.policy, snapshot, now).jobs
        fits = [_would_fit(job, snapshot, plan) for job in ordered]
        self._would_fit = (fits[:1] == [True], any(fits))
        return plan


def _would_fit(job: Job, snapshot: Snapshot, plan: Plan) -> bool:
    """Services of one size fit whenever the nodes hold enough of them one by one."""
    free = {node.name: [node.capacity.microcores, node.capacity.memory_bytes] for node in snapshot.nodes}
    for other in snapshot.jobs:
        for amount, counts in _kept(other, job, plan):
            for node, count in counts.items():
                free[node][0] -= amount[0] * count
                free[node][1] -= amount[1] * count
    demand = job.demands[0]
    cores, memory = demand.resources.microcores, demand.resources.memory_bytes
    room = sum(min(has[0] // max(1, cores), has[1] // max(1, memory)) for has in free.values())
    return room >= demand.core


def _kept(other: Job, job: Job, plan: Plan) -> Iterator[tuple[tuple[int, int], Mapping[str, int]]]:
    """What would stay with the other: its core, and its elastic services if it is of a higher class."""
    started = [starts[other.id] for starts in (plan.start, plan.grow) if other.id in starts]
    parts = [(CORE, other.core), *((CORE, start.core) for start in started)]
    if other.priority > job.priority:
        parts += [(ELASTIC, other.elastic), *((ELASTIC, start.elastic) for start in started)]
    resources = {demand.process: demand.resources for demand in other.demands}
    for process, counts in parts:
        if counts.get(process):
            amount = resources[process]
            yield (amount.microcores, amount.memory_bytes), counts[process]
