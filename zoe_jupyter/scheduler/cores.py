"""Free cores of a node: shared by what runs there, where a backend holds services to their cores and can change that while they run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.elastic import LEAST_WEIGHT
from zoe_jupyter.scheduler.snapshot import Counts, ExecutionId, Job

STEP_MICROCORES = 100_000
"""What a service gets above its minimum is so much, or twice, three times as much: what changes little changes nothing."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """Services of one process of an execution on one node: all alike."""

    id: ExecutionId
    process: str
    count: int
    minimum: int
    """Microcores of each."""
    weight: float


def share_cores(nodes: Iterable[Node], jobs: Iterable[Job]) -> Mapping[ExecutionId, Counts]:
    """How many microcores each service may use, as ``{execution: {process: {node: microcores of each}}}``; pure and deterministic.

    Each has its minimum, what it asked for; what nobody asked for on its node is shared by the weights of the executions. Services on their way
    out share as the others do, for as long as they are there. Those that asked for no cores are not held to any, and are not in it.
    """
    holders: dict[str, list[_Holder]] = {}
    for job in jobs:
        for node, holder in _holders(job) if job.core or job.elastic or job.leaving else ():
            holders.setdefault(node, []).append(holder)
    found: dict[ExecutionId, dict[str, dict[str, int]]] = {}
    for each in nodes:
        for holder, microcores in _divide(each.capacity.microcores, holders.get(each.name, ())):
            found.setdefault(holder.id, {}).setdefault(holder.process, {})[each.name] = microcores
    return found


def _holders(job: Job) -> Iterator[tuple[str, _Holder]]:
    weight = max(LEAST_WEIGHT, job.weight)
    for demand in job.demands:
        minimum = demand.resources.microcores
        for node, count in _on_nodes(job, demand.process).items() if minimum else ():
            yield node, _Holder(job.id, demand.process, count, minimum, weight)


def _on_nodes(job: Job, process: str) -> Mapping[str, int]:
    there: dict[str, int] = {}
    for counts in (job.core, job.elastic, job.leaving):
        for node, count in counts.get(process, {}).items():
            there[node] = there.get(node, 0) + count
    return there


def _divide(capacity: int, holders: Sequence[_Holder]) -> Iterator[tuple[_Holder, int]]:
    """Never more than the capacity in all, unless the minima alone are more."""
    free = max(0, capacity - sum(holder.minimum * holder.count for holder in holders))
    weights = sum(holder.weight * holder.count for holder in holders)
    for holder in holders:
        steps = int(free * (holder.weight / weights)) // STEP_MICROCORES
        yield holder, holder.minimum + steps * STEP_MICROCORES
