"""A notebook's hold on an execution."""

from __future__ import annotations

from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.handlers.executions import read_client
from zoe_jupyter.server.present import lease_body
from zoe_jupyter.server.schemas import LeaseBody, LeaseRequest

DEFAULT_TTL_S = 90.0

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
