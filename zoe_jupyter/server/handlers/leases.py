"""A notebook's hold on an execution."""

from __future__ import annotations

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.handlers.executions import read_client
from zoe_jupyter.server.present import lease_body
from zoe_jupyter.server.schemas import LeaseBody, LeaseRequest

DEFAULT_TTL_S = 90.0
SHORTEST_TTL_S = 1.0
LONGEST_TTL_S = 86400.0
"""A hold that nobody renews must not keep an execution for ever."""

routes = Subject("leases")


@routes(
    "POST",
    "executions/{id}/leases",
    "Take a lease for a kernel or a server.",
    body=LeaseRequest,
    answer=LeaseBody,
    status=201,
)
async def take_lease(request: ApiRequest) -> LeaseBody:
    body: LeaseRequest = request.body
    client = read_client(request, body.client)
    has_witness = bool(client.server and client.kernel_id)
    if body.ttl_s is not None and not SHORTEST_TTL_S <= body.ttl_s <= LONGEST_TTL_S:
        between = f"{SHORTEST_TTL_S:g} and {LONGEST_TTL_S:g} seconds"
        raise InvalidDescription([Problem(f"{body.ttl_s:g} is not between {between}", path="ttl_s")])
    ttl_s = body.ttl_s if body.ttl_s is not None or has_witness else DEFAULT_TTL_S
    return lease_body(
        await request.core.take_lease(request.path["id"], request.caller, kind=body.kind, client=client, ttl_s=ttl_s)
    )


@routes("PUT", "executions/{id}/leases/{lease}", "Renew it.", answer=LeaseBody)
async def renew_lease(request: ApiRequest) -> LeaseBody:
    return lease_body(await request.core.renew_lease(request.path["id"], request.path["lease"], request.caller))


@routes("DELETE", "executions/{id}/leases/{lease}", "Let go.", status=204)
async def drop_lease(request: ApiRequest) -> None:
    await request.core.drop_lease(request.path["id"], request.path["lease"], request.caller)
