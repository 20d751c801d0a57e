"""The event log: pages of it, or a stream without end."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict
from typing import Any

from zoe_jupyter.model.errors import UserError
from zoe_jupyter.server.api import LIMIT, NDJSON, ApiRequest, Param, Stream, Subject
from zoe_jupyter.server.errors import error_body
from zoe_jupyter.server.present import event_body
from zoe_jupyter.server.schemas import EventBody, EventPage
from zoe_jupyter.server.wire import cancelled, next_or_none

KEEP_ALIVE_S = 15.0
OPENED = "stream.opened"

routes = Subject("events")

SINCE = Param(
    "since",
    "integer",
    "Events after this sequence number; absent: a page from the beginning, a stream from now on.",
    minimum=0,
)
FOLLOW = Param(
    "follow",
    "boolean",
    "A stream of lines that goes on, one event each, with empty lines to keep it alive.",
    default=False,
)
PAGE = (SINCE, LIMIT, Param("cursor", "integer", "``next_cursor`` of the page before.", minimum=0))


@routes(
    "GET",
    "events",
    "The event log as far as the caller may see it; as a WebSocket the same stream, closed with 4008 for slow readers.",
    answer=EventPage,
    query=(*PAGE, FOLLOW, Param("execution", "string", "Only those of this execution, by id or name.", default="")),
    media=(NDJSON,),
    streams=EventBody,
)
async def list_events(request: ApiRequest) -> EventPage | Stream:
    name = request.query["execution"]
    return await _answer(request, (await request.core.execution(name, request.caller)).id if name else "")


@routes(
    "GET",
    "executions/{id}/events",
    "The events of one execution.",
    answer=EventPage,
    query=(*PAGE, FOLLOW),
    media=(NDJSON,),
    streams=EventBody,
)
async def list_execution_events(request: ApiRequest) -> EventPage | Stream:
    execution = await request.core.execution(request.path["id"], request.caller)
    return await _answer(request, execution.id)


async def _answer(request: ApiRequest, execution_id: str) -> EventPage | Stream:
    if request.query["follow"]:
        return Stream(follow_events(request, execution_id), NDJSON)
    limit = request.query["limit"]
    since = request.query["cursor"] or request.query["since"] or 0
    found: list[EventBody] = []
    async with _events(request, execution_id, since=since, follow=False) as events:
        async for event in events:
            found.append(event_body(event))
            if len(found) > limit:
                break
    return EventPage(found[:limit], str(found[limit - 1].seq) if len(found) > limit else None)


async def follow_events(request: ApiRequest, execution_id: str) -> AsyncIterator[bytes]:
    """Lines of JSON; an error that ends the stream is its last line (it has no ``seq``)."""
    since = request.query["since"]
    position = request.core.last_seq() if since is None else since
    async with _events(request, execution_id, since=position, follow=True) as events:
        upcoming = asyncio.ensure_future(next_or_none(events))
        try:
            yield _line(
                asdict(EventBody(seq=position, at=time.time(), kind=OPENED, execution_id=execution_id, data={}))
            )
            while True:
                await asyncio.wait({upcoming}, timeout=KEEP_ALIVE_S)
                if not upcoming.done():
                    yield b"\n"
                    continue
                if (event := upcoming.result()) is None:
                    return
                yield _line(asdict(event_body(event)))
                upcoming = asyncio.ensure_future(next_or_none(events))
        except UserError as error:
            yield _line(error_body(error))
        finally:
            await cancelled(upcoming)


def _events(request: ApiRequest, execution_id: str, *, since: int | None, follow: bool) -> aclosing[Any]:
    events: Any = request.core.events(request.caller, since=since, execution_id=execution_id, follow=follow)
    return aclosing(events)


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"
