"""Short words for nodes, jobs and snapshots; cores and GiB as people count them."""

from __future__ import annotations

from collections.abc import Mapping

from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Job, Snapshot

GIB = 1024**3
NOW = 1000.0
W = "app.worker"


def res(cores: float = 0, gib: float = 0, gpus: int = 0) -> Resources:
    return Resources(round(cores * 1_000_000), round(gib * GIB), gpus)


def node(
    name: str,
    cores: float = 4,
    gib: float = 16,
    *,
    gpus: int = 0,
    labels: Mapping[str, str] | None = None,
    is_enabled: bool = True,
) -> Node:
    return Node(name, res(cores, gib, gpus), labels or {}, is_enabled)


def demand(
    core: int = 0,
    elastic: int = 0,
    *,
    cores: float = 1,
    gib: float = 1,
    gpus: int = 0,
    process: str = W,
    labels: Mapping[str, str] | None = None,
) -> Demand:
    return Demand(process, res(cores, gib, gpus), core, elastic, labels or {})


def job(name: str, *demands: Demand, at: float = 0.0, priority: int = 100, not_before: float = 0.0) -> Job:
    """One that waits."""
    return Job(name, "alice", demands, queued_at=at, priority=priority, not_before=not_before)


def admitted(
    name: str,
    *demands: Demand,
    core: Counts | None = None,
    elastic: Counts | None = None,
    leaving: Counts | None = None,
    at: float = 0.0,
    priority: int = 100,
) -> Job:
    """One in progress."""
    held = {"core": core or {}, "elastic": elastic or {}, "leaving": leaving or {}}
    return Job(name, "alice", demands, queued_at=at, priority=priority, is_admitted=True, **held)


def plan(nodes: list[Node], *jobs: Job, is_reachable: bool = True, now: float = NOW) -> Plan:
    return decide(Snapshot(tuple(nodes), jobs, is_reachable), Fifo(), now)


def codes(plan: Plan) -> dict[str, str]:
    return {execution_id: reason.code for execution_id, reason in plan.waiting.items()}
