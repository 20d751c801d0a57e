"""Between tornado's handlers and the wire: collects a body with a limit, and writes answers out as fast as the reader takes them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import suppress
from typing import Any

from tornado import web
from tornado.iostream import StreamClosedError

from zoe_jupyter.server.wire import BODY_LIMIT_BYTES, CoreGone, WireAnswer, close_body

THROWN_AWAY_BYTES = 64 * 1024 * 1024
"""A body up to this size is read to its end though it is refused: who is cut off while sending never reads why."""
HELD_BYTES = 64 * 1024 * 1024
"""Of all bodies that are arriving or being worked on; who would exceed it is told to come back."""
BODY_S = 30.0
"""How long a body may take to arrive."""
TOO_LARGE = {"message": f"a body may have {BODY_LIMIT_BYTES // 1024} KiB", "reason": "too_large", "details": {}}


TOO_MUCH = {
    "message": "too much is being sent to Zoe at this moment; nothing was done, send it again in 1 s",
    "reason": "too_many_requests",
    "details": {"retry_after_s": 1.0},
}
TOO_SLOW = {"message": f"the body did not arrive within {BODY_S:g} s", "reason": "timeout", "details": {}}


def _is_beyond(length: str) -> bool:
    """Whether it says that more comes than is even thrown away; with more digits than these Python reads no number."""
    return length.isascii() and length.isdigit() and (len(length) > 18 or int(length) > THROWN_AWAY_BYTES)


class _Held:
    """What the bodies in this process take; its threads serve different sockets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes = 0

    def add(self, size: int) -> None:
        with self._lock:
            self.bytes += size


held = _Held()


class Carrier(web.RequestHandler):
    """Mix-in for handlers decorated with ``stream_request_body``."""

    _sending: asyncio.Task[None] | None = None
    _body_timer: asyncio.TimerHandle | None = None
    _held = 0
    _is_one_too_many = False

    def begin_body(self) -> None:
        """To be called by ``prepare``, once the caller is known; a body that says it is too large is refused before it comes."""
        self._parts: list[bytes] = []
        self._received = 0
        headers = self.request.headers
        length = headers.get("Content-Length", "0")
        if _is_beyond(length):
            self.refuse_body()
        elif length != "0" or "Transfer-Encoding" in headers:
            self._body_timer = asyncio.get_running_loop().call_later(BODY_S, self._refuse, 408, TOO_SLOW)

    def data_received(self, chunk: bytes) -> None:
        if self._finished:
            return
        self._received += len(chunk)
        if self._received > THROWN_AWAY_BYTES:
            self.refuse_body()
        elif self._received > BODY_LIMIT_BYTES or self._is_one_too_many:
            self._let_go()
        elif held.bytes + len(chunk) > HELD_BYTES:
            self._is_one_too_many = True
            self._let_go()
        else:
            self._parts.append(chunk)
            self._held += len(chunk)
            held.add(len(chunk))

    def refuse_body(self) -> None:
        self._refuse(413, TOO_LARGE)

    def _refuse(self, status: int, why: Mapping[str, Any]) -> None:
        if not self._finished:
            self.set_status(status)
            self.set_header("Connection", "close")
            self.finish(dict(why))

    def _let_go(self) -> None:
        """Of the body, and of the time that it had."""
        held.add(-self._held)
        self._held = 0
        self._parts = []
        if self._finished:
            self._stop_timer()

    def _stop_timer(self) -> None:
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def on_finish(self) -> None:
        super().on_finish()
        self._let_go()

    def takes_body(self) -> bool:
        """Whether the body is one to work with; else it is answered already."""
        self._stop_timer()
        if not self._finished and self._received > BODY_LIMIT_BYTES:
            self.refuse_body()
        elif not self._finished and self._is_one_too_many:
            self.set_header("Retry-After", "1")
            self._refuse(429, TOO_MUCH)
        return not self._finished

    def taken_body(self) -> bytes:
        return b"".join(self._parts)

    async def send_answer(self, asked: Awaitable[WireAnswer]) -> None:
        """Send what is answered; hang up where Zoe ends, as its server does a moment later."""
        try:
            answer = await asked
        except CoreGone:
            self._hang_up()
        else:
            await self.send(answer)

    async def send(self, answer: WireAnswer) -> None:
        """Write it out; a reader that goes away ends a stream at its source."""
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        if isinstance(answer.body, bytes):
            with suppress(StreamClosedError):
                await self.finish_as(answer.body, answer.headers.get("Content-Type", ""))
            return
        await self.send_stream(answer.body, answer.headers.get("Content-Type", ""))

    async def send_stream(self, chunks: AsyncIterator[bytes], media: str = "") -> None:
        """Write pieces as they come, after the head that was set."""
        self._sending = asyncio.ensure_future(self._pump(chunks, media))
        with suppress(asyncio.CancelledError, StreamClosedError):
            await self._sending

    async def finish_as(self, last: bytes, media: str) -> None:
        """End the answer."""
        if self.get_status() == 204:
            self.clear_header("Content-Type")
        await self.finish(last or None)

    async def _pump(self, chunks: AsyncIterator[bytes], media: str) -> None:
        try:
            await web.RequestHandler.flush(self)
            async for chunk in chunks:
                self.write(chunk)
                await web.RequestHandler.flush(self)
        except (StreamClosedError, asyncio.CancelledError):
            raise
        except Exception as error:
            # Without the chunk that ends it, the reader sees that this was not all.
            if not isinstance(error, CoreGone):
                self.log_break(error)
            self._hang_up()
            raise StreamClosedError from error
        finally:
            await close_body(chunks)
        await self.finish_as(b"", media)

    def _hang_up(self) -> None:
        self._auto_finish = False
        self.request.connection.detach().close()  # type: ignore[union-attr]

    def log_break(self, error: Exception) -> None:
        """Say that a stream was broken off."""

    def on_connection_close(self) -> None:
        self._stop_timer()
        self._let_go()
        if self._sending is not None:
            self._sending.cancel()
