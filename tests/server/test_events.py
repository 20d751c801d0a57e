"""The event stream: as a WebSocket for browsers, as lines for kernels."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace

from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.server import jupyter_handlers
from zoe_jupyter.server.files import read_address
from zoe_jupyter.server.handlers import events
from zoe_jupyter.server.wire import WireRequest
from zoe_jupyter.testing.fake_core import FakeCore


async def message(connection, timeout_s: float = 10.0) -> dict:
    return json.loads(await asyncio.wait_for(connection.read_message(), timeout_s))


async def submit(zoe, name: str, owner: str = "") -> None:
    """Through the front door, so that it happens on the core's loop."""
    visitor = zoe.visitor
    body = json.dumps({"use": "spark", "name": name}).encode()
    await zoe.desk.answer(WireRequest("POST", "executions", visitor, body=body))


async def test_a_stream_begins_with_its_position_and_goes_on(jp_ws_fetch, zoe):
    await submit(zoe, "before")
    connection = await jp_ws_fetch("zoe", "api", "events")
    opened = await message(connection)
    assert (opened["kind"], opened["seq"]) == ("stream.opened", 1)
    await submit(zoe, "after")
    event = await message(connection)
    assert (event["seq"], event["kind"]) == (2, "execution.submitted")
    connection.close()


async def test_a_reader_that_comes_back_misses_nothing(jp_ws_fetch, zoe):
    for name in "abc":
        await submit(zoe, name)
    connection = await jp_ws_fetch("zoe", "api", "events", params={"since": 1})
    assert [(await message(connection))["seq"] for _ in range(3)] == [1, 2, 3]
    connection.close()


async def test_a_slow_reader_is_told_to_come_back(jp_ws_fetch, core: FakeCore, zoe):
    await submit(zoe, "a")
    core.is_slow_reader = True
    connection = await jp_ws_fetch("zoe", "api", "events", params={"since": 0})
    assert (await message(connection))["kind"] == "stream.opened"
    assert await asyncio.wait_for(connection.read_message(), 10) is None
    connection.close()
    assert connection.close_code == 4008


async def test_a_bad_since_closes_with_the_reason(jp_ws_fetch, zoe):
    connection = await jp_ws_fetch("zoe", "api", "events", params={"since": "x"})
    assert await asyncio.wait_for(connection.read_message(), 10) is None
    connection.close()
    assert connection.close_code == 4422
    assert "since" in connection.close_reason


async def test_a_reader_that_goes_away_leaves_nothing_behind(jp_ws_fetch, core: FakeCore, zoe, monkeypatch):
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()
    real = FakeCore.events

    async def watched(self, *args, **kwargs):
        try:
            async for event in real(self, *args, **kwargs):
                yield event
        finally:
            loop.call_soon_threadsafe(closed.set)

    monkeypatch.setattr(FakeCore, "events", watched)
    connection = await jp_ws_fetch("zoe", "api", "events")
    await message(connection)
    connection.close()
    await asyncio.wait_for(closed.wait(), 10)


class Lines:
    """A kernel's view: one long answer over the server's own socket."""

    def __init__(self, zoe, path: str = "events?follow=1") -> None:
        self._zoe = zoe
        self._path = path

    async def __aenter__(self) -> Lines:
        address = read_address(self._zoe.presence.file)
        assert address is not None
        self.reader, self.writer = await asyncio.open_unix_connection(address.socket_path)
        head = f"GET /zoe/api/{self._path} HTTP/1.1\r\nHost: zoe\r\nAuthorization: token {address.token}\r\n\r\n"
        self.writer.write(head.encode())
        self.head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode()
        return self

    async def __aexit__(self, *args) -> None:
        self.writer.close()

    async def line(self) -> bytes:
        size = int(await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 10), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self):
        """Line by line, to the end."""
        rest = b""
        while chunk := await self.line():
            *complete, rest = (rest + chunk).split(b"\n")
            for line in complete:
                yield line


async def test_kernels_read_lines_over_the_servers_own_socket(zoe):
    async with Lines(zoe) as lines:
        assert "200 OK" in lines.head
        assert "application/x-ndjson" in lines.head
        assert json.loads(await lines.line())["kind"] == "stream.opened"
        await submit(zoe, "a")
        assert json.loads(await lines.line())["kind"] == "execution.submitted"


async def test_silent_streams_give_signs_of_life(zoe, monkeypatch):
    monkeypatch.setattr(events, "KEEP_ALIVE_S", 0.05)
    async with Lines(zoe) as lines:
        await lines.line()
        assert await lines.line() == b"\n"
        await submit(zoe, "a")
        deadline = time.monotonic() + 10
        while (line := await lines.line()) == b"\n":
            assert time.monotonic() < deadline
        assert json.loads(line)["seq"] == 1


async def test_a_follower_of_logs_gets_them_as_they_come(jp_fetch, core: FakeCore, zoe):
    await submit(zoe, "a")
    got = []
    first = asyncio.Event()

    def take(chunk: bytes) -> None:
        got.append(chunk)
        if b"second line" in b"".join(got):
            first.set()

    following = asyncio.ensure_future(
        jp_fetch(
            "zoe", "api", "executions", "a", "logs", params={"follow": "1"}, streaming_callback=take, request_timeout=30
        )
    )
    await asyncio.wait_for(first.wait(), 10)
    assert b"".join(got) == b"first line\nsecond line\n"
    following.cancel()
    await asyncio.wait({following})


def test_events_of_others_are_not_told():
    async def seen() -> list[str]:
        core = FakeCore()
        for owner in ("me", "you"):
            await core.submit(Submission(use="spark"), Caller(owner), key=None)
        return [event.owner async for event in core.events(Caller("me"), since=0, follow=False)]

    assert asyncio.run(seen()) == ["me"]


async def test_a_reader_that_stops_reading_is_let_go(
    http_server, jp_http_port, jp_base_url, jp_auth_header, core, zoe, monkeypatch
):
    monkeypatch.setattr(jupyter_handlers, "SLOW_S", 0.3)
    relays: list[asyncio.Task] = []
    real = jupyter_handlers.EventsHandler._relay

    async def watched(self):
        relays.append(asyncio.current_task())
        await real(self)

    monkeypatch.setattr(jupyter_handlers.EventsHandler, "_relay", watched)
    await submit(zoe, "a")
    core.log[:] = [replace(core.log[0], seq=number, data={"text": "x" * 100_000}) for number in range(1, 400)]
    reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port, limit=1024)
    lines = [
        f"GET {jp_base_url}zoe/api/events?since=0 HTTP/1.1",
        f"Host: 127.0.0.1:{jp_http_port}",
        f"Authorization: {jp_auth_header['Authorization']}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    assert b"101" in await asyncio.wait_for(reader.readline(), 10)
    deadline = time.monotonic() + 20
    while not (relays and relays[0].done()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    writer.close()


async def test_a_reader_of_lines_that_takes_too_long_is_told_from_where_to_come_back(zoe, core: FakeCore, monkeypatch):
    monkeypatch.setattr(events, "SLOW_S", 0.2)
    await submit(zoe, "a")
    core.log[:] = [replace(core.log[0], seq=number, data={"text": "x" * 20_000}) for number in range(1, 2000)]
    async with Lines(zoe, "events?follow=1&since=0") as lines:
        await asyncio.sleep(1.0)
        found = [json.loads(text) for text in [line async for line in lines.rest()] if text.strip()]
    *told, last = found
    assert last["reason"] == "resume"
    assert last["details"] == {"since": told[-1]["seq"]}
    assert [event["seq"] for event in told[1:]] == list(range(1, told[-1]["seq"] + 1))
    async with Lines(zoe, f"events?follow=1&since={told[-1]['seq']}") as lines:
        await lines.line()
        assert json.loads((await lines.line()).split(b"\n")[0])["seq"] == told[-1]["seq"] + 1


async def test_a_reader_from_after_the_newest_event_is_told_where_the_log_ends_now(zoe):
    """Its number is of a log that is gone: what happens from now on must not be kept from it."""
    await submit(zoe, "a")
    async with Lines(zoe, "events?follow=1&since=500") as lines:
        assert json.loads(await lines.line())["seq"] == 1
        await submit(zoe, "b")
        assert json.loads(await lines.line())["seq"] == 2
