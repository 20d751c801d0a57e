"""Bodies that are too large, too many, or never come to their end: refused while they arrive, on every door, with memory bounded."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.effort import is_linear
from zoe_jupyter.model.errors import UserError
from zoe_jupyter.server import reading, sending
from zoe_jupyter.server.files import read_address
from zoe_jupyter.testing.fake_core import FakeCore

MIB = 1 << 20


@pytest.fixture(params=["jupyter", "socket"])
def door(request, zoe, http_server, jp_http_port, jp_base_url, jp_auth_header):
    """Sends the head of a POST: through Jupyter, or through the socket for kernels and shells."""

    async def open_it(*headers: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if request.param == "jupyter":
            reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
            base, token = jp_base_url, jp_auth_header["Authorization"]
        else:
            address = read_address(zoe.presence.file)
            reader, writer = await asyncio.open_unix_connection(address.socket_path)
            base, token = "/", f"token {address.token}"
        lines = [f"POST {base}zoe/api/executions HTTP/1.1", "Host: 127.0.0.1", f"Authorization: {token}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        return reader, writer

    return open_it


async def answer(reader: asyncio.StreamReader) -> tuple[int, str, dict]:
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode()
    size = int(re.search(r"Content-Length: (\d+)", head)[1])
    return int(head.split()[1]), head, json.loads(await asyncio.wait_for(reader.readexactly(size), 20))


async def until_nothing_is_held() -> None:
    deadline = time.monotonic() + 10
    while sending.held.bytes:
        assert time.monotonic() < deadline, sending.held.bytes
        await asyncio.sleep(0.02)


async def test_a_body_without_a_length_is_refused_while_it_arrives(door, core: FakeCore, monkeypatch):
    monkeypatch.setattr(sending, "THROWN_AWAY_BYTES", 8 * MIB)
    reader, writer = await door("Transfer-Encoding: chunked")
    sent = 0
    with suppress(ConnectionError):
        while sent < 100 and not reader.at_eof():
            writer.write(b"100000\r\n" + b"x" * MIB + b"\r\n")
            await asyncio.wait_for(writer.drain(), 20)
            assert sending.held.bytes <= 3 * MIB
            sent += 1
    assert sent < 100
    with suppress(
        ConnectionError, asyncio.IncompleteReadError
    ):  # who sends on and on may be cut off before it reads why
        assert (await answer(reader))[0] == 413
    writer.close()
    await until_nothing_is_held()
    assert not core.by_id


@pytest.mark.parametrize("digits", [20, 5000])
async def test_a_length_beyond_all_measure_is_refused_before_anything_came(door, digits):
    """Python reads no number of more than 4300 digits."""
    reader, writer = await door(f"Content-Length: {'9' * digits}")
    assert (await answer(reader))[0] == 413
    writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 3", "Content-Length: 4"),
        ("Content-Length: -3",),
        ("Content-Length: 3", "Transfer-Encoding: chunked"),
    ],
)
async def test_lengths_that_lie_are_refused(door, headers, core: FakeCore):
    reader, writer = await door(*headers)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)
    assert b" 400 " in head
    writer.close()
    assert not core.by_id


async def test_many_bodies_that_never_end_take_no_more_than_their_share(door, monkeypatch):
    monkeypatch.setattr(sending, "HELD_BYTES", 3 * MIB)
    waiting = []
    for _ in range(2):
        reader, writer = await door("Content-Length: 2000000")
        writer.write(b"x" * 1_400_000)
        await writer.drain()
        waiting.append(writer)
    deadline = time.monotonic() + 10
    while sending.held.bytes < 2_800_000:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    reader, writer = await door("Content-Length: 2000000")
    writer.write(b"x" * 2_000_000)
    status, head, body = await answer(reader)
    assert (status, body["reason"]) == (429, "too_many_requests")
    assert "Retry-After: 1" in head
    for each in (writer, *waiting):
        each.close()
    await until_nothing_is_held()


async def test_a_body_that_does_not_come_to_its_end_is_not_waited_for(door, monkeypatch):
    monkeypatch.setattr(sending, "BODY_S", 0.3)
    reader, writer = await door("Content-Length: 100")
    writer.write(b"{")
    status, _, body = await answer(reader)
    assert (status, body["reason"]) == (408, "timeout")
    writer.close()
    await until_nothing_is_held()


async def test_a_compressed_body_is_not_unpacked(door, core: FakeCore):
    content = b"\x1f\x8b" + b"\0" * 50
    reader, writer = await door("Content-Encoding: gzip", f"Content-Length: {len(content)}", "Connection: close")
    writer.write(content)
    assert (await answer(reader))[0] == 400
    writer.close()
    assert not core.by_id


async def test_one_field_that_is_there_twice_among_very_many_is_found_at_once():
    """Whoever sends it must not keep everybody else waiting: bodies are read on the core's loop."""

    def work(count: int) -> Callable[[], None]:
        body = ("{" + ",".join(f'"k{number}":0' for number in range(count)) + ',"k7":1}').encode()

        def read() -> None:
            with pytest.raises(UserError, match="'k7' is there twice"):
                reading._json(body)

        return read

    assert is_linear(work, 20_000)
