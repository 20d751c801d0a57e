"""Requests to the core of another Jupyter server of the same user, over its socket. Answers come in pieces, as fast as they are read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tornado.httputil import HTTPHeaders

from zoe_jupyter.server.files import Address
from zoe_jupyter.server.sockets import FORWARDED, INTERNAL, packed
from zoe_jupyter.server.wire import API_PATH, CoreGone, CoreStopped, WireAnswer, WireRequest, cancelled

CONNECT_S = 5.0
ANSWER_S = 300.0
LOOK_S = 2.0
"""How long an answer is waited for before looking whether its process can give one at all."""
PIECE_BYTES = 65536
LINE_LIMIT = 65536
KEPT = ("content-type", "cache-control", "content-security-policy", "x-content-type-options", "retry-after")


@dataclass(frozen=True, slots=True)
class RemoteCore:
    """An ``Answerer`` behind an address."""

    address: Address

    async def answer(self, request: WireRequest) -> WireAnswer:
        """Raises CoreGone when the answer did not begin."""
        reader, writer = await self._connected()
        try:
            writer.write(self._head(request) + request.body)
            await writer.drain()
            status, headers = await self._begun(reader)
            if status == 401:
                raise CoreGone("the core has another token now")
            kept = {name.title(): headers[name] for name in KEPT if name in headers}
            if "chunked" in headers.get("transfer-encoding", "").lower():
                return WireAnswer(status, _chunks(reader, writer), kept)
            body = await asyncio.wait_for(reader.readexactly(int(headers.get("content-length", "0"))), ANSWER_S)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            writer.close()
            raise CoreGone(f"the core ended before it answered ({error})") from error
        except BaseException:
            writer.close()
            raise
        writer.close()
        return WireAnswer(status, body, kept)

    async def _begun(self, reader: asyncio.StreamReader) -> tuple[int, HTTPHeaders]:
        """Status and headers; raises CoreStopped when the process cannot give them, CoreGone when they take too long."""
        deadline = time.monotonic() + ANSWER_S
        reading = asyncio.ensure_future(_read_head(reader))
        try:
            while not (await asyncio.wait({reading}, timeout=LOOK_S))[0]:
                if self.address.is_stopped:
                    raise CoreStopped(f"process {self.address.pid}, which holds the core, is stopped")
                if time.monotonic() > deadline:
                    raise CoreGone(f"the core did not answer within {ANSWER_S:g} s")
            return reading.result()
        finally:
            await cancelled(reading)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            if path := self.address.socket_path:
                return await asyncio.wait_for(asyncio.open_unix_connection(path, limit=LINE_LIMIT), CONNECT_S)
            parts = urlsplit(self.address.address)
            return await asyncio.wait_for(
                asyncio.open_connection(parts.hostname, parts.port, limit=LINE_LIMIT), CONNECT_S
            )
        except (OSError, asyncio.TimeoutError) as error:
            raise CoreGone(f"the core cannot be reached ({error})") from error

    def _head(self, request: WireRequest) -> bytes:
        lines = [
            f"{request.method} /{API_PATH}{_target(request)} HTTP/1.1",
            "Host: zoe",
            f"Authorization: token {self.address.token}",
            f"{FORWARDED}: {packed(request.visitor)}",
            f"Content-Length: {len(request.body)}",
            "Connection: close",
        ]
        if request.is_internal:
            lines.append(f"{INTERNAL}: 1")
        if request.content_type:
            lines.append(f"Content-Type: {_one_line(request.content_type)}")
        if request.key is not None:
            lines.append(f"Idempotency-Key: {_one_line(request.key)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def _target(request: WireRequest) -> str:
    """Path and query with everything percent-encoded that has no place in the first line of a request."""
    return quote(f"{request.path}{'?' if request.query else ''}{request.query}", safe="/?%!$&'()*+,;:=@[]")


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, HTTPHeaders]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, _, rest = head.decode("latin-1").partition("\r\n")
    return int(first.split(" ", 2)[1]), HTTPHeaders.parse(rest)


async def _chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    try:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            while size:
                piece = await reader.readexactly(min(size, PIECE_BYTES))
                size -= len(piece)
                yield piece
            await reader.readexactly(2)
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise CoreGone("the core ended in the middle of its answer") from error
    finally:
        writer.close()
