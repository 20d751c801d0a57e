"""From a machine outside, through the API server, to services that listen at their pod's address only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.base import Address
from zoe_jupyter.backends.kubernetes.site import Isolation, Reaching
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import Runner

pytestmark = pytest.mark.kubernetes

ECHO = """
import socket, socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
address = socket.gethostbyname(socket.gethostname())
socketserver.ThreadingTCPServer((address, 20000), Echo).serve_forever()
"""
WEB = {"web": Port(is_published=True)}


@pytest.fixture
async def runner(world: KubernetesWorld) -> AsyncIterator[Runner]:
    runner = Runner(world, await world.open())
    yield runner
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def echoed(address: Address, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address.host, address.ports["web"])
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.readexactly(len(data)), 60)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_published_port_is_reached_through_the_api_server(runner: Runner) -> None:
    numbers = {"web": 20000, "own": 20001}
    fields = {"ports": {**WEB, "own": Port(is_published=False)}, "port_numbers": numbers, "ready": Probe(tcp="web")}
    seen = await runner.start("one", code=ECHO, **fields)
    inside = Address(seen.host, seen.ports)

    address = await runner.backend.reach("one", "app.main-0", 1, inside)

    assert (address.host, set(address.ports)) == ("127.0.0.1", {"web"})
    assert await runner.backend.reach("one", "app.main-0", 1, inside) == address
    data = bytes(range(256)) * 8192
    assert await asyncio.gather(*(echoed(address, data) for _ in range(4))) == [data] * 4


async def test_what_does_not_run_cannot_be_reached(runner: Runner) -> None:
    with pytest.raises(Retryable):
        await runner.backend.reach("one", "app.main-0", 1, Address("x", {"web": 1}))


async def test_where_pods_are_routed_their_addresses_do(world: KubernetesWorld) -> None:
    world.options = {"reach": Reaching.POD, "callers": [cluster.MACHINE]}
    runner = Runner(world, await world.open())
    fields = {"ports": WEB, "port_numbers": {"web": 20000}, "ready": Probe(tcp="web")}
    seen = await runner.start("one", code=ECHO, **fields)

    address = await runner.backend.reach("one", "app.main-0", 1, Address(seen.host, seen.ports))

    assert address.ports == {"web": 20000}
    assert await echoed(address, b"hello") == b"hello"
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        ({"isolation": Isolation.ENFORCED}, 1),
        ({"isolation": Isolation.ENFORCED, "callers": ["192.0.2.0/24"]}, 0),
        ({"isolation": Isolation.DECLARED}, 0),
    ],
)
async def test_who_lets_nobody_in_and_would_be_reached_by_addresses_is_told_once(
    world: KubernetesWorld, caplog: pytest.LogCaptureFixture, options: dict[str, object], warnings: int
) -> None:
    world.options = {"reach": Reaching.POD, **options}
    runner = Runner(world, await world.open())
    seen = await runner.start("one", ports=WEB, port_numbers={"web": 20000})
    for _ in range(2):
        await runner.backend.reach("one", "app.main-0", 1, Address(seen.host, seen.ports))
    told = [record.getMessage() for record in caplog.records if "lets nobody in" in record.getMessage()]
    assert len(told) == warnings
    assert all("`callers`" in each for each in told)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
