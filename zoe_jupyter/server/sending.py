"""Between tornado's handlers and the wire: collects a body with a limit, and writes answers out as fast as the reader takes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from tornado import web
from tornado.iostream import StreamClosedError

from zoe_jupyter.server.wire import BODY_LIMIT_BYTES, WireAnswer, close_body

THROWN_AWAY_BYTES = 64 * 1024 * 1024
"""A body up to this size is read to its end though it is refused: who is cut off while sending never reads why."""
TOO_LARGE = {"message": f"a body may have {BODY_LIMIT_BYTES // 1024} KiB", "reason": "too_large", "details": {}}


class Carrier(web.RequestHandler):
    """Mix-in for handlers decorated with ``stream_request_body``."""

    _sending: asyncio.Task[None] | None = None

    def begin_body(self) -> None:
        """To be called by ``prepare``, once the caller is known; a body that says it is too large is refused before it comes."""
        self._parts: list[bytes] = []
        self._received = 0
        length = self.request.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > THROWN_AWAY_BYTES:
            self.refuse_body()

    def data_received(self, chunk: bytes) -> None:
        if self._finished:
            return
        self._received += len(chunk)
        if self._received > THROWN_AWAY_BYTES:
            self.refuse_body()
        elif self._received > BODY_LIMIT_BYTES:
            self._parts.clear()
        else:
            self._parts.append(chunk)

    def refuse_body(self) -> None:
        self.set_status(413)
        self.set_header("Connection", "close")
        self.finish(TOO_LARGE)

    def takes_body(self) -> bool:
        """Whether the body is one to work with; else it is answered already."""
        if not self._finished and self._received > BODY_LIMIT_BYTES:
            self.refuse_body()
        return not self._finished

    def taken_body(self) -> bytes:
        return b"".join(self._parts)

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
            self.log_break(error)
            self._auto_finish = False
            self.request.connection.detach().close()  # type: ignore[union-attr]
            raise StreamClosedError from error
        finally:
            await close_body(chunks)
        await self.finish_as(b"", media)

    def log_break(self, error: Exception) -> None:
        """Say that a stream was broken off."""

    def on_connection_close(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
