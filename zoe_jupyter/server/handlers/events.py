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
from zoe_jupyter.model.execution import LogEvent
from zoe_jupyter.server.api import LIMIT, NDJSON, ApiRequest, Param, Stream, Subject
from zoe_jupyter.server.errors import error_body
from zoe_jupyter.server.present import event_body
from zoe_jupyter.server.schemas import EventBody, EventPage

KEEP_ALIVE_S = 15.0
OPENED = "stream.opened"

routes = Subject("events")

SINCE = Param("since", "integer", "Events after this sequence number; absent: a page from the beginning, a stream from now on.", minimum=0)
FOLLOW = Param("follow", "boolean", "A stream of lines that goes on, one event each, with empty lines to keep it alive.", default=False)
PAGE = (SINCE, LIMIT, Param("cursor", "string", "``next_cursor`` of the page before.", default=""))


@routes(
    "GET",
    "events",
    "The event log as far as the caller may see it. As a WebSocket the same stream, one message each; a reader that is too slow is closed with 4008.",
    answer=EventPage,
    query=(*PAGE, FOLLOW),
    media=(NDJSON,),
    streams=EventBody,
)
async def list_events(request: ApiRequest) -> EventPage | Stream:
    return await _answer(request, "")


@routes("GET", "executions/{id}/events", "The events of one execution.", answer=EventPage, query=(*PAGE, FOLLOW), media=(NDJSON,), streams=EventBody)
async def list_execution_events(request: ApiRequest) -> EventPage | Stream:
    execution = await request.core.execution(request.path["id"], request.caller)
    return await _answer(request, execution.id)


async def _answer(request: ApiRequest, execution_id: str) -> EventPage | Stream:
    if request.query["follow"]:
        return Stream(follow_events(request, execution_id), NDJSON)
    limit = request.query["limit"]
    since = int(request.query["cursor"] or request.query["since"] or 0)
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
    async with _events(request, execution_id, since=since, follow=True) as events:
        upcoming: asyncio.Task[LogEvent] = asyncio.ensure_future(_next(events))
        try:
            # One turn of the loop: the core has begun to watch before the client learns that it may.
            await asyncio.sleep(0)
            yield _line(asdict(EventBody(seq=since or 0, at=time.time(), kind=OPENED, execution_id=execution_id, data={})))
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=KEEP_ALIVE_S)
                if not done:
                    yield b"\n"
                    continue
                yield _line(asdict(event_body(upcoming.result())))
                upcoming = asyncio.ensure_future(_next(events))
        except StopAsyncIteration:
            return
        except UserError as error:
            yield _line(error_body(error))
        finally:
            await _cancelled(upcoming)


def _events(request: ApiRequest, execution_id: str, *, since: int | None, follow: bool) -> aclosing[Any]:
    events: Any = request.core.events(request.caller, since=since, execution_id=execution_id, follow=follow)
    return aclosing(events)


async def _next(events: AsyncIterator[LogEvent]) -> LogEvent:
    return await anext(events)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """An iterator can be closed only once nobody waits for its next item."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"
