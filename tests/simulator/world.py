"""Small clusters and workloads that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter import plugins
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.simulator.outcome import Outcome
from zoe_jupyter.simulator.simulation import Settings, deciding, simulate
from zoe_jupyter.simulator.workload import Application, two_kinds

GIB = 1 << 30


def res(cores: float, gib: float = 0) -> Resources:
    return Resources(round(cores * 1_000_000), round(gib * GIB))


def machine(cores: float, gib: float = 64, *, name: str = "n") -> Node:
    return Node(name, res(cores, gib))


def app(
    name: str, run_s: float, *, at: float = 0, core: int = 1, elastic: int = 0, cores: float = 1, gib: float = 0,
    priority: int = 100, estimate_s: float | None = None,
) -> Application:  # fmt: skip
    """All its services are alike."""
    demands = two_kinds(core, res(cores, gib), elastic, res(cores, gib))
    return Application(name, at, run_s, demands, priority=priority, estimate_s=estimate_s)


def run(
    applications: Sequence[Application],
    nodes: Sequence[Node],
    settings: Settings | None = None,
    *,
    policy: str = "fifo",
) -> Outcome:
    return simulate(applications, nodes, deciding(plugins.load("zoe_jupyter.policies", policy)()), settings)


def times(outcome: Outcome) -> dict[str, tuple[float, float]]:
    """When each started and ended."""
    return {one.application.id: (one.started_s, one.ended_s) for one in outcome.finished}
