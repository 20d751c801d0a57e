"""HTTP for answers that flow, or hang: read on the loop, so that they hold no thread, and who gives up closes the connection, which the other side notices."""

from __future__ import annotations

import asyncio
import json
import ssl
import string
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL

from zoe_jupyter.backends.containers import connections

BROKEN = (*connections.BROKEN, ValueError)
"""What is raised where nobody answers, or no HTTP, or what comes is no JSON."""
_FRAME_HEAD = 8
_TLS_PORT, _PLAIN_PORT = 2376, 2375
_AS_IT_IS = {"Accept-Encoding": "identity"}


@asynccontextmanager
async def asked(
    url: str,
    method: str,
    target: str,
    *,
    limit_s: float | None,
    pause_s: float | None = None,
    tls: ssl.SSLContext | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to one request, over a connection of its own to ``unix://`` or ``tcp://``. Raises one of ``BROKEN``.

    ``limit_s`` until it begins, ``pause_s`` until more of it comes.
    """
    base, connector = _way(url, tls)
    limits = aiohttp.ClientTimeout(total=None, sock_read=pause_s)
    session = aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, timeout=limits,
        max_line_size=connections.LONGEST_LINE, max_field_size=connections.LONGEST_LINE,
    )  # fmt: skip
    async with session:
        whole = URL(base + quote(target, safe=string.punctuation), encoded=True)
        asking = session.request(
            method, whole, headers=_AS_IT_IS | dict(headers or {}), json=body, allow_redirects=False
        )
        async with await asyncio.wait_for(asking, limit_s) as answer:
            connections.keep_answer_alive(answer)
            try:
                yield answer
            finally:
                connections.break_off(answer)


def _way(url: str, tls: ssl.SSLContext | None) -> tuple[str, aiohttp.BaseConnector]:
    at = urlsplit(url)
    if at.scheme == "unix":
        return "http://localhost", aiohttp.UnixConnector(url.removeprefix("unix://"), force_close=True)
    host = f"[{at.hostname}]" if ":" in (at.hostname or "") else at.hostname
    scheme, port = ("https", _TLS_PORT) if tls else ("http", _PLAIN_PORT)
    return f"{scheme}://{host}:{at.port or port}", aiohttp.TCPConnector(ssl=tls or True, force_close=True)


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
