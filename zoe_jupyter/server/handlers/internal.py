"""What Jupyter servers of the same user tell and ask the one that holds the core; not part of the public interface."""

from __future__ import annotations

from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.schemas import KernelsRequest

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
