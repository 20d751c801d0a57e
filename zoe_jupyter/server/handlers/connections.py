"""How a notebook reaches an execution."""

from __future__ import annotations

from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.schemas import ConnectionBody

routes = Subject("connections")


@routes(
    "GET",
    "executions/{id}/connection/{name}",
    "What a notebook needs to attach; for the owner only.",
    answer=ConnectionBody,
)
async def get_connection(request: ApiRequest) -> ConnectionBody:
    found = await request.core.connection(request.path["id"], request.path["name"], request.caller)
    return ConnectionBody(**found)
