"""Short words for nodes, jobs and snapshots; cores and GiB as people count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    closes_at: float | None = None,
) -> Node:
    return Node(name, res(cores, gib, gpus), labels or {}, is_enabled, closes_at)


def demand(
    core: int = 0,
    elastic: int = 0,
    *,
    cores: float = 1,
    gib: float = 1,
    gpus: int = 0,
    process: str = W,
    labels: Mapping[str, str] | None = None,
    **more: Any,
) -> Demand:
    return Demand(process, res(cores, gib, gpus), core, elastic, labels or {}, **more)


def job(name: str, *demands: Demand, at: float = 0.0, **more: Any) -> Job:
    """One that waits."""
    return Job(name, more.pop("owner", "alice"), demands, queued_at=at, **more)


def admitted(name: str, *demands: Demand, core: Counts | None = None, at: float = 0.0, **more: Any) -> Job:
    """One in progress."""
    return job(name, *demands, at=at, is_admitted=True, core=core or {}, **more)


def plan(nodes: list[Node], *jobs: Job, now: float = NOW, **more: Any) -> Plan:
    return decide(Snapshot(tuple(nodes), jobs, **more), Fifo(), now)


def codes(plan: Plan) -> dict[str, str]:
    return {execution_id: reason.code for execution_id, reason in plan.waiting.items()}
