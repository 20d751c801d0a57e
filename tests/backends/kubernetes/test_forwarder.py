"""The ways into pods: one that leads nowhere holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp

from zoe_jupyter.backends.kubernetes import relay, sockets


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
    hanging = asyncio.create_task(forwarder.ports("dead", "192.0.2.1", [80]))
    await server.is_asked.wait()

    found = await asyncio.wait_for(forwarder.ports("alive", "192.0.2.2", [80]), 5)
    assert set(found) == {80}
    assert not hanging.done()

    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await forwarder.close()


async def test_where_nothing_is_published_nothing_is_started() -> None:
    server = Server()
    forwarder = sockets.Forwarder(server)  # type: ignore[arg-type]

    assert await forwarder.ports("alive", "192.0.2.2", []) == {}
    assert server.asked == []
