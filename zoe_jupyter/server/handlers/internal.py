"""What Jupyter servers of the same user tell and ask the one that holds the core; not part of the public interface."""

from __future__ import annotations

from dataclasses import asdict

from zoe_jupyter.model.errors import NotFound
from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.schemas import KernelsRequest, TargetAddressBody

routes = Subject("internal")


@routes(
    "POST",
    "servers/{server}/kernels",
    "The kernels of a server that live now.",
    body=KernelsRequest,
    status=204,
    is_internal=True,
)
async def report_kernels(request: ApiRequest) -> None:
    await request.core.kernels_alive(request.path["server"], request.body.kernel_ids)


@routes("GET", "targets/{id}/{endpoint}", "Where the web proxy has to go.", answer=TargetAddressBody, is_internal=True)
async def get_target(request: ApiRequest) -> TargetAddressBody:
    targets = await request.core.endpoints(request.path["id"], request.caller)
    target = targets.get(request.path["endpoint"])
    if target is None:
        raise NotFound(
            f"{request.path['id']} has no page {request.path['endpoint']!r} now; it has {', '.join(targets) or 'none'}"
        )
    return TargetAddressBody(**{**asdict(target), "headers": dict(target.headers)})
