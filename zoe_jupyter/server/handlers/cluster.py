"""The machines, what waits for them, and who uses them."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.engine.views import reserved
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.server.api import PAGED, ApiRequest, Subject, page
from zoe_jupyter.server.present import amount_body, node_body, waiting_body
from zoe_jupyter.server.schemas import NodePage, OwnerUsageBody, OwnerUsagePage, WaitingPage

LIVE = tuple(state for state in State if state is not State.ENDED)

routes = Subject("cluster")


@routes("GET", "cluster", "The nodes, and what of them is given away.", answer=NodePage, query=PAGED)
async def list_nodes(request: ApiRequest) -> NodePage:
    items, next_cursor = page([node_body(use) for use in await request.core.cluster()], request.query)
    return NodePage(items, next_cursor)


@routes("GET", "queue", "What waits, in order, and why.", answer=WaitingPage, query=PAGED)
async def list_queue(request: ApiRequest) -> WaitingPage:
    names = {execution.id: execution.name for execution in await _live(request)}
    waiting = [waiting_body(one, names.get(one.execution_id, "")) for one in await request.core.queue(request.caller)]
    items, next_cursor = page(waiting, request.query)
    return WaitingPage(items, next_cursor)


@routes("GET", "usage", "What each owner has running.", answer=OwnerUsagePage, query=PAGED)
async def list_usage(request: ApiRequest) -> OwnerUsagePage:
    by_owner: dict[str, list[Execution]] = {}
    for execution in await _live(request):
        by_owner.setdefault(execution.owner, []).append(execution)
    bodies = [
        OwnerUsageBody(owner, len(executions), amount_body(sum((reserved(one) for one in executions), Resources())))
        for owner, executions in sorted(by_owner.items())
    ]
    items, next_cursor = page(bodies, request.query)
    return OwnerUsagePage(items, next_cursor)


async def _live(request: ApiRequest) -> Sequence[Execution]:
    found: list[Execution] = []
    cursor: str | None = ""
    while cursor is not None:
        part = await request.core.executions(request.caller, states=LIVE, limit=1000, cursor=cursor)
        found.extend(part.items)
        cursor = part.next_cursor
    return found
