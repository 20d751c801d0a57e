"""The workload of the authors of flexible scheduling (arXiv 1611.09528), as their simulator has it.

Their traces of sizes, run times and gaps were not published; fixed distributions of the same shape stand in for them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from itertools import pairwise
from random import Random

from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.snapshot import Demand
from zoe_jupyter.simulator.simulation import fits
from zoe_jupyter.simulator.workload import PRIORITIES, Application, two_kinds

GIB = 1 << 30
MACHINES, MACHINE = 25, Resources(32_000_000, 128 * GIB)
GROUP = 5
"""Applications that arrive together."""
LONGEST_S = 9 * 86400.0
LARGEST = 200.0
SINGLE_SHARE = 0.75
MEDIAN_RUN_S, RUN_SIGMA = 30 * 25.0, 1.5

# Sampled from the published part of the cluster's trace, as the authors' simulator reads it; in between, in proportion of the logarithms.
CORES = ((0.0, 0.002), (0.5, 0.019), (0.9, 0.485), (0.99, 2.82), (1.0, 6.4))
MEMORY_GIB = ((0.0, 0.01), (0.5, 0.127), (0.9, 1.84), (0.99, 9.57), (1.0, 25.6))


class Kind(str, Enum):
    ELASTIC = "elastic"
    RIGID = "rigid"
    INTERACTIVE = "interactive"


class Mix(str, Enum):
    """Which applications arrive."""

    ELASTIC = "elastic"
    INTERACTIVE = "interactive"

    @property
    def shares(self) -> Mapping[Kind, float]:
        if self is Mix.ELASTIC:
            return {Kind.ELASTIC: 0.80, Kind.RIGID: 0.20}
        return {Kind.ELASTIC: 0.64, Kind.RIGID: 0.16, Kind.INTERACTIVE: 0.20}


def authors_cluster() -> tuple[Node, ...]:
    """25 machines with 32 cores and 128 GiB each."""
    return tuple(Node(f"node-{number:02}", MACHINE) for number in range(MACHINES))


def synthetic(count: int, *, mix: Mix, load: float, seed: int, nodes: Sequence[Node]) -> tuple[Application, ...]:
    """So many applications, less those that an empty cluster could not hold whole; the same for the same arguments.

    The gaps between groups are such that the work offered is ``load`` times what the nodes can do until the last one arrives.
    """
    random = Random(seed)
    kinds, weights = zip(*mix.shares.items(), strict=True)
    drawn = [_application(f"{number:05}", random.choices(kinds, weights)[0], random) for number in range(count)]
    groups = [random.expovariate(1.0) for _ in range(math.ceil(count / GROUP))]
    kept = [(number, application) for number, application in enumerate(drawn) if fits(_whole(application), nodes)]
    at = [0.0]
    for gap in groups[1:]:
        at.append(at[-1] + gap)
    last = at[kept[-1][0] // GROUP] if kept else 0.0
    scale = offered_s([application for _, application in kept], nodes) / load / last if last else 0.0
    return tuple(replace(application, submit_s=round(at[number // GROUP] * scale, 3)) for number, application in kept)


def offered_s(applications: Sequence[Application], nodes: Sequence[Node]) -> float:
    """How long all the nodes together would have to work for these, by the resource that is scarcer."""
    wanted = [
        (app.run_s, demand.resources * (demand.core + demand.elastic)) for app in applications for demand in app.demands
    ]
    cores = sum(run_s * resources.microcores for run_s, resources in wanted)
    memory = sum(run_s * resources.memory_bytes for run_s, resources in wanted)
    return max(
        cores / sum(node.capacity.microcores for node in nodes),
        memory / sum(node.capacity.memory_bytes for node in nodes),
    )


def with_wrong_estimates(applications: Sequence[Application], *, sigma: float, seed: int) -> tuple[Application, ...]:
    """The same, with estimates that are wrong by a factor lognormal(0, sigma)."""
    random = Random(seed)
    return tuple(replace(app, estimate_s=app.run_s * random.lognormvariate(0.0, sigma)) for app in applications)


def _application(name: str, kind: Kind, random: Random) -> Application:
    size = math.ceil(1.0 if random.random() < SINGLE_SHARE else LARGEST ** random.random())
    core = max(1, random.randrange(5))
    elastic = {Kind.ELASTIC: size * 10, Kind.RIGID: 0, Kind.INTERACTIVE: size - 1}[kind]
    resources = Resources(
        math.ceil(_quantile(CORES, random.random()) * 1_000_000),
        math.ceil(_quantile(MEMORY_GIB, random.random()) * GIB),
    )
    return Application(
        id=f"{kind.value}-{name}",
        submit_s=0.0,
        run_s=_interactive_s(random) if kind is Kind.INTERACTIVE else _run_s(random),
        demands=two_kinds(size if kind is Kind.RIGID else core, resources, elastic, resources),
        owner=f"user-{random.randrange(20):02}",
        priority=PRIORITIES["interactive" if kind is Kind.INTERACTIVE else "batch"],
    )


def _whole(application: Application) -> tuple[Demand, ...]:
    """As if all services were core services."""
    return tuple(replace(each, core=each.core + each.elastic, elastic=0) for each in application.demands)


def _run_s(random: Random) -> float:
    while True:
        drawn = random.lognormvariate(math.log(MEDIAN_RUN_S), RUN_SIGMA)
        if drawn < LONGEST_S:
            return round(drawn, 3)


def _interactive_s(random: Random) -> float:
    low, high = random.choices(((0.0, 30.0), (30.0, 50430.0), (50430.0, 50460.0)), (0.05, 0.9, 0.05))[0]
    return round(random.uniform(low, high), 3)


def _quantile(table: Sequence[tuple[float, float]], share: float) -> float:
    i = min(bisect_right([at for at, _ in table], share), len(table) - 1)
    (low, a), (high, b) = list(pairwise(table))[i - 1]
    return a * math.exp(math.log(b / a) * (share - low) / (high - low))
