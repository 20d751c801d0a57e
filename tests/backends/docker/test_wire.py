"""Answers that flow are read whole, however they come, and who speaks no HTTP, or never comes to an end, is no answer."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

import aiohttp
import pytest

from zoe_jupyter.backends.docker import probing, wire
from zoe_jupyter.testing.backend_contract import eventually

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def server(answer: bytes, *, step: int = 1 << 20, ends: bool = True) -> AsyncIterator[str]:
    """Says that to everybody, so many bytes at a time."""

    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with suppress(OSError, EOFError):
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, len(answer), step):
                writer.write(answer[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)
            if not ends:
                await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    found = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with found:
        yield f"tcp://127.0.0.1:{found.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, handlers))


async def content(url: str) -> bytes:
    async with wire.asked(url, "GET", "/", limit_s=5) as answer:
        return await answer.read()


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + b"3\r\nabc\r\n4;of=no-use\r\ndefg\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nabcdefg",
        b"HTTP/1.0 200 OK\n\nabcdefg",
    ],
)
async def test_an_answer_is_read_whole_in_whatever_pieces_it_comes(answer: bytes, step: int) -> None:
    async with server(answer, step=step) as url:
        assert await content(url) == b"abcdefg"


@pytest.mark.parametrize(
    "answer", [CHUNKED + b"9\r\nabc", CHUNKED, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b""]
)
async def test_an_answer_that_breaks_off_is_none(answer: bytes) -> None:
    async with server(answer) as url:
        with pytest.raises(wire.BROKEN):
            await content(url)


async def test_an_answer_that_stands_still_is_none_though_it_had_begun() -> None:
    async with server(CHUNKED + b"3\r\nabc\r\n", ends=False) as url:
        with pytest.raises(aiohttp.ServerTimeoutError):
            async with wire.asked(url, "GET", "/", limit_s=5, pause_s=0.2) as answer:
                await asyncio.wait_for(answer.read(), 10)


async def test_lines_and_frames_are_found_wherever_they_are_cut() -> None:
    said = [b'{"a": 1}\r\n{"b"', b": 2}\n\n", b'{"c": 3}\n']
    assert [each async for each in wire.lines(_flow(said))] == [{"a": 1}, {"b": 2}, {"c": 3}]
    framed = b"\1\0\0\0\0\0\0\3abc" + b"\2\0\0\0\0\0\0\0" + b"\1\0\0\0\0\0\0\4defg"
    for step in range(1, len(framed) + 1):
        parts = [framed[start : start + step] for start in range(0, len(framed), step)]
        assert b"".join([each async for each in wire.frames(_flow(parts))]) == b"abcdefg"


async def _flow(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("head", "is_there"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Security-Policy: " + b"x" * 60_000 + b"\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
        (b"HTTP/1.1 503 Later\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"HTTP/1.1 nonsense\r\n\r\n", False),
        (b"HTTP/1.1\r\n\r\n", False),
        (b"x" * 100_000, False),
        (b"", False),
    ],
)
async def test_a_page_is_there_when_it_answers_in_whatever_way_but_with_an_error(head: bytes, is_there: bool) -> None:
    async with server(head) as url:
        assert await probing._answers(url, "/a page?x=1") is is_there


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_page_that_comes_to_no_begin_is_not_there(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_ANSWER_S", 0.2)
    async with server(said, ends=False) as url:
        assert not await probing._answers(url, "/")


async def test_nobody_there_is_no_page() -> None:
    async with server(b"") as url:
        pass
    assert not await probing._answers(url, "/")


@contextmanager
def silent(folder: Path) -> Iterator[list[str]]:
    """Where nobody says a word: connections are taken, over TCP and on a socket of this machine, or wait to be taken."""
    with ExitStack() as stack:
        taken = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        near = stack.enter_context(socket.socket(socket.AF_UNIX))
        near.bind(str(folder / "s"))
        near.listen()
        yield [*(f"tcp://127.0.0.1:{each.getsockname()[1]}" for each in (taken, full)), f"unix://{folder / 's'}"]


@pytest.mark.parametrize("is_private", [False, True])
async def test_who_gives_up_while_a_connection_is_made_leaves_none(is_private: bool) -> None:
    """However far it is: the loop is given so many turns before."""
    tls = ssl.create_default_context() if is_private else None
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, silent(Path(folder)) as urls:
        before = sockets()
        for url, turns in product(urls, range(12)):
            asking = asyncio.ensure_future(ask(url, tls))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await eventually(partial(_are_closed, before))


async def ask(url: str, tls: ssl.SSLContext | None) -> None:
    async with wire.asked(url, "GET", "/", limit_s=20, tls=tls):
        pass


def sockets() -> set[str]:
    """That this process has open."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            links.append(os.readlink(each))
    return {link for link in links if link.startswith("socket:")}


async def _are_closed(before: set[str]) -> bool:
    return sockets() <= before
