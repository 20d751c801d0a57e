"""The machines, and who uses them."""

from __future__ import annotations

from zoe_jupyter.server.api import PAGED, ApiRequest, Subject, page
from zoe_jupyter.server.present import amount_body, node_body
from zoe_jupyter.server.schemas import (
    DrainRequest,
    NodeBody,
    NodePage,
    OwnerUsageBody,
    OwnerUsagePage,
    UnknownBody,
    UnknownPage,
)

routes = Subject("cluster")


@routes("GET", "cluster", "The nodes, and what of them is given away.", answer=NodePage, query=PAGED)
async def list_nodes(request: ApiRequest) -> NodePage:
    items, next_cursor = page([node_body(use) for use in await request.core.cluster()], request.query)
    return NodePage(items, next_cursor)


@routes(
    "POST", "nodes/{name}/disable", "Start nothing new there (for admins); what runs there goes on.", answer=NodeBody
)
async def disable_node(request: ApiRequest) -> NodeBody:
    return node_body(await request.core.set_node_enabled(request.path["name"], request.caller, is_enabled=False))


@routes("POST", "nodes/{name}/enable", "Use the machine again (for admins).", answer=NodeBody)
async def enable_node(request: ApiRequest) -> NodeBody:
    return node_body(await request.core.set_node_enabled(request.path["name"], request.caller, is_enabled=True))


@routes(
    "POST",
    "nodes/{name}/drain",
    "Empty the machine (for admins), now or from a moment on: what runs there starts again elsewhere. ``enable`` ends it.",
    body=DrainRequest,
    answer=NodeBody,
)
async def drain_node(request: ApiRequest) -> NodeBody:
    begins = request.body.begin
    return node_body(await request.core.drain_node(request.path["name"], request.caller, begins=begins))


@routes(
    "GET",
    "quarantine",
    "What runs and this Zoe does not know, since its database was restored or replaced (for admins). It is left alone.",
    answer=UnknownPage,
    query=PAGED,
)
async def list_unknown(request: ApiRequest) -> UnknownPage:
    found = await request.core.quarantine(request.caller)
    items, next_cursor = page([UnknownBody(own, list(services)) for own, services in found.items()], request.query)
    return UnknownPage(items, next_cursor)


@routes("POST", "quarantine/{id}/stop", "Stop what this Zoe does not know (for admins).", status=204)
async def stop_unknown(request: ApiRequest) -> None:
    await request.core.stop_unknown(request.path["id"], request.caller)


@routes("GET", "usage", "What each owner has running.", answer=OwnerUsagePage, query=PAGED)
async def list_usage(request: ApiRequest) -> OwnerUsagePage:
    owners = await request.core.owners(request.caller)
    bodies = [OwnerUsageBody(owner, count, amount_body(room)) for owner, (count, room) in sorted(owners.items())]
    items, next_cursor = page(bodies, request.query)
    return OwnerUsagePage(items, next_cursor)
