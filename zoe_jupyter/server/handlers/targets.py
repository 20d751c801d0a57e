"""What is wanted of an execution."""

from __future__ import annotations

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.server.api import ApiRequest, Subject
from zoe_jupyter.server.present import execution_body
from zoe_jupyter.server.schemas import ExecutionBody, ScaleRequest

routes = Subject("executions")


@routes("POST", "executions/{id}/stop", "Stop it; it ends as stopped.", answer=ExecutionBody)
async def stop(request: ApiRequest) -> ExecutionBody:
    return execution_body(request, await request.core.stop(request.path["id"], request.caller))


@routes("POST", "executions/{id}/restart", "Take its services down and start them again.", answer=ExecutionBody)
async def restart(request: ApiRequest) -> ExecutionBody:
    return execution_body(request, await request.core.restart(request.path["id"], request.caller))


@routes("POST", "executions/{id}/suspend", "Take its services down and keep it for later.", answer=ExecutionBody)
async def suspend(request: ApiRequest) -> ExecutionBody:
    return execution_body(request, await request.core.suspend(request.path["id"], request.caller))


@routes("POST", "executions/{id}/resume", "Let a suspended one run again.", answer=ExecutionBody)
async def resume(request: ApiRequest) -> ExecutionBody:
    return execution_body(request, await request.core.resume(request.path["id"], request.caller))


@routes(
    "POST",
    "executions/{id}/scale",
    "Change how many services its processes have.",
    body=ScaleRequest,
    answer=ExecutionBody,
)
async def scale(request: ApiRequest) -> ExecutionBody:
    execution = await request.core.scale(request.path["id"], request.caller, counts=_counts(request.body))
    return execution_body(request, execution)


def _counts(body: ScaleRequest) -> dict[str, int]:
    if (body.count is None) == (not body.counts):
        raise InvalidDescription([Problem("give either count, for the only process that scales, or counts by process")])
    return dict(body.counts) if body.count is None else {"": body.count}
