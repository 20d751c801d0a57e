"""Pages that are not trusted: ``zoe/ticket/<ticket>/...``. The ticket in the address lets in, Jupyter's cookies play no part."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote

from tornado import web

from zoe_jupyter.server.proxied_headers import SANDBOX, Page
from zoe_jupyter.server.proxy import LOOKS, PageProxy

WORDS = 3
"""``zoe/ticket/<ticket>``"""
WATCH_S = 60.0
"""How often an open WebSocket's ticket is looked at, which also counts as using it."""
NAMES = re.compile(r"[\w!#$%&'*+.^`|~, -]{1,2000}", re.ASCII)


class TicketProxy(PageProxy):
    """One request to a page by its ticket: of the page itself, whose origin is ``null``, or of nobody's, when it is opened."""

    _watching: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Asks nothing of Jupyter's login, so that a cookie or token that comes along makes no difference."""
        self.current_user = self._jupyter_current_user = None
        if not self.check_host():
            raise web.HTTPError(403, "this name is not one of this server's")
        if (self.request.method not in LOOKS or self._is_upgrade()) and not self.check_origin():
            raise web.HTTPError(403, "only the page itself may ask this")

    def check_origin(self, origin: str | None = None) -> bool:
        """Of pages only the ticket's own, in its sandbox."""
        return self.request.headers.get("Origin", "null") == "null"

    def check_xsrf_cookie(self) -> None:
        """No cookie lets in here, so that none has to be defended."""

    async def _found(self, **names: str) -> Page:
        body = await self._asked(f"tickets/{quote(names['ticket'], safe='')}")
        return self._seen(body, self._prefix(WORDS), is_trusted=False)

    async def _pass(self, rest: str, **names: str) -> None:
        if self.request.method == "OPTIONS" and "Access-Control-Request-Method" in self.request.headers:
            await self._found(**names)
            self._permit()
        elif self.request.method in LOOKS and not rest:
            await self._found(**names)
            self.redirect(f"{self.request.path}/{'?' if self.request.query else ''}{self.request.query}")
        else:
            await super()._pass(rest, **names)

    def _permit(self) -> None:
        """Answer a browser that asks whether the page may ask itself."""
        asked = self.request.headers
        self.set_status(204)
        self.set_header("Access-Control-Allow-Origin", "null")
        for name in ("Method", "Headers"):
            value = asked.get(f"Access-Control-Request-{name}", "")
            if NAMES.fullmatch(value):
                self.set_header(f"Access-Control-Allow-{name}{'s' if name == 'Method' else ''}", value)

    async def open(self, rest: str, **names: str) -> None:
        await super().open(rest, **names)
        self._watching = asyncio.ensure_future(self._watch(**names))

    def on_close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        super().on_close()

    async def _watch(self, **names: str) -> None:
        """Cut the connection when the ticket is over."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self._found(**names)
            except web.HTTPError as error:
                self.close(4000 + error.status_code, "the ticket is over")
                return

    def write_error(self, status_code: int, **kwargs: object) -> None:
        for name, value in SANDBOX:
            self.set_header(name, value)
        super().write_error(status_code, **kwargs)

    def _request_summary(self) -> str:
        """Tickets are keys, and do not belong into logs."""
        return f"{self.request.method} a page by its ticket ({self.request.remote_ip})"

    def _log(self) -> None:
        self.request.uri = f"{self.base_url}zoe/ticket/..."
        super()._log()
