"""An execution's own web pages: ``zoe/at/<execution>/<endpoint>/...``, behind Jupyter's authentication, for those that are trusted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.utils import ensure_async, url_path_join
from jupyter_server_proxy.handlers import ProxyHandler
from tornado import httputil, web
from tornado.httpclient import HTTPClientError
from tornado.websocket import WebSocketError
from yarl import URL

from zoe_jupyter.server.jupyter_handlers import is_foreign
from zoe_jupyter.server.proxied_headers import LeadsOutside, Page, without_dots, without_token
from zoe_jupyter.server.sending import Carrier
from zoe_jupyter.server.wire import Answerer, CoreGone, Visitor, WireAnswer, WireRequest

CONNECT_S = 10.0
CHUNK_BYTES = 65536
LONGEST_LINE = 65536
"""Of an answer's head: cookies and policies of pages may be long."""
READS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOKS = frozenset({"GET", "HEAD"})
WORDS = 4
"""``zoe/at/<execution>/<endpoint>``"""


class PageProxy(Carrier, ProxyHandler):
    """One request to a page of an execution. Whom it leads to is asked of the core every time."""

    def __init__(self, *args: Any, desk: Answerer, visitor: Visitor, **kwargs: Any) -> None:
        self._desk = desk
        self._visitor = visitor
        self._page: Page | None = None
        self._asking: asyncio.Future[aiohttp.ClientResponse] | None = None
        super().__init__(*args, host_allowlist=self._is_target, **kwargs)

    def _is_target(self, handler: Any, host: str) -> bool:
        return self._page is not None and host == self._page.host

    async def _found(self, **names: str) -> Page:
        """The page that the words of the address name; raises HTTPError."""
        raise NotImplementedError

    async def _asked(self, path: str) -> dict[str, Any]:
        """What an internal route of the core answers."""
        return await self._told(WireRequest("GET", path, self._visitor, is_internal=True))

    async def _told(self, request: WireRequest) -> dict[str, Any]:
        """What a good answer says; raises HTTPError for any other."""
        try:
            return told(await self._desk.answer(request))
        except CoreGone as error:
            # Of these Jupyter logs one line only: its end is no fault.
            raise web.HTTPError(502, "%s", error) from None

    async def http_get(self, rest: str, **names: str) -> None:
        await self._pass(rest, **names)

    async def _pass(self, rest: str, **names: str) -> None:
        page = self._page = await self._found(**names)
        self._record_activity()
        await self._relay(page)

    async def post(self, **words: str) -> None:
        await self._pass(**words)

    put = delete = head = patch = options = post

    async def open(self, rest: str, **names: str) -> None:
        try:
            self._page = await self._found(**names)
            await self.proxy_open(self._page.host, self._page.port, rest)
        except web.HTTPError as error:
            self.close(4000 + error.status_code, (error.log_message or "")[:120])
        except (OSError, HTTPClientError, WebSocketError) as error:
            self.log.info("%s does not take a WebSocket: %s", self.request.path, error)
            self.close(1014, "the page does not answer")

    def _prefix(self, words: int) -> str:
        """The first so many words of the path, below the base URL, as they were sent."""
        raw = self.request.path.removeprefix(self.base_url.rstrip("/") + "/").split("/")[:words]
        return url_path_join(self.base_url, *raw)

    def _is_upgrade(self) -> bool:
        return self.request.headers.get("Upgrade", "").lower() == "websocket"

    def _seen(self, body: Mapping[str, Any], prefix: str, *, is_trusted: bool) -> Page:
        return Page(
            prefix=prefix,
            public_host=self.request.host,
            host=body["host"],
            port=body["port"],
            headers=body["headers"],
            is_trusted=is_trusted,
            keeps_prefix=body["keeps_prefix"],
            asked=self.request.path,
        )

    def get_client_uri(self, protocol: str, host: str, port: int, proxied_path: str) -> str:
        """The address of what was asked for at the service itself."""
        assert self._page is not None
        query = without_token(self.request.query)
        name = f"[{host}]" if ":" in host else host
        return f"{protocol}://{name}:{port}{self._page.inner_path(self.request.path)}{'?' if query else ''}{query}"

    def proxy_request_headers(self) -> httputil.HTTPHeaders:
        assert self._page is not None
        headers = httputil.HTTPHeaders()
        for name, value in self._page.request_headers(self.request.headers.get_all()):
            headers.add(name, value)
        return headers

    async def _relay(self, page: Page) -> None:
        address = URL(self.get_client_uri("http", page.host, page.port, ""), encoded=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        session = aiohttp.ClientSession(
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept-Encoding", "Content-Type"),
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )
        async with session:
            self._asking = asyncio.ensure_future(
                session.request(
                    self.request.method,
                    address,
                    headers=list(self.proxy_request_headers().get_all()),
                    data=self.request.body or None,
                    allow_redirects=False,
                )
            )
            try:
                answer = await self._asking
            except asyncio.CancelledError:
                return
            except (aiohttp.ClientError, asyncio.TimeoutError) as error:
                raise web.HTTPError(502, "the page does not answer: %s", error) from error
            async with answer:
                if answer.status < 200:
                    raise web.HTTPError(502, "the page answers %s, which is no answer", answer.status)
                self._take_head(page, answer)
                await self.send_stream(_chunks(answer))

    def _take_head(self, page: Page, answer: aiohttp.ClientResponse) -> None:
        try:
            headers = page.response_headers(answer.headers.items())
        except LeadsOutside as error:
            raise web.HTTPError(502, "%s", error) from None
        self.clear()
        for name in list(self._headers):
            self.clear_header(name)
        self.set_status(answer.status, answer.reason)
        for name, value in headers:
            self.add_header(name, value)

    async def finish_as(self, last: bytes, media: str) -> None:
        # jupyter-server-proxy wraps flush, and drops what tornado's finish would wait for.
        web.RequestHandler.finish(self, last or None)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        is_told = isinstance(error, web.HTTPError) and error.log_message
        message = (
            error.log_message % error.args
            if is_told and error.args
            else error.log_message
            if is_told
            else "this went wrong"
        )
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {message}\n")

    def compute_etag(self) -> None:
        """The service's own, if any."""

    def on_connection_close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
        Carrier.on_connection_close(self)
        ProxyHandler.on_connection_close(self)

    def log_break(self, error: Exception) -> None:
        self.log.info("%s broke off: %s", self.request.path, error)


class ZoeProxy(PageProxy):
    """A page for whoever is logged in: the page itself where it is trusted, else the way to a ticket for it."""

    def get_login_url(self) -> str:
        raise web.HTTPError(403, "log in to Jupyter first")

    async def prepare(self) -> None:
        if self._is_foreign_write():
            raise web.HTTPError(403, "writes from pages of other sites are not allowed")
        await ensure_async(super().prepare())
        action = HTTP_METHOD_TO_AUTH_ACTION.get(self.request.method, "write")
        if not await ensure_async(self.authorizer.is_authorized(self, self.current_user, action, "zoe")):
            raise web.HTTPError(403, f"you may not {action} Zoe's pages")

    def _is_foreign_write(self) -> bool:
        """A page that is not trusted has the origin ``null``, and is foreign too."""
        return (self.request.method not in READS or self._is_upgrade()) and is_foreign(self)

    async def _found(self, **names: str) -> Page:
        execution, endpoint = (quote(names[name], safe="") for name in ("execution", "endpoint"))
        body = await self._asked(f"targets/{execution}/{endpoint}")
        if body["is_trusted"]:
            return self._seen(body, self._prefix(WORDS), is_trusted=True)
        if self.request.method not in LOOKS or self._is_upgrade():
            raise web.HTTPError(403, "this page is not trusted: it opens with a ticket only")
        path = f"executions/{execution}/endpoints/{endpoint}/ticket"
        answer = await self._told(WireRequest("POST", path, self._visitor, body=b"{}"))
        self._lead_to(url_path_join(self.base_url, "zoe/ticket", answer["ticket"]))
        raise web.Finish

    async def _pass(self, rest: str, **names: str) -> None:
        """The address of a folder ends with a slash, and none has a token in it, which the page could read."""
        query = self.request.query
        if self.request.method in LOOKS and (not rest or query != without_token(query)):
            self._lead_to(self._prefix(WORDS))
        else:
            await super()._pass(rest, **names)

    def _lead_to(self, prefix: str) -> None:
        """To the same page below another prefix."""
        inner = without_dots(self.request.path.removeprefix(self._prefix(WORDS)) or "/")
        query = without_token(self.request.query)
        self.set_header("Cache-Control", "no-store")
        self.redirect(f"{prefix}{inner}{'?' if query else ''}{query}")


def told(answer: WireAnswer) -> dict[str, Any]:
    """The body of a good answer; raises HTTPError for any other."""
    assert isinstance(answer.body, bytes)
    body: dict[str, Any] = json.loads(answer.body)
    if answer.status not in (200, 201):
        raise web.HTTPError(answer.status, "%s", body["message"])
    return body


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        yield chunk
