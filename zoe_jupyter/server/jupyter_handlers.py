"""The routes in the Jupyter server. One handler for all of them: it knows who asks and carries bytes; what is asked is found out by the core."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jupyter_server.auth.decorator import authorized, ws_authenticated
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.httputil import HTTPServerRequest
from tornado.routing import PathMatches
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from zoe_jupyter.server.sending import Carrier
from zoe_jupyter.server.wire import Answerer, CoreGone, Visitor, WireAnswer, WireRequest, close_body, path_below

RESUME = 4008
"""Close code: come back with ``since`` of the last event that you have."""
SLOW_S = 30.0
"""How long one message may wait for its reader."""
REASONS = {400: "bad_request", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
WRITES = frozenset({"POST", "PUT", "DELETE", "PATCH"})


def is_foreign(handler: JupyterHandler) -> bool:
    """Whether a page of another site asks. Stricter than Jupyter, which lets a token make up for it."""
    headers = handler.request.headers
    origin = headers.get("Origin", "").lower()
    if not origin:
        return headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
    if urlsplit(origin).netloc == handler.request.host.lower():
        return False
    if handler.allow_origin:
        return handler.allow_origin not in ("*", origin)
    return not (handler.allow_origin_pat and re.fullmatch(handler.allow_origin_pat, origin))


class ZoeHandler(APIHandler):
    """Who asks, and errors as Zoe tells them."""

    auth_resource = "zoe"
    refusal = ""

    def initialize(self, desk: Answerer, visitor: Visitor) -> None:
        self._desk = desk
        self._visitor = visitor

    def get_login_url(self) -> str:
        """Nobody is ever sent to a login page from here."""
        raise web.HTTPError(403, "log in to Jupyter first, or send its token")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        message = getattr(error, "log_message", None) or "Jupyter refused this"
        is_known = getattr(self, "_jupyter_current_user", None) is not None
        reason = self.refusal or REASONS.get(status_code, "internal") if is_known else self.refusal or "unauthenticated"
        self.finish({"message": message, "reason": reason, "details": {}})

    def wire(self, path: str, *, body: bytes = b"", query: str | None = None) -> WireRequest:
        headers = self.request.headers
        return WireRequest(
            method=self.request.method,
            path=path,
            visitor=self._visitor,
            query=self.request.query if query is None else query,
            body=body,
            content_type=headers.get("Content-Type", ""),
            key=headers.get("Idempotency-Key"),
        )


@web.stream_request_body
class ApiHandler(Carrier, ZoeHandler):
    """Every route but the WebSocket."""

    async def prepare(self) -> None:  # type: ignore[override]
        self._parts: list[bytes] = []
        self._received = 0
        if "token" in parse_qs(self.request.query):
            self.refusal = "token_in_address"
            raise web.HTTPError(403, "a token in an address ends up in logs; send it in the Authorization header")
        if self.request.method in WRITES and is_foreign(self):
            self.refusal = "cross_origin"
            raise web.HTTPError(403, "writes from pages of other sites are not allowed")
        await super().prepare()
        if not self._finished:
            self.begin_body()

    @web.authenticated
    @authorized
    async def get(self, _: str) -> None:
        await self._answer()

    @web.authenticated
    @authorized
    async def post(self, _: str) -> None:
        await self._answer()

    @web.authenticated
    @authorized
    async def put(self, _: str) -> None:
        await self._answer()

    @web.authenticated
    @authorized
    async def delete(self, _: str) -> None:
        await self._answer()

    async def _answer(self) -> None:
        if not self.takes_body():
            return
        path = path_below(self.request.path, self.base_url)
        await self.send_answer(self._desk.answer(self.wire(path, body=self.taken_body())))

    async def finish_as(self, last: bytes, media: str) -> None:
        await self.finish(last or None, set_content_type=media or "application/json")

    def log_break(self, error: Exception) -> None:
        self.log.warning("Zoe broke a stream off: %s", error)


class EventsHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """The event stream, one JSON message for each event. It goes on by itself when the core moves to another server."""

    auth_resource = "zoe"
    _relaying: asyncio.Task[None] | None = None

    def initialize(self, desk: Answerer, visitor: Visitor) -> None:
        self._desk = desk
        self._visitor = visitor

    @ws_authenticated
    @authorized(action="read")
    async def get(self, *args: str, **kwargs: str) -> None:  # type: ignore[override]
        await super().get(*args, **kwargs)

    def get_compression_options(self) -> dict[str, Any]:
        return {}

    def open(self, *args: str, **kwargs: str) -> None:
        super().open(*args, **kwargs)
        query = parse_qs(self.request.query)
        self._query = {name: query[name][-1] for name in ("since", "execution") if query.get(name)}
        self._relaying = asyncio.ensure_future(self._relay())

    def on_message(self, message: str | bytes) -> None:
        """Readers have nothing to say."""

    def on_close(self) -> None:
        super().on_close()
        if self._relaying is not None:
            self._relaying.cancel()

    async def _relay(self) -> None:
        code, reason = RESUME, "resume"
        with suppress(WebSocketClosedError, asyncio.CancelledError):
            while (ended := await self._relay_once()) is None:
                pass
            code, reason = ended
        self.close(code, reason[:120])

    async def _relay_once(self) -> tuple[int, str] | None:
        """Pass one stream on to its end; None when it broke and can be picked up where it was."""
        query = urlencode({**self._query, "follow": "1"})
        try:
            answer = await self._desk.answer(WireRequest("GET", "events", self._visitor, query=query))
        except CoreGone as error:
            return RESUME, str(error)
        if isinstance(answer.body, bytes):
            return 4000 + answer.status if answer.status < 1000 else RESUME, json.loads(answer.body or b"{}").get(
                "message", ""
            )
        try:
            return await self._pass_on(answer)
        except (WebSocketClosedError, asyncio.TimeoutError):
            return RESUME, f"this reader was too slow; come back with since={self._query.get('since', 'the last seq')}"
        except Exception as error:
            if not isinstance(error, CoreGone):
                self.log.info("the event stream broke (%s); it is picked up again", error)
            await asyncio.sleep(0.1)
            return None
        finally:
            await close_body(answer.body)

    async def _pass_on(self, answer: WireAnswer) -> tuple[int, str]:
        rest = b""
        assert not isinstance(answer.body, bytes)
        async for chunk in answer.body:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in filter(None, lines):
                event = json.loads(line)
                if "seq" not in event:
                    return RESUME, str(event.get("message") or event.get("reason") or "resume")
                await asyncio.wait_for(self.write_message(line.decode()), SLOW_S)
                self._query["since"] = str(event["seq"])
        return 1000, "that was all"


class UpgradeMatches(PathMatches):
    """``events`` is a WebSocket for those who ask for one, and a route as any other for the rest."""

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None
        return super().match(request)
