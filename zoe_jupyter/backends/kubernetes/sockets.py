"""What the API server speaks over WebSockets: commands in a container, and connections to its ports. One channel number before each message."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

import aiohttp

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes import relay
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.model.errors import Retryable, TooMany
from zoe_jupyter.turns import Turns

logger = logging.getLogger(__name__)

EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
FORWARD = ("v4.channel.k8s.io",)
STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3
CHUNK = 65536
RELAY_LIMIT_S = 20.0
COMMANDS_AT_ONCE, COMMANDS_OF_ONE, COMMANDS_OF_OWNER = 64, 32, 48
WAYS_AT_ONCE, WAYS_OF_ONE, WAYS_OF_OWNER = 256, 64, 128
RELAYS_AT_ONCE, RELAYS_OF_ONE, RELAYS_OF_OWNER = 256, 96, 128
"""Each is a connection: in all, of one execution, and of all of one owner."""
Shares = tuple[str, str]
"""Whose: the execution, and its owner."""
_WAYS, _RELAYS = "connections to services", "programs beside services with pages"


class Commands:
    """Run beside services; those of one execution are fewer at once than all, and those of one owner, so that what hangs there is in nobody else's way."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._turns = Turns(COMMANDS_AT_ONCE, COMMANDS_OF_ONE, COMMANDS_OF_OWNER)

    async def run(self, shares: Shares, pod: str, command: Sequence[str], *, given: str, timeout_s: float) -> int:
        """Run it in the pod's container with ``given`` on its input; its exit code. Raises ApiError, Unreachable, asyncio.TimeoutError."""
        return await asyncio.wait_for(self._run(shares, pod, command, given), timeout_s)

    async def _run(self, shares: Shares, pod: str, command: Sequence[str], given: str) -> int:
        query = _exec_query(command)
        async with self._turns.of(*shares), self._server.socket(f"{pod}/exec", query, EXEC) as socket:
            await socket.send_bytes(bytes([STDIN]) + given.encode())
            return await _exit_code(socket)


def _exec_query(command: Sequence[str]) -> list[tuple[str, str]]:
    streams = [("container", "main"), ("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
    return [*(("command", part) for part in command), *streams]


async def _exit_code(socket: aiohttp.ClientWebSocketResponse) -> int:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == bytes([STATUS]):
            return _code(json.loads(message.data[1:]))
    raise Unreachable("the connection to the container closed before the command had ended")


def _code(status: dict[str, object]) -> int:
    """Raises ApiError when the command could not be run."""
    if status.get("status") == "Success":
        return 0
    details = status.get("details")
    for cause in details.get("causes", ()) if isinstance(details, dict) else ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ApiError(500, str(status.get("reason", "")), str(status.get("message", "")))


class Forwarder:
    """Ports of 127.0.0.1 that lead to ports of pods, through the API server: whoever can use the cluster needs no other way in."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._ways = Turns(WAYS_AT_ONCE, WAYS_OF_ONE, WAYS_OF_OWNER)
        self._relay_turns = Turns(RELAYS_AT_ONCE, RELAYS_OF_ONE, RELAYS_OF_OWNER)
        self._open: dict[tuple[str, int], asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._relays: dict[str, asyncio.Task[None]] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def ports(self, shares: Shares, pod: str, address: str, numbers: Sequence[int]) -> dict[int, int]:
        """The local port for each of those ports of a pod (its path), the same while it is there. Raises Retryable where too much goes through them."""
        if not numbers:
            return {}
        lock = self._opening.setdefault(pod, asyncio.Lock())
        async with lock:
            self._refuse_gone(pod, lock)
            task = self._relays.get(pod)
            try:
                self._ways.check(_WAYS, *shares)
            except TooMany as error:
                raise Retryable(error.message) from None
            if task is None or task.done():
                await self._begin_relay(shares, pod, address, numbers)
            for number in numbers:
                if (pod, number) not in self._open:
                    self._open[pod, number] = await self._opened(shares, pod, number, lock)
            return {number: self._open[pod, number].sockets[0].getsockname()[1] for number in numbers}

    async def _opened(self, shares: Shares, pod: str, number: int, lock: asyncio.Lock) -> asyncio.Server:
        accept = functools.partial(self._accept, shares, pod, number)
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        try:
            self._refuse_gone(pod, lock)
        except Retryable:
            server.close()
            raise
        return server

    def _refuse_gone(self, pod: str, lock: asyncio.Lock) -> None:
        """Of one that went while something was waited for, nobody would shut again what is opened."""
        if self._opening.get(pod) is not lock:
            raise Retryable(f"{pod} is gone")

    async def _begin_relay(self, shares: Shares, pod: str, address: str, numbers: Sequence[int]) -> None:
        """Return once it is ready, or cannot be had: an image without Python may still listen at all addresses."""
        is_ready = asyncio.Event()
        command = ["python3", "-c", relay.PROGRAM, address, *map(str, numbers)]
        self._relays[pod] = task = self._do(self._relay(shares, pod, command, is_ready), f"zoe relay {pod}")
        waiting = asyncio.ensure_future(is_ready.wait())
        try:
            await asyncio.wait([task, waiting], timeout=RELAY_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _relay(self, shares: Shares, pod: str, command: Sequence[str], is_ready: asyncio.Event) -> None:
        try:
            async with (
                self._relay_turns.taken(_RELAYS, *shares),
                self._server.socket(f"{pod}/exec", _exec_query(command), EXEC) as socket,
            ):
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY and relay.READY in message.data:
                        is_ready.set()
        except (ApiError, Unreachable, aiohttp.ClientError, TooMany) as error:
            logger.info("there is no relay in %s now: %s", pod, error)

    def shut(self, pod: str) -> None:
        """The pod is gone."""
        self._opening.pop(pod, None)
        if (task := self._relays.pop(pod, None)) is not None:
            task.cancel()
        for key in [key for key in self._open if key[0] == pod]:
            self._open.pop(key).close()

    async def close(self) -> None:
        for key in list(self._open):
            self._open.pop(key).close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(
        self, shares: Shares, pod: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._do(self._carry(shares, pod, number, reader, writer), f"zoe forward {pod}:{number}")

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry(
        self, shares: Shares, pod: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            async with (
                self._ways.taken(_WAYS, *shares),
                self._server.socket(f"{pod}/portforward", {"ports": str(number)}, FORWARD) as socket,
            ):
                await _first_of(_send(socket, reader), _receive(socket, writer))
        except (ApiError, Unreachable, OSError, aiohttp.ClientError, TooMany) as error:
            logger.info("a connection to %s:%s was closed: %s", pod, number, error)
        finally:
            writer.close()


async def _first_of(*sides: Coroutine[Any, Any, None]) -> None:
    """Return when one has ended, or raise as it did; the other ends with it."""
    tasks = [asyncio.create_task(side) for side in sides]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _send(socket: aiohttp.ClientWebSocketResponse, reader: asyncio.StreamReader) -> None:
    while chunk := await reader.read(CHUNK):
        await socket.send_bytes(b"\0" + chunk)
    await socket.close()


async def _receive(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    """Channel 0 has the data, channel 1 what went wrong; the first message of each is the number of the port."""
    begun: set[int] = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY:
            return
        channel, data = message.data[0], message.data[1:]
        if channel not in begun:
            begun.add(channel)
        elif channel != 0:
            return
        elif data:
            writer.write(data)
            await writer.drain()
