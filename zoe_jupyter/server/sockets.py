"""The routes on sockets of our own, for kernels, shells and other Jupyter servers of the same user: a token, no cookies, no browser."""

from __future__ import annotations

import hmac
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import bind_sockets, bind_unix_socket

from zoe_jupyter.server.files import Address, boot_id, new_token, remove_socket, socket_path
from zoe_jupyter.server.sending import Carrier
from zoe_jupyter.server.wire import API_PATH, Answerer, Visitor, WireRequest, path_below

if TYPE_CHECKING:
    from zoe_jupyter.server.identity import Identity

ANY_SIZE = 1 << 40
"""The handler counts what comes, and refuses it sooner than tornado."""
IDLE_S = 60.0
"""How long a connection may stay without a request, or take with the head of one."""
BACKLOG = 4096
"""So many may knock at one moment; the kernel turns one more away, and cuts the number to its own limit."""
log = logging.getLogger("zoe_jupyter.server")

FORWARDED = "X-Zoe-Visitor"
"""User, rights, server and interpreter of the one who asked another server first: believed only with the core's own token."""
Identify = Callable[[str], Awaitable["Identity | None"]]
"""From another token than the listener's own to a user."""
INTERNAL = "X-Zoe-Internal"
"""That another server asks for itself; believed as the visitor is."""
SEPARATOR = "\x1f"


def packed(visitor: Visitor) -> str:
    """A visitor as a header."""
    parts = (visitor.user, "1" if visitor.is_admin else "", visitor.server, visitor.python, visitor.home)
    return SEPARATOR.join(parts).encode().hex()


def unpacked(text: str) -> Visitor:
    user, is_admin, server, python, home = bytes.fromhex(text).decode().split(SEPARATOR)
    return Visitor(user, bool(is_admin), server, python, home)


class Listener:
    """Serves an ``Answerer`` on a Unix socket (TCP on loopback where there are none). ``start`` must run on the loop that shall serve it."""

    def __init__(
        self, answerer: Answerer, visitor: Visitor, *, accepts_visitors: bool = False, identify: Identify | None = None
    ) -> None:
        self._answerer = answerer
        self._identify = identify
        self._visitor = visitor
        self._accepts_visitors = accepts_visitors
        self._socket: socket.socket | None = None
        self._server: HTTPServer | None = None
        self.token = new_token()
        self.address = ""

    def bind(self, folder: Path, name: str) -> None:
        """Take a socket of that name in the folder; from here on connections wait until ``start``."""
        if hasattr(socket, "AF_UNIX"):
            path = socket_path(folder, name)
            self._take(bind_unix_socket(str(path), mode=0o600, backlog=BACKLOG), f"unix:{path}")
        else:
            self.bind_tcp("127.0.0.1", 0)

    def bind_path(self, path: str) -> None:
        """Take exactly this Unix socket."""
        self._take(bind_unix_socket(path, mode=0o600, backlog=BACKLOG), f"unix:{path}")

    def bind_tcp(self, host: str, port: int) -> None:
        """Take a port; 0 is a free one."""
        taken = bind_sockets(port, host, backlog=BACKLOG)[0]
        name = f"[{host}]" if ":" in host else host
        self._take(taken, f"http://{name}:{taken.getsockname()[1]}")

    def _take(self, taken: socket.socket, address: str) -> None:
        self._socket, self.address = taken, address

    def start(self) -> None:
        assert self._socket is not None
        pattern = rf"/{API_PATH}(.*)"
        options = {
            "answerer": self._answerer,
            "read_visitor": self._read_visitor,
            "accepts_visitors": self._accepts_visitors,
        }
        application = web.Application([(pattern, SocketHandler, options)], log_function=_log_nothing)
        self._server = _Server(application, max_body_size=ANY_SIZE, idle_connection_timeout=IDLE_S)
        self._server.add_socket(self._socket)

    async def close(self) -> None:
        """Stop listening, and remove the socket."""
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
        elif self._socket is not None:
            self._socket.close()
        if self.address.startswith("unix:"):
            remove_socket(self.address.removeprefix("unix:"))

    def described(self, *, url: str = "") -> Address:
        """What goes into the connection file."""
        return Address(self.address, self.token, os.getpid(), boot_id(), socket.gethostname(), url)

    async def _read_visitor(self, request: SocketHandler) -> Visitor | None:
        """Who asks; None when the token is nobody's."""
        kind, _, token = request.request.headers.get("Authorization", "").partition(" ")
        token = token.strip()
        if kind.lower() not in ("token", "bearer") or not token:
            return None
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return await self._identified(token)
        forwarded = request.request.headers.get(FORWARDED)
        return unpacked(forwarded) if forwarded and self._accepts_visitors else self._visitor

    async def _identified(self, token: str) -> Visitor | None:
        found = await self._identify(token) if self._identify else None
        return replace(self._visitor, user=found.user, is_admin=found.is_admin) if found else None


@web.stream_request_body
class SocketHandler(Carrier):
    """One request from a program of the same user."""

    def initialize(
        self,
        answerer: Answerer,
        read_visitor: Callable[[SocketHandler], Awaitable[Visitor | None]],
        accepts_visitors: bool,
    ) -> None:
        self._answerer = answerer
        self._read_visitor = read_visitor
        self._accepts_visitors = accepts_visitors

    async def prepare(self) -> None:
        visitor = await self._read_visitor(self)
        if visitor is None or "Origin" in self.request.headers:
            self.set_status(401)
            self.set_header("Connection", "close")
            self.finish({"message": "the token is missing or wrong", "reason": "unauthenticated", "details": {}})
            return
        self._visitor = visitor
        self.begin_body()

    async def _answer(self, _: str) -> None:
        if not self.takes_body():
            return
        headers = self.request.headers
        request = WireRequest(
            method=self.request.method or "GET",
            path=path_below(self.request.path, "/"),
            visitor=self._visitor,
            query=self.request.query,
            body=self.taken_body(),
            content_type=headers.get("Content-Type", ""),
            key=headers.get("Idempotency-Key"),
            is_internal=self._accepts_visitors and headers.get(INTERNAL) == "1",
        )
        await self.send_answer(self._answerer.answer(request))

    get = post = put = delete = _answer

    def log_break(self, error: Exception) -> None:
        log.warning("a stream was broken off: %s", error)

    def compute_etag(self) -> None:
        return None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What tornado refuses itself, such as a method that nothing takes."""
        reason = "method_not_allowed" if status_code == 405 else "internal"
        self.finish({"message": f"this went wrong: {self._reason}", "reason": reason, "details": {}})


class _Server(HTTPServer):
    """Hangs up on who comes while too many are there. Tornado would try to accept whom it has no descriptor for again and again, and log each time."""

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        if len(self._connections) < most_connections():
            super().handle_stream(stream, address)
        else:
            stream.close()


def most_connections() -> int:
    """What the files, sockets and pipes of a core at work leave of this process's descriptors."""
    try:
        import resource
    except ImportError:
        return 512
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return limit * 3 // 4 if 0 < limit < BACKLOG * 16 else BACKLOG * 12


def _log_nothing(handler: web.RequestHandler) -> None:
    """Requests are counted, not logged: a kernel asks often."""
