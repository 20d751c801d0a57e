"""How long applications take under each policy, beside the authors' algorithms: rigid, malleable and flexible."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from statistics import fmean

from benchmarks import baselines
from benchmarks.judging import BUSY, Run, figures, tables
from benchmarks.missed import Missed
from benchmarks.running import Effort, Report, note
from benchmarks.workload import (
    APPLICATIONS,
    CLUSTER,
    FULL_APPLICATIONS,
    LOADS,
    MIXES,
    QUICK_APPLICATIONS,
    SEEDS,
    Cell,
    misjudged,
)
from zoe_jupyter import plugins
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.simulator.outcome import Outcome, spread, summary
from zoe_jupyter.simulator.simulation import Decider, Settings, deciding, simulate
from zoe_jupyter.simulator.synthetic import Mix
from zoe_jupyter.simulator.workload import PRIORITIES

POLICIES = ("fifo", "sjf", "srpt", "hrrn")
PASSES: dict[str, tuple[baselines.Pass, int]] = {
    "rigid": (baselines.rigid, 1),
    "malleable": (baselines.malleable, 1),
    "flexible": (baselines.flexible, 2),
    "core_first": (baselines.core_first, 1),
    "backfilling": (baselines.backfilling, 1),
    "equal_shares": (baselines.equal_shares, 1),
}
"""With how many empty passes in a row end a decision."""
OURS = "zoe"
VARIANTS = {
    OURS: Settings(),
    "zoe_without_reclaim": Settings(reclaims=False),
    "zoe_drain_30_s": Settings(drain_s=30.0),
}
PROCESSES = 2


@dataclass(frozen=True, slots=True)
class _Task:
    """One simulation."""

    cell: Cell
    policy: str
    algorithm: str
    is_misjudged: bool = False
    count: int = APPLICATIONS


def measure(effort: Effort) -> Report:
    """Simulates every cell; the figures compare mean turnarounds, means of the seeds, at the loads that their limits speak of."""
    tasks = sorted(_tasks(effort), key=_turn)
    runs: list[Run] = []
    with ProcessPoolExecutor(PROCESSES) as pool:
        for run in pool.map(_simulate, tasks):
            runs.append(run)
            note(f"{len(runs)} of {len(tasks)}: {json.dumps(run.as_row())}")
    note(tables(runs))
    report = Report()
    report.figures |= figures(runs)
    report.runs += [run.as_row() for run in runs]
    return report


def _tasks(effort: Effort) -> Iterable[_Task]:
    count = FULL_APPLICATIONS if effort.is_full else QUICK_APPLICATIONS if effort.is_quick else APPLICATIONS
    seeds, loads = (SEEDS[:1], LOADS[1:]) if effort.is_quick else (SEEDS, LOADS)
    cells = [Cell(mix.value, load, seed) for mix, load, seed in product(MIXES, loads, seeds)]
    for cell, policy in product(cells, POLICIES):
        for algorithm in ("rigid", "malleable", "flexible", OURS):
            yield _Task(cell, policy, algorithm, count=count)
        if cell.load == BUSY:
            for algorithm in ("core_first", "backfilling", "equal_shares", "zoe_without_reclaim"):
                yield _Task(cell, policy, algorithm, count=count)
        if cell.load == BUSY and policy != "fifo":
            for algorithm in ("flexible", OURS):
                yield _Task(cell, policy, algorithm, is_misjudged=True, count=count)
        if cell.load >= BUSY and cell.mix == Mix.INTERACTIVE.value and policy in ("sjf", "srpt"):
            yield _Task(cell, policy, "zoe_drain_30_s", count=count)


def _turn(task: _Task) -> tuple[bool, int]:
    """First what the limits speak of, seed by seed, so that a run that is cut short tells something."""
    is_limited = task.algorithm in ("flexible", OURS, "zoe_drain_30_s") or (task.algorithm, task.policy) == (
        "rigid",
        "fifo",
    )
    return not is_limited or task.is_misjudged, task.cell.seed


def _simulate(task: _Task) -> Run:
    applications = task.cell.applications(task.count)
    if task.is_misjudged:
        applications = misjudged(applications, task.cell)
    began = time.process_time()
    missed = None
    if task.algorithm in VARIANTS:
        policy: Policy = plugins.load("zoe_jupyter.policies", task.policy)()
        decider: Decider = deciding(policy)
        if task.algorithm == OURS:
            decider = missed = Missed(decider, policy)
    else:
        one_pass, empty_passes = PASSES[task.algorithm]
        key = baselines.KEYS[task.policy]
        decider = baselines.baseline(one_pass, key, seed=task.cell.seed, empty_passes=empty_passes)
    outcome = simulate(applications, CLUSTER, decider, VARIANTS.get(task.algorithm))
    return _run(task, outcome, missed, cpu_s=time.process_time() - began)


def _run(task: _Task, outcome: Outcome, missed: Missed | None, *, cpu_s: float) -> Run:
    told = summary(outcome)
    finished = outcome.finished
    interactive = spread([one.waiting_s for one in finished if one.application.priority == PRIORITIES["interactive"]])
    return Run(
        side=task.algorithm,
        mix=task.cell.mix,
        load=task.cell.load,
        policy=task.policy,
        seed=task.cell.seed,
        is_misjudged=task.is_misjudged,
        applications=len(finished),
        removed=task.count - len(finished),
        mean_s=told["turnaround_s"]["mean"],
        p95_s=told["turnaround_s"]["p95"],
        waiting_s=told["waiting_s"]["mean"],
        interactive_waiting_s=interactive["mean"],
        interactive_p95_s=interactive["p95"],
        floor_s=fmean(one.application.run_s for one in finished),
        cores=told["allocated"]["cores"],
        missed=missed.first_s / outcome.makespan_s if missed else 0.0,
        missed_any=missed.any_s / outcome.makespan_s if missed else 0.0,
        cpu_s=cpu_s,
    )
