"""What executions put out and use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from zoe_jupyter.server.api import PAGED, TEXT, ApiRequest, Param, Stream, Subject, page
from zoe_jupyter.server.present import sample_body
from zoe_jupyter.server.schemas import UsagePage
from zoe_jupyter.server.wire import cancelled, close_body, next_or_none

FIRST_PIECE_S = 1.0

routes = Subject("executions")

LOG_PARAMS = (
    Param("service", "string", "The service, such as ``spark.worker-0``; absent: the first one.", default=""),
    Param("tail", "integer", "The last so many lines only.", minimum=0, maximum=1_000_000),
    Param("follow", "boolean", "Go on until the service has ended for good.", default=False),
)


@routes(
    "GET",
    "executions/{id}/logs",
    "The output of a service, over all its attempts, as it comes.",
    media=(TEXT,),
    query=LOG_PARAMS,
)
async def get_logs(request: ApiRequest) -> Stream:
    query = request.query
    chunks = request.core.logs(
        request.path["id"], query["service"], request.caller, tail=query["tail"], follow=query["follow"]
    )
    return Stream(await _begun(chunks), TEXT)


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Wait a moment for the first piece, so that an error is an answer of its own; a follower's may come much later."""
    first = asyncio.ensure_future(next_or_none(chunks))
    await asyncio.wait({first}, timeout=FIRST_PIECE_S)
    if first.done() and isinstance(error := first.exception(), Exception):
        raise error
    return _from_first(first, chunks)


async def _from_first(first: asyncio.Future[bytes | None], chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    upcoming = first
    try:
        while (chunk := await upcoming) is not None:
            yield chunk
            upcoming = asyncio.ensure_future(next_or_none(chunks))
    finally:
        await cancelled(upcoming)
        await close_body(chunks)


@routes(
    "GET",
    "executions/{id}/usage",
    "CPU and memory of its services over time, oldest first.",
    answer=UsagePage,
    query=PAGED,
)
async def get_usage(request: ApiRequest) -> UsagePage:
    samples = await request.core.usage(request.path["id"], request.caller)
    items, next_cursor = page([sample_body(sample) for sample in samples], request.query)
    return UsagePage(items, next_cursor)
