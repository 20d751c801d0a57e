"""What waits, in order, and why; and what would be under other rules."""

from __future__ import annotations

from collections.abc import Mapping

from zoe_jupyter.engine.door import Waiting
from zoe_jupyter.model.execution import Execution
from zoe_jupyter.model.quota import Supposed
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Counts
from zoe_jupyter.server.api import PAGED, ApiRequest, Subject, page
from zoe_jupyter.server.handlers.quotas import read_limit
from zoe_jupyter.server.present import waiting_body
from zoe_jupyter.server.queue_schemas import Limited, LimitRequest, MoveBody, WhatIfBody, WhatIfRequest
from zoe_jupyter.server.schemas import WaitingBody, WaitingPage

routes = Subject("queue")

MOST_WAITING = 1000
_FIELDS = {
    Limited.EXECUTIONS: "executions",
    Limited.CORES: "microcores",
    Limited.MEMORY: "memory_bytes",
    Limited.GPUS: "gpus",
}
"""As ``Limit`` names them."""


@routes("GET", "queue", "What waits, in order, and why.", answer=WaitingPage, query=PAGED)
async def list_queue(request: ApiRequest) -> WaitingPage:
    items, next_cursor = page(await request.core.queue(request.caller), request.query)
    return WaitingPage([await _named(request, one) for one in items], next_cursor)


@routes(
    "POST",
    "queue/what-if",
    "What would start, grow, shrink and wait now under another policy or other quotas (for admins). Changes nothing.",
    body=WhatIfRequest,
    answer=WhatIfBody,
)
async def what_if(request: ApiRequest) -> WhatIfBody:
    body: WhatIfRequest = request.body
    limits = {owner: _supposed(owner, body) for owner in (*body.quotas, *body.unlimited)}
    return await _told(request, await request.core.what_if(body.policy, limits, request.caller))


def _supposed(owner: str, body: WhatIfRequest) -> Supposed:
    limit = read_limit(body.quotas.get(owner, LimitRequest()), f"quotas.{owner[:40]}")
    return Supposed(limit, frozenset(_FIELDS[one] for one in body.unlimited.get(owner, ())))


async def _told(request: ApiRequest, plan: Plan) -> WhatIfBody:
    first = list(plan.waiting)[:MOST_WAITING]
    waiting = [Waiting(key, number, plan.waiting[key]) for number, key in enumerate(first, start=1)]
    return WhatIfBody(
        start=[await _move(request, key, start.core, start.elastic) for key, start in plan.start.items()],
        grow=[await _move(request, key, more.core, more.elastic) for key, more in plan.grow.items()],
        shrink=[
            await _move(request, key, {}, counts, plan.shrunk_for.get(key, "")) for key, counts in plan.shrink.items()
        ],
        preempt=[await _move(request, key, {}, {}) for key in plan.preempt],
        waiting=[await _named(request, one) for one in waiting],
    )


async def _move(
    request: ApiRequest, execution_id: str, core: Counts, elastic: Counts, gives_way_to: str = ""
) -> MoveBody:
    execution = await _one(request, execution_id)
    return MoveBody(execution.id, execution.name, execution.owner, _total(core), _total(elastic), gives_way_to)


def _total(counts: Mapping[str, Mapping[str, int]]) -> int:
    return sum(sum(nodes.values()) for nodes in counts.values())


async def _named(request: ApiRequest, waiting: Waiting) -> WaitingBody:
    return waiting_body(waiting, await _one(request, waiting.execution_id))


async def _one(request: ApiRequest, execution_id: str) -> Execution:
    return await request.core.execution(execution_id, request.caller)
