"""From a request to its route and back: the one place where routes are run. Everything here happens on the core's loop."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Mapping
from functools import cache
from typing import Any, Literal, cast
from urllib.parse import unquote

from zoe_jupyter.engine.door import Caller, CoreDoor
from zoe_jupyter.model.errors import NotFound, TooMany, UserError
from zoe_jupyter.server.api import JSON, Answer, ApiRequest, Origin, Raw, Route, Stream
from zoe_jupyter.server.counters import count_request
from zoe_jupyter.server.errors import NotAllowed, error_body, status_of
from zoe_jupyter.server.handlers import table
from zoe_jupyter.server.reading import adapter, read_body, read_query
from zoe_jupyter.server.tickets import Tickets
from zoe_jupyter.server.wire import Visitor, WireAnswer, WireRequest

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
KEY_LIMIT = 200


class Dispatcher:
    """Answers requests with a core of its own."""

    def __init__(self, core: CoreDoor) -> None:
        self._core = core
        self._tickets = Tickets()

    async def answer(self, request: WireRequest) -> WireAnswer:
        """Never raises; an error is an answer too."""
        route: Route | None = None
        try:
            route, path = find_route(request.method, request.path, is_internal=request.is_internal)
            answer = _encoded(route, await route.handler(self._checked(route, path, request)))
        except Exception as error:
            answer = error_answer(error)
        count_request(request.method, route.pattern if route else "unknown", answer.status)
        return answer

    def _checked(self, route: Route, path: Mapping[str, str], request: WireRequest) -> ApiRequest:
        return ApiRequest(
            core=self._core,
            caller=Caller(request.visitor.user, request.visitor.is_admin),
            tickets=self._tickets,
            origin=_origin(request.visitor),
            path=path,
            query=read_query(route, request),
            body=read_body(route, request),
            key=_key(request.key),
        )


def find_route(method: str, path: str, *, is_internal: bool = False) -> tuple[Route, dict[str, str]]:
    """The route and what its path names; raises NotFound or NotAllowed."""
    allowed: list[str] = []
    for route, regex in _compiled():
        match = regex.fullmatch(path) if is_internal or not route.is_internal else None
        if match and route.method == method:
            return route, {name: unquote(value) for name, value in match.groupdict().items()}
        if match:
            allowed.append(route.method)
    if allowed:
        raise NotAllowed(f"{path[:200]} takes {', '.join(allowed)}, not {method}")
    raise NotFound(f"there is no {path[:200]!r} in this interface")


@cache
def _compiled() -> tuple[tuple[Route, Any], ...]:
    return tuple((route, route.regex) for route in table())


def _key(text: str | None) -> str | None:
    if text is None:
        return None
    if not text or len(text) > KEY_LIMIT or not text.isprintable():
        raise UserError(f"an Idempotency-Key has 1 to {KEY_LIMIT} printable characters")
    return text


def _origin(visitor: Visitor) -> Origin:
    return Origin(server=visitor.server, python=visitor.python, home=cast("Literal['embedded', 'hub']", visitor.home))


def _encoded(route: Route, found: Any) -> WireAnswer:
    if isinstance(found, Raw):
        return WireAnswer(200, found.content, {**HEADERS, "Content-Type": found.media, **found.headers})
    if isinstance(found, Stream):
        return WireAnswer(200, _guarded(found.chunks), {**HEADERS, "Content-Type": found.media})
    status = found.status if isinstance(found, Answer) else route.status
    body = found.body if isinstance(found, Answer) else found
    if body is None or route.answer is None:
        return WireAnswer(status, b"", HEADERS)
    return WireAnswer(status, adapter(route.answer).dump_json(body, fallback=str), {**HEADERS, "Content-Type": JSON})


async def _guarded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """An error in the middle is logged with its id and breaks the stream off: the reader must not take it for the end."""
    try:
        async for chunk in chunks:
            yield chunk
    except Exception as error:
        raise BrokenOff(error_body(error)["message"]) from error
    finally:
        if hasattr(chunks, "aclose"):
            await chunks.aclose()


class BrokenOff(Exception):
    """A stream ended before its end."""


def error_answer(error: BaseException) -> WireAnswer:
    """Any error as the answer that tells it."""
    headers = {**HEADERS, "Content-Type": JSON}
    if isinstance(error, TooMany):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
    return WireAnswer(status_of(error), json.dumps(error_body(error), default=str).encode(), headers)
