"""What ran here as a workload, asked of the running Zoe through its API: an admin sees everybody's executions, others their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoe_jupyter.client.api import Api
from zoe_jupyter.model.errors import NotFound, UserError
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.model.units import microcores
from zoe_jupyter.scheduler.snapshot import Demand
from zoe_jupyter.simulator.workload import Application

MOST = 10_000
"""The newest so many."""


def read_history(api: Api) -> tuple[Application, ...]:
    """Everything that ran and has ended, in the order in which it was submitted; raises UserError when there is nothing."""
    ended = [str(one["id"]) for one in api.executions(states=("ended",), limit=MOST) if one.get("started_at")]
    found = [_application(detail) for detail in (_detail(api, each) for each in ended) if detail]
    kept = sorted((one for one in found if one.core), key=lambda one: one.submit_s)
    if not kept:
        raise UserError("nothing has run and ended here yet, so that there is no history to replay")
    return tuple(kept)


def read_nodes(api: Api) -> tuple[Node, ...]:
    """The machines that take work now; raises UserError when there is none."""
    enabled = [node for node in api.nodes() if node["is_enabled"]]
    if not enabled:
        raise UserError(
            "no machine takes work now, so that nothing can be replayed here; describe some with --cluster FILE"
        )
    return tuple(Node(str(node["name"]), _resources(node["capacity"])) for node in enabled)


def _detail(api: Api, execution_id: str) -> Mapping[str, Any] | None:
    """None when it was forgotten meanwhile."""
    try:
        return api.execution(execution_id)
    except NotFound:
        return None


def _application(execution: Mapping[str, Any]) -> Application:
    """Its run time is the work that was done, as with all that it wanted; of those from before that was noted, how long it ran."""
    ran_s = max(0.0, float(execution["ended_at"]) - float(execution["started_at"]))
    return Application(
        id=str(execution["id"]),
        submit_s=float(execution["created_at"]),
        run_s=float(execution.get("done_s") or ran_s),
        demands=tuple(_demand(one) for one in execution.get("demands", ())),
        owner=str(execution["owner"]),
        priority=int(execution["priority_number"]),
        estimate_s=execution.get("estimate_s"),
    )


def _demand(demand: Mapping[str, Any]) -> Demand:
    return Demand(str(demand["process"]), _resources(demand), core=int(demand["core"]), elastic=int(demand["elastic"]))


def _resources(amount: Mapping[str, Any]) -> Resources:
    return Resources(microcores(float(amount["cores"])), math.ceil(amount["memory_bytes"]), int(amount.get("gpus", 0)))
