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
SLOW_S = 30.0
"""How long a reader may take with what it was given."""
AT_ONCE = 100
OPENED = "stream.opened"
RESUME = "resume"

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
    """Lines of JSON, several at once where they are there; what ends the stream is its last line (it has no ``seq``).

    Nothing is fetched before it is asked for. Whoever does not ask for long is told from where to come back.
    """
    since, newest = request.query["since"], request.core.last_seq()
    # A number that was not given yet is of a log that is gone, such as before a backup was put back.
    position = newest if since is None else min(since, newest)
    async with _events(request, execution_id, since=position, follow=True) as events:
        lines = _Lines(events, position)
        try:
            yield _line(
                asdict(EventBody(seq=position, at=time.time(), kind=OPENED, execution_id=execution_id, data={}))
            )
            while chunk := await lines.read():
                given_at = time.monotonic()
                yield chunk
                if time.monotonic() - given_at > SLOW_S:
                    yield _line(_resume(lines.position))
                    return
        except UserError as error:
            yield _line(error_body(error))
        finally:
            await cancelled(lines.upcoming)


class _Lines:
    """Events as chunks of lines; ``position`` is the number of the last one that was given out."""

    def __init__(self, events: AsyncIterator[Any], position: int) -> None:
        self._events = events
        self.position = position
        self.upcoming = asyncio.ensure_future(next_or_none(events))

    async def read(self) -> bytes:
        """What is there, an empty line when nothing came for a while; nothing at the end."""
        await asyncio.wait({self.upcoming}, timeout=KEEP_ALIVE_S)
        if not self.upcoming.done():
            return b"\n"
        lines: list[bytes] = []
        while self.upcoming.done() and len(lines) < AT_ONCE:
            # An error is told once what came before it was given out.
            if (lines and self.upcoming.exception()) or (event := self.upcoming.result()) is None:
                break
            lines.append(_line(asdict(event_body(event))))
            self.position = event.seq
            self.upcoming = asyncio.ensure_future(next_or_none(self._events))
            await asyncio.sleep(0)
        return b"".join(lines)


def _resume(position: int) -> dict[str, Any]:
    return {
        "message": f"this reader was too slow; come back with since={position}",
        "reason": RESUME,
        "details": {"since": position},
    }


def _events(request: ApiRequest, execution_id: str, *, since: int | None, follow: bool) -> aclosing[Any]:
    events: Any = request.core.events(request.caller, since=since, execution_id=execution_id, follow=follow)
    return aclosing(events)


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"
