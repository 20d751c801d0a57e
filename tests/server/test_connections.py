"""Connections that nobody needs: those who come when there are too many are turned away, and cost nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import pytest

from zoe_jupyter.server import sockets
from zoe_jupyter.server.files import Address, read_address

MOST = 5


@pytest.fixture
def address(zoe, monkeypatch) -> Address:
    monkeypatch.setattr(sockets, "most_connections", lambda: MOST)
    return read_address(zoe.presence.file)


class Caller:
    """One connection that stays."""

    @classmethod
    async def at(cls, address: Address) -> Caller:
        caller = cls()
        caller._token = address.token
        caller._reader, caller._writer = await asyncio.open_unix_connection(address.socket_path)
        return caller

    async def is_served(self) -> bool:
        self._writer.write(
            f"GET /zoe/api/info HTTP/1.1\r\nHost: zoe\r\nAuthorization: token {self._token}\r\n\r\n".encode()
        )
        try:
            return b" 200 " in await asyncio.wait_for(self._reader.readline(), 20)
        except ConnectionError:
            return False

    async def go(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def test_who_comes_when_too_many_are_there_is_turned_away_until_one_goes(address):
    there = [await Caller.at(address) for _ in range(MOST)]
    assert [await caller.is_served() for caller in there[1:]] == [True] * (MOST - 1)
    late = await Caller.at(address)
    assert not await late.is_served()
    assert await there[0].is_served()

    await there.pop().go()
    deadline = time.monotonic() + 10
    while True:
        again = await Caller.at(address)
        is_served = await again.is_served()
        await again.go()
        if is_served:
            break
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    for caller in (*there, late):
        await caller.go()


def test_some_descriptors_are_left_for_other_things():
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 0 < sockets.most_connections() < limit
