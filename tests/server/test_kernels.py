"""The kernel manager of this server is the truth about its kernels."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from contextlib import closing

import pytest

from zoe_jupyter.server import kernels
from zoe_jupyter.server.files import read_address
from zoe_jupyter.server.home import Home
from zoe_jupyter.server.kernels import Desk, KernelWitness
from zoe_jupyter.server.wire import Visitor, WireAnswer, WireRequest
from zoe_jupyter.testing.fake_core import FakeCore

VISITOR = Visitor("me", True, "s1")


async def until(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "this did not come about"
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(kernels, "LOOK_S", 0.02)


@pytest.fixture
def store(tmp_path):
    """A store as the real one leaves it, with one execution that lives."""
    file = tmp_path / "zoe.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE zoe_executions (id TEXT, state TEXT)")
        connection.execute("INSERT INTO zoe_executions VALUES ('e1', 'running')")
        connection.commit()
    return file


@pytest.fixture
async def home(tmp_path, core: FakeCore):
    async def open_core():
        return core

    home = Home(tmp_path, open_core, VISITOR)
    yield home
    await home.close()


@pytest.fixture
async def witness(tmp_path, home):
    """Watches a list of kernel ids, ``witness.ids``."""
    ids: list[str] = ["k1"]
    found = KernelWitness(home, Desk(home), VISITOR, kernel_ids=lambda: list(ids), database=tmp_path / "zoe.db")
    found.ids = ids
    task = asyncio.ensure_future(found.watch())
    yield found
    task.cancel()
    await asyncio.wait({task})


async def test_a_core_that_nobody_needs_is_not_opened(witness, home):
    await asyncio.sleep(0.2)
    assert not home.is_seated


async def test_executions_that_live_wake_the_core(store, witness, home, core):
    await until(lambda: core.alive == {"s1": ("k1",)})
    assert home.holds_core


async def test_with_a_database_server_the_core_is_opened_to_look(home, core):
    witness = KernelWitness(home, Desk(home), VISITOR, kernel_ids=list, database=None)
    task = asyncio.ensure_future(witness.watch())
    await until(lambda: home.holds_core)
    task.cancel()
    await asyncio.wait({task})


async def test_each_change_is_told(witness, home, core):
    await home.answer(WireRequest("GET", "info", VISITOR))
    await until(lambda: core.alive == {"s1": ("k1",)})
    witness.ids.append("k2")
    await until(lambda: core.alive == {"s1": ("k1", "k2")})
    witness.ids.clear()
    await until(lambda: core.alive == {"s1": ()})


async def test_it_is_told_again_and_again(witness, home, core, monkeypatch):
    monkeypatch.setattr(kernels, "REPORT_S", 0.05)
    await home.answer(WireRequest("GET", "info", VISITOR))
    await until(lambda: core.alive)
    core.alive.clear()
    await until(lambda: core.alive)


async def test_a_report_never_overtakes_a_new_kernels_lease():
    """A lease waits while a report is on its way, and a report while a lease is."""
    release, events = asyncio.Event(), []

    class Slow:
        is_seated = True

        async def answer(self, request):
            events.append(f"begin {request.path}")
            await release.wait()
            events.append(f"end {request.path}")
            return WireAnswer(200)

    home = Slow()
    desk = Desk(home)
    witness = KernelWitness(home, desk, VISITOR, kernel_ids=list, database=None)
    report = asyncio.ensure_future(witness.report())
    await until(lambda: events)
    lease = asyncio.ensure_future(desk.answer(WireRequest("POST", "executions/e1/leases", VISITOR)))
    other = asyncio.ensure_future(desk.answer(WireRequest("GET", "executions", VISITOR)))
    await until(lambda: "begin executions" in events)
    assert "begin executions/e1/leases" not in events, "others do not wait"
    release.set()
    await asyncio.gather(report, lease, other)
    assert events.index("end servers/s1/kernels") < events.index("begin executions/e1/leases")


async def test_a_kernel_finds_the_server_by_the_file_that_its_environment_names(jp_serverapp, http_server, zoe):
    address = read_address(zoe.presence.file)
    assert os.environ["ZOE_CONNECTION_FILE"] == str(zoe.presence.file)
    assert os.environ["PYTHONPATH"].split(os.pathsep)[-1].startswith(str(zoe.presence.folder / "lent"))
    assert zoe.presence.file.stat().st_mode & 0o777 == 0o600
    assert address.pid == os.getpid()
    assert address.token != jp_serverapp.identity_provider.token
    await until(lambda: read_address(zoe.presence.file).url == jp_serverapp.connection_url)


async def test_the_file_goes_with_the_server(zoe):
    await zoe.stop_extension()
    assert not zoe.presence.file.exists()
    assert "ZOE_CONNECTION_FILE" not in os.environ


async def test_a_kernels_request_is_one_of_this_server(http_server, zoe, core):
    address = read_address(zoe.presence.file)
    reader, writer = await asyncio.open_unix_connection(address.socket_path)
    body = json.dumps({"use": "spark", "client": {"kernel_id": "k1"}, "lease": "kernel"}).encode()
    head = f"POST /zoe/api/executions HTTP/1.1\r\nHost: zoe\r\nAuthorization: token {address.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    assert b"201" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert core.submissions[0].client.server == zoe.visitor.server
    (lease,) = core.lease_by_id.values()
    assert lease.expires_at is None
