"""How long one decision takes: from cold on empty nodes, after one change, and how that grows with the queue."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from random import Random
from statistics import median

from benchmarks.running import Effort, Report, add, note
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Job, Snapshot

GIB = 1024**3
NODE = Resources(32_000_000, 128 * GIB)
CORES, MEMORY_GIB = (1, 2, 4), (4, 8, 16)
ESSENTIAL, SERVICES = 2, 5
SEED = 1
NOW = 1_000.0
SMALL, LARGE = (100, 500), (1_000, 10_000)
"""Nodes and queued executions."""
QUEUES = (1_250, 2_500, 5_000, 10_000)
CHANGES = 10


def measure(effort: Effort) -> Report:
    """Wall and CPU time in the same runs, the collector off as `timeit` has it; ``_collected`` is the same with it."""
    small, large, queues = SMALL, LARGE, QUEUES
    if effort.is_quick:
        small, large, queues = (10, 50), (20, 200), (50, 100, 200)
    found: dict[str, list[float]] = {}
    report = Report()
    for number in range(effort.pairs):
        taken = dict(_once(small, large, queues))
        note(
            f"pair {number + 1} of {effort.pairs}: {', '.join(f'{name} {value:.2f}' for name, value in taken.items())}"
        )
        report.runs.append({"pair": number, "side": "zoe", **{name: round(value, 3) for name, value in taken.items()}})
        for name, value in taken.items():
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        add(report, name, values, digits=2)
    return report


def _once(small: tuple[int, int], large: tuple[int, int], queues: tuple[int, ...]) -> Iterator[tuple[str, float]]:
    for nodes, queued in (small, large):
        snapshot = mixed(nodes, queued)
        wall_s, cpu_s = _timed(lambda snapshot=snapshot: decide(snapshot, Fifo(), NOW))  # type: ignore[misc]
        name = f"n{nodes}_q{queued}"
        yield f"{name}_ms", wall_s * 1e3
        yield f"{name}_cpu_ms", cpu_s * 1e3
    gc.collect()
    began = time.process_time()
    decide(snapshot, Fifo(), NOW)
    yield f"n{large[0]}_q{large[1]}_collected_cpu_ms", (time.process_time() - began) * 1e3
    walls, cpus = zip(*_after_changes(snapshot), strict=True)
    yield "after_change_ms", median(walls) * 1e3
    yield "after_change_cpu_ms", median(cpus) * 1e3
    yield "growth", _growth(large[0], queues)


def mixed(nodes: int, queued: int) -> Snapshot:
    """The load ``mixed`` of the original's measurement: two essential and three elastic services each, every one of a size of its own."""
    random = Random(SEED)

    def demands() -> tuple[Demand, ...]:
        sizes = [Resources(random.choice(CORES) * 1_000_000, random.choice(MEMORY_GIB) * GIB) for _ in range(SERVICES)]
        return tuple(
            Demand(f"app.p{place}", size, core=int(place < ESSENTIAL), elastic=int(place >= ESSENTIAL))
            for place, size in enumerate(sizes)
        )

    jobs = tuple(Job(f"e{place:06}", "user", demands(), queued_at=NOW - 100 + place / 1e6) for place in range(queued))
    return Snapshot(tuple(Node(f"n{place:04}", NODE) for place in range(nodes)), jobs)


def _after_changes(snapshot: Snapshot) -> Iterator[tuple[float, float]]:
    """In the state to which the cold decision leads, an execution ends or is submitted, in turns; each plan is carried out."""
    memo = Memo()
    waiting = True
    while waiting:
        plan = decide(snapshot, Fifo(), NOW, memo)
        waiting = bool(plan.start or plan.grow or plan.shrink)
        snapshot = carried_out(snapshot, plan)
    new = iter(mixed(1, CHANGES).jobs)
    for number in range(CHANGES):
        if number % 2:
            changed = (*snapshot.jobs, replace(next(new), id=f"new{number}", queued_at=NOW))
        else:
            ended = next(islice((job for job in snapshot.jobs if job.is_admitted), number * 7, None))
            changed = tuple(job for job in snapshot.jobs if job is not ended)
        snapshot = replace(snapshot, jobs=changed)
        plans: list[Plan] = []
        yield _timed(lambda snapshot=snapshot, plans=plans: plans.append(decide(snapshot, Fifo(), NOW, memo)))  # type: ignore[misc]
        snapshot = carried_out(snapshot, plans[0])


def _growth(nodes: int, queues: tuple[int, ...]) -> float:
    """The exponent of a power law through the CPU times: 1 is linear in the queue."""
    points = []
    for queued in queues:
        snapshot = mixed(nodes, queued)
        cpu_s = min(_timed(lambda snapshot=snapshot: decide(snapshot, Fifo(), NOW))[1] for _ in range(3))  # type: ignore[misc]
        points.append((math.log(queued), math.log(cpu_s)))
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    gc.collect()
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - wall, time.process_time() - cpu
    finally:
        gc.enable()


def carried_out(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """As it is when all that was started runs and all that was shrunk has left."""

    def after(job: Job) -> Job:
        change = plan.start.get(job.id) or plan.grow.get(job.id)
        if change is not None:
            core, elastic = _sum(job.core, change.core), _sum(job.elastic, change.elastic)
            job = replace(job, is_admitted=True, core=core, elastic=elastic)
        if job.id in plan.shrink:
            job = replace(job, elastic=_sum(job.elastic, plan.shrink[job.id], sign=-1))
        return job

    return replace(snapshot, jobs=tuple(map(after, snapshot.jobs)))


def _sum(a: Counts, b: Counts, *, sign: int = 1) -> Mapping[str, Mapping[str, int]]:
    total = {process: dict(nodes) for process, nodes in a.items()}
    for process, nodes in b.items():
        there = total.setdefault(process, {})
        for name, count in nodes.items():
            there[name] = there.get(name, 0) + sign * count
    return total
