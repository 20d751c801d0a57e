"""What the API server speaks over WebSockets: commands in a container, and connections to its ports. One channel number before each message."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Coroutine, Sequence
from typing import Any

import aiohttp

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes import relay
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer

EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
FORWARD = ("v4.channel.k8s.io",)
STDIN, STDOUT, STDERR, STATUS = 0, 1, 2, 3
CHUNK = 65536
RELAY_LIMIT_S = 20.0


async def run(server: ApiServer, pod: str, command: Sequence[str], *, given: str, timeout_s: float) -> int:
    """Run a command in the pod's container with ``given`` on its input; its exit code. Raises ApiError, Unreachable, asyncio.TimeoutError."""
    async with server.socket(f"{pod}/exec", _exec_query(command), EXEC) as socket:
        await socket.send_bytes(bytes([STDIN]) + given.encode())
        return await asyncio.wait_for(_exit_code(socket), timeout_s)


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
        self._open: dict[tuple[str, int], asyncio.Server] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._relays: dict[str, asyncio.Task[None]] = {}
        self._opening: dict[str, asyncio.Lock] = {}

    async def ports(self, pod: str, address: str, numbers: Sequence[int]) -> dict[int, int]:
        """The local port for each of those ports of a pod (its path), the same while it is there. Raises Unreachable."""
        if not numbers:
            return {}
        async with self._opening.setdefault(pod, asyncio.Lock()):
            task = self._relays.get(pod)
            if task is None or task.done():
                await self._begin_relay(pod, address, numbers)
            for number in numbers:
                if (pod, number) not in self._open:
                    accept = functools.partial(self._accept, pod, number)
                    self._open[pod, number] = await asyncio.start_server(accept, "127.0.0.1", 0)
        return {number: self._open[pod, number].sockets[0].getsockname()[1] for number in numbers}

    async def _begin_relay(self, pod: str, address: str, numbers: Sequence[int]) -> None:
        """Return once it is ready, or cannot be had: an image without Python may still listen at all addresses."""
        is_ready = asyncio.Event()
        command = ["python3", "-c", relay.PROGRAM, address, *map(str, numbers)]
        self._relays[pod] = task = self._do(self._relay(pod, command, is_ready), f"zoe relay {pod}")
        waiting = asyncio.ensure_future(is_ready.wait())
        await asyncio.wait([task, waiting], timeout=RELAY_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()

    async def _relay(self, pod: str, command: Sequence[str], is_ready: asyncio.Event) -> None:
        with contextlib.suppress(ApiError, Unreachable, aiohttp.ClientError):
            async with self._server.socket(f"{pod}/exec", _exec_query(command), EXEC) as socket:
                async for message in socket:
                    if message.type is aiohttp.WSMsgType.BINARY and relay.READY in message.data:
                        is_ready.set()

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

    def _accept(self, pod: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._do(self._carry(pod, number, reader, writer), f"zoe forward {pod}:{number}")

    def _do(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry(self, pod: str, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ApiError, Unreachable, OSError, aiohttp.ClientError):
            try:
                async with self._server.socket(f"{pod}/portforward", {"ports": str(number)}, FORWARD) as socket:
                    out = asyncio.create_task(_send(socket, reader))
                    try:
                        await _receive(socket, writer)
                    finally:
                        out.cancel()
                        await asyncio.gather(out, return_exceptions=True)
            finally:
                writer.close()


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
