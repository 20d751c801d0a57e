"""What executions put out and use."""

from __future__ import annotations

from collections.abc import AsyncIterator

from zoe_jupyter.server.api import PAGED, TEXT, ApiRequest, Param, Stream, Subject, page
from zoe_jupyter.server.present import sample_body
from zoe_jupyter.server.schemas import UsagePage

routes = Subject("executions")

LOG_PARAMS = (
    Param("service", "string", "The service, such as ``spark.worker-0``; absent: the first one.", default=""),
    Param("tail", "integer", "The last so many lines only.", minimum=0, maximum=1_000_000),
    Param("follow", "boolean", "Go on until the service has ended for good.", default=False),
)


@routes("GET", "executions/{id}/logs", "The output of a service, over all its attempts, as it comes.", media=(TEXT,), query=LOG_PARAMS)
async def get_logs(request: ApiRequest) -> Stream:
    execution = await request.core.execution(request.path["id"], request.caller)
    service = request.query["service"] or next(iter(execution.services), "")
    tail, follow = request.query["tail"], request.query["follow"]
    return Stream(await _begun(request.core.logs(execution.id, service, request.caller, tail=tail, follow=follow), follow=follow), TEXT)


async def _begun(chunks: AsyncIterator[bytes], *, follow: bool) -> AsyncIterator[bytes]:
    """Look for the first piece before the answer begins, so that an error is an answer of its own; a follower may have to wait for it."""
    if follow:
        return chunks
    first = await anext(chunks, b"")
    return _with_first(first, chunks)


async def _with_first(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk


@routes("GET", "executions/{id}/usage", "CPU and memory of its services over time, oldest first.", answer=UsagePage, query=PAGED)
async def get_usage(request: ApiRequest) -> UsagePage:
    samples = await request.core.usage(request.path["id"], request.caller)
    items, next_cursor = page([sample_body(sample) for sample in samples], request.query)
    return UsagePage(items, next_cursor)
