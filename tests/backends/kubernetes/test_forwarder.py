"""The ways into pods: one that leads nowhere holds up no other."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from zoe_jupyter.backends.kubernetes import relay, sockets
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import eventually


class Server:
    """Whoever is called ``dead`` never answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_asked = asyncio.Event()

    @asynccontextmanager
    async def socket(self, path: str, query: Any, protocols: tuple[str, ...]) -> AsyncIterator[Any]:
        self.asked.append(path)
        self.is_asked.set()
        if path.startswith("dead"):
            await asyncio.Event().wait()
        yield self._messages()

    async def _messages(self) -> AsyncIterator[Any]:
        yield SimpleNamespace(type=aiohttp.WSMsgType.BINARY, data=b"\1" + relay.READY)
        await asyncio.Event().wait()


async def test_a_pod_that_does_not_answer_holds_up_no_other() -> None:
    server = Server()
    forwarder = sockets.Forwarder(server)  # type: ignore[arg-type]
    hanging = asyncio.create_task(forwarder.ports(("x1", "ada"), "dead", "192.0.2.1", [80]))
    await server.is_asked.wait()

    found = await asyncio.wait_for(forwarder.ports(("x2", "ada"), "alive", "192.0.2.2", [80]), 5)
    assert set(found) == {80}
    assert not hanging.done()

    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await forwarder.close()


@pytest.mark.parametrize("is_first", [True, False])
async def test_of_a_pod_that_is_gone_before_its_ways_are_open_none_is_left_open(*, is_first: bool) -> None:
    """Nobody is told of it a second time."""
    server = Server()
    forwarder = sockets.Forwarder(server)  # type: ignore[arg-type]
    asking = [
        asyncio.create_task(forwarder.ports(("x1", "ada"), "dead", "192.0.2.1", [80, 81])) for _ in range(2 - is_first)
    ]
    await server.is_asked.wait()
    forwarder.shut("dead")
    for asked in asking:
        with pytest.raises(Retryable, match="gone"):
            await asyncio.wait_for(asked, 5)
    assert (forwarder._open, forwarder._relays, server.asked) == ({}, {}, ["dead/exec"])
    await forwarder.close()


async def test_a_connection_that_breaks_on_the_near_side_is_given_up_though_the_far_side_says_nothing() -> None:
    server = Server()
    forwarder = sockets.Forwarder(server)  # type: ignore[arg-type]
    local = (await forwarder.ports(("x1", "ada"), "alive", "192.0.2.2", [80]))[80]
    _, writer = await asyncio.open_connection("127.0.0.1", local)
    await eventually(lambda: _are(server, "alive/portforward", 1))
    reset = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
    writer.close()
    await eventually(lambda: _are_over(forwarder))
    await forwarder.close()


async def _are_over(forwarder: sockets.Forwarder) -> bool:
    """Whether no connection is carried any more."""
    return not [task for task in forwarder._tasks if task.get_name().startswith("zoe forward")]


async def test_where_nothing_is_published_nothing_is_started() -> None:
    server = Server()
    forwarder = sockets.Forwarder(server)  # type: ignore[arg-type]

    assert await forwarder.ports(("x1", "ada"), "alive", "192.0.2.2", []) == {}
    assert server.asked == []


async def test_connections_of_one_execution_leave_room_for_those_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that never answer, say: one more is closed at once, and who asks for the way is told why."""
    monkeypatch.setattr(sockets, "WAYS_OF_ONE", 2)
    server = Server()
    forwarder = sockets.Forwarder(server)  # type: ignore[arg-type]
    local = [(await forwarder.ports((who, "ada"), f"alive-{who}", "192.0.2.2", [80]))[80] for who in ("x1", "x2")]
    held = [await asyncio.open_connection("127.0.0.1", local[0]) for _ in range(2)]
    await eventually(lambda: _are(server, "alive-x1/portforward", 2))

    reader, writer = await asyncio.open_connection("127.0.0.1", local[0])
    assert await asyncio.wait_for(reader.read(), 5) == b""
    with pytest.raises(Retryable, match="2 are open for x1"):
        await forwarder.ports(("x1", "ada"), "alive-x1", "192.0.2.2", [80])
    held += [(reader, writer), await asyncio.open_connection("127.0.0.1", local[1])]
    await eventually(lambda: _are(server, "alive-x2/portforward", 1))

    for _, each in held:
        each.close()
    await forwarder.close()


async def test_commands_that_hang_in_one_execution_leave_room_for_those_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sockets, "COMMANDS_OF_ONE", 2)
    server = Server()
    commands = sockets.Commands(server)  # type: ignore[arg-type]
    hanging = [
        asyncio.create_task(commands.run(("x1", "ada"), "dead", ["true"], given="", timeout_s=60)) for _ in range(5)
    ]
    await eventually(lambda: _are(server, "dead/exec", 2))
    with pytest.raises(asyncio.TimeoutError):
        await commands.run(("x1", "ada"), "alive", ["true"], given="", timeout_s=0.05)
    assert "alive/exec" not in server.asked
    hanging.append(asyncio.create_task(commands.run(("x2", "ada"), "alive", ["true"], given="", timeout_s=60)))
    await eventually(lambda: _are(server, "alive/exec", 1))
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


@pytest.mark.parametrize("owner", ["ada", "bob"])
async def test_what_one_user_holds_in_many_executions_leaves_room_for_others(
    monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    for name in ("COMMANDS_OF_OWNER", "WAYS_OF_OWNER"):
        monkeypatch.setattr(sockets, name, 2)
    server = Server()
    commands, forwarder = sockets.Commands(server), sockets.Forwarder(server)  # type: ignore[arg-type]
    hanging = [
        asyncio.create_task(commands.run((f"x{number}", "ada"), "dead", ["true"], given="", timeout_s=60))
        for number in range(3)
    ]
    await eventually(lambda: _are(server, "dead/exec", 2))
    hanging.append(asyncio.create_task(commands.run(("y", owner), "alive", ["true"], given="", timeout_s=60)))
    local = [(await forwarder.ports((f"x{n}", "ada"), f"alive-x{n}", "192.0.2.2", [80]))[80] for n in range(2)]
    held = [await asyncio.open_connection("127.0.0.1", port) for port in local]
    for number in range(2):
        await eventually(partial(_are, server, f"alive-x{number}/portforward", 1))
    if owner == "ada":
        with pytest.raises(Retryable, match="2 are open for ada"):
            await forwarder.ports(("y", owner), "alive-y", "192.0.2.2", [80])
        assert await _are(server, "alive/exec", 0)
    else:
        await forwarder.ports(("y", owner), "alive-y", "192.0.2.2", [80])
        await eventually(lambda: _are(server, "alive/exec", 1))

    for _, each in held:
        each.close()
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await forwarder.close()


async def _are(server: Server, path: str, count: int) -> bool:
    """Whether so many were asked for, and no more."""
    return server.asked.count(path) == count
