"""What idle means: an application may say so itself; else it is no lease and next to no CPU."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from zoe_jupyter.backends.base import Address, Usage
from zoe_jupyter.engine import sampling
from zoe_jupyter.model.execution import Execution, Outcome, State
from zoe_jupyter.testing.house import House

BUSY_PROBE = {"cluster": {"http": "ui", "path": "/jobs", "busy": "{{ answer.running > 0 }}"}}


class Page(BaseHTTPRequestHandler):
    running = 1

    def do_GET(self) -> None:
        body = json.dumps({"running": Page.running}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def page() -> Iterator[int]:
    """The port of an application that says how many jobs it runs."""
    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(5)


async def _running(house: House) -> Execution:
    return await house.until_state(State.RUNNING, await house.submit(lifetime={"idle": "1h"}))


def _ask(house: House, execution: Execution, port: int) -> None:
    """Let the execution have an activity probe, and its head's page be at ``port``."""
    services = dict(execution.services)
    head = services["cluster.head-0"]
    services["cluster.head-0"] = replace(head, ports={**head.ports, "ui": port})
    application = replace(execution.application, activity=BUSY_PROBE)
    house.core._ledger.executions[execution.id] = replace(execution, services=services, application=application)


async def test_what_the_application_says_counts(house: House, page: int) -> None:
    """Busy by its own word though nothing uses CPU, idle by its own word though something does."""
    execution = await _running(house)
    _ask(house, execution, page)

    Page.running = 0
    await house.core._sampler.sample()
    assert (await house.get(execution)).idle_since is not None
    Page.running = 3
    await house.core._sampler.sample()

    assert (await house.get(execution)).idle_since is None


async def test_one_that_never_stops_answering_keeps_nobody_else_from_being_idle(
    house: House, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its pieces comes in time, and the answer has no end."""
    monkeypatch.setattr(sampling, "ASKED_S", 0.3)
    slow, idle = await _running(house), await _running(house)

    async with await asyncio.start_server(_drip, "127.0.0.1", 0) as server:
        _ask(house, slow, server.sockets[0].getsockname()[1])
        _ask(house, idle, page)
        Page.running = 0
        await asyncio.wait_for(house.core._sampler.sample(), 10)

    assert (await house.get(idle)).idle_since is not None
    assert (await house.get(slow)).idle_since is None, "by its CPU, since nobody knows what it says"


async def test_whatever_one_answers_keeps_nobody_else_from_being_idle(house: House, page: int) -> None:
    """Python's own reader of JSON gives up where lists are nested so deep, in another way than where it is wrong."""
    odd, idle = await _running(house), await _running(house)

    async with await asyncio.start_server(_nested, "127.0.0.1", 0) as server:
        _ask(house, odd, server.sockets[0].getsockname()[1])
        _ask(house, idle, page)
        Page.running = 0
        await house.core._sampler.sample()

    assert (await house.get(idle)).idle_since is not None


async def test_one_to_which_the_way_is_long_keeps_nobody_else_from_being_idle(
    house: House, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "ASKED_S", 0.3)
    far, idle = await _running(house), await _running(house)
    _ask(house, far, page)
    _ask(house, idle, page)
    Page.running, reach = 0, house.backend.reach

    async def hang(execution_id: str, service: str, attempt: int, inside: Address) -> Address:
        if execution_id == far.id:
            await asyncio.Event().wait()
        return await reach(execution_id, service, attempt, inside)

    monkeypatch.setattr(house.backend, "reach", hang)
    await asyncio.wait_for(house.core._sampler.sample(), 10)

    assert (await house.get(idle)).idle_since is not None


async def test_an_application_sends_zoe_to_no_other_address(house: House, page: int) -> None:
    execution = await _running(house)

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 302 Found\r\nLocation: http://127.0.0.1:%d/jobs\r\n\r\n" % page)
        writer.close()

    async with await asyncio.start_server(redirect, "127.0.0.1", 0) as server:
        _ask(house, execution, server.sockets[0].getsockname()[1])
        Page.running = 0
        await house.core._sampler.sample()

    assert (await house.get(execution)).idle_since is None


async def _nested(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 10**6)
    writer.close()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)


async def test_without_a_word_little_cpu_and_no_lease_are_idle_and_end_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = await _running(house)

    async def usage() -> list[Usage]:
        return [Usage(execution.id, "cluster.head-0", 0.001, 1)]

    monkeypatch.setattr(house.backend, "usage", usage)
    await house.core._sampler.sample()
    assert (await house.get(execution)).idle_since is not None
    house.clock.ahead_s += 3601
    await house.core._loop.let_time_pass()

    assert (await house.until_state(State.ENDED, execution)).outcome is Outcome.EXPIRED
