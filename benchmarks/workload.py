"""The workload of `policies`: the authors' machines and mixes, the loads and seeds at which it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from zoe_jupyter.simulator.synthetic import Mix, authors_cluster, synthetic, with_wrong_estimates
from zoe_jupyter.simulator.workload import Application

APPLICATIONS, FULL_APPLICATIONS, QUICK_APPLICATIONS = 2_000, 20_000, 60
LOADS = (0.7, 0.9, 1.1)
SEEDS = (0, 1, 2)
MIXES = (Mix.ELASTIC, Mix.INTERACTIVE)
ERROR_SIGMA = 0.5
CLUSTER = authors_cluster()


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One workload."""

    mix: str
    load: float
    seed: int

    def applications(self, count: int) -> tuple[Application, ...]:
        """Of that many those that an empty cluster can hold whole."""
        return _made(self, count)


@lru_cache(maxsize=4)
def _made(cell: Cell, count: int) -> tuple[Application, ...]:
    return synthetic(count, mix=Mix(cell.mix), load=cell.load, seed=cell.seed, nodes=CLUSTER)


def misjudged(applications: tuple[Application, ...], cell: Cell) -> tuple[Application, ...]:
    """The same with estimates that are wrong by lognormal(0, 0.5)."""
    return with_wrong_estimates(applications, sigma=ERROR_SIGMA, seed=cell.seed)
