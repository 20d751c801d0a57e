"""HTTP for answers that flow, or hang: read on the loop, so that they hold no thread, and who gives up closes the connection, which the other side notices."""

from __future__ import annotations

import asyncio
import json
import ssl
import string
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from zoe_jupyter.backends.containers.connections import keep_alive

BROKEN = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, asyncio.TimeoutError)
"""What is raised where nobody answers, or no HTTP."""
_CHUNK = 65536
_FRAME_HEAD = 8
_LONGEST_HEAD = 100
_TLS_PORT, _PLAIN_PORT = 2376, 2375


@dataclass(frozen=True, slots=True)
class Answer:
    """``content`` is to be read once, while it is open."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader

    async def content(self) -> AsyncIterator[bytes]:
        """Raises one of ``BROKEN`` when it ends before its end."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int((await self.reader.readline()).partition(b";")[0] or b"!", 16):
                async for part in self._exactly(size):
                    yield part
                await self.reader.readline()
        elif "content-length" in self.headers:
            async for part in self._exactly(int(self.headers["content-length"])):
                yield part
        else:
            while part := await self.reader.read(_CHUNK):
                yield part

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            part = await self.reader.read(min(size, _CHUNK))
            if not part:
                raise EOFError("the connection was closed in the middle of an answer")
            size -= len(part)
            yield part


@asynccontextmanager
async def asked(
    url: str,
    method: str,
    target: str,
    *,
    limit_s: float | None,
    tls: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> AsyncIterator[Answer]:
    """The answer to one request, over a connection of its own to ``unix://`` or ``tcp://``; ``limit_s`` until it begins. Raises one of ``BROKEN``."""
    opened: list[asyncio.StreamWriter] = []

    async def begin() -> Answer:
        reader, writer = await _connected(url, tls)
        opened.append(writer)
        writer.write(_request(url, method, target, headers or {}, body))
        return await _head(reader)

    try:
        yield await asyncio.wait_for(begin(), limit_s)
    finally:
        for writer in opened:
            writer.transport.abort()


async def _connected(url: str, tls: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    at = urlsplit(url)
    if at.scheme == "unix":
        return await asyncio.open_unix_connection(url.removeprefix("unix://"))
    port = at.port or (_TLS_PORT if tls else _PLAIN_PORT)
    reader, writer = await asyncio.open_connection(at.hostname, port, ssl=tls)
    keep_alive(writer.get_extra_info("socket"))
    return reader, writer


def _request(url: str, method: str, target: str, headers: Mapping[str, str], body: Any) -> bytes:
    at = urlsplit(url)
    content = b"" if body is None else json.dumps(body).encode()
    all_headers = {"Host": at.netloc or "localhost", "Connection": "close", "Accept-Encoding": "identity", **headers}
    if body is not None:
        all_headers |= {"Content-Type": "application/json"}
    if method != "GET":
        all_headers |= {"Content-Length": str(len(content))}
    path = quote(target, safe=string.punctuation)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in all_headers.items()), "", ""]
    return "\r\n".join(lines).encode() + content


async def _head(reader: asyncio.StreamReader) -> Answer:
    version, _, rest = (await reader.readline()).decode("latin-1").partition(" ")
    if not version.startswith("HTTP/"):
        raise ValueError("what answers speaks no HTTP")
    headers = {}
    for _ in range(_LONGEST_HEAD):
        line = (await reader.readline()).decode("latin-1").strip()
        if not line:
            break
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Answer(int(rest.strip().partition(" ")[0]), headers, reader)


async def lines(content: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """Of JSON."""
    rest = b""
    async for chunk in content:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield json.loads(line)


async def frames(content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was said on both outputs of a command or a container, without the head that the engine puts before each part."""
    waiting, left = bytearray(), 0
    async for chunk in content:
        waiting += chunk
        while waiting and (left or len(waiting) >= _FRAME_HEAD):
            if not left:
                left = int.from_bytes(waiting[4:_FRAME_HEAD], "big")
                del waiting[:_FRAME_HEAD]
                continue
            part = bytes(waiting[:left])
            del waiting[: len(part)]
            left -= len(part)
            yield part
