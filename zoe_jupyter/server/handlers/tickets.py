"""Short-lived addresses of executions' pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from urllib.parse import quote

from zoe_jupyter.engine.door import EndpointTarget
from zoe_jupyter.model.errors import NotFound
from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.schemas import TargetAddressBody, TicketBody, TicketRequest
from zoe_jupyter.server.tickets import no_ticket

routes = Subject("executions")
internal = Subject("internal")


@routes(
    "POST",
    "executions/{id}/endpoints/{name}/ticket",
    "A short-lived address of a page, for browsers that must not show it Jupyter's cookies; or a longer life for one.",
    body=TicketRequest,
    answer=TicketBody,
    status=201,
)
async def issue_ticket(request: ApiRequest) -> TicketBody:
    name = request.path["name"]
    execution = await request.core.execution(request.path["id"], request.caller)
    target = _found(await request.core.endpoints(execution.id, request.caller), execution.name, name)
    ticket = request.tickets.issue(request.caller, execution.id, name, renew=request.body.renew)
    path = quote(target.path.lstrip("/"), safe="/?&=%~")
    return TicketBody(ticket.text, f"zoe/ticket/{ticket.text}/{path}", ticket.expires_at)


@internal("GET", "targets/{id}/{endpoint}", "Where a page is.", answer=TargetAddressBody, is_internal=True)
async def get_target(request: ApiRequest) -> TargetAddressBody:
    targets = await request.core.endpoints(request.path["id"], request.caller)
    return _address(_found(targets, request.path["id"], request.path["endpoint"]))


@internal("GET", "tickets/{ticket}", "Where the page of a ticket is.", answer=TargetAddressBody, is_internal=True)
async def use_ticket(request: ApiRequest) -> TargetAddressBody:
    """Whoever has the ticket asks, not the caller. With its execution it ends."""
    ticket = request.tickets.use(request.path["ticket"])
    try:
        execution = await request.core.execution(ticket.execution_id, ticket.caller)
    except NotFound:
        execution = None
    if execution is None or execution.is_ended:
        request.tickets.drop(ticket.text)
        raise no_ticket()
    targets = await request.core.endpoints(execution.id, ticket.caller)
    return _address(_found(targets, execution.name, ticket.endpoint))


def _found(targets: Mapping[str, EndpointTarget], execution: str, endpoint: str) -> EndpointTarget:
    if endpoint not in targets:
        raise NotFound(f"{execution} has no page {endpoint[:80]!r} now; it has {', '.join(targets) or 'none'}")
    return targets[endpoint]


def _address(target: EndpointTarget) -> TargetAddressBody:
    return TargetAddressBody(**{**asdict(target), "headers": dict(target.headers)})
