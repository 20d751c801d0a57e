"""Connections to the API server: what others hold for as long as they like takes none from what Zoe itself needs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes import client
from zoe_jupyter.backends.kubernetes.client import ApiServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
BEGINNING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[str]:
    """Where logs never end. The kubeconfig that leads to it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while await reader.readline() not in (b"\r\n", b""):
                    pass
                writer.write(BEGINNING if b"/log" in line else ANSWER)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    body = {
        "clusters": [{"name": "c", "cluster": {"server": at}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(body))
    try:
        yield str(kubeconfig)
    finally:
        server.close()


async def test_what_is_held_aside_takes_no_connection_from_what_zoe_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_CONNECTIONS", 2)
    monkeypatch.setattr(client, "MOST_ASIDE", 4)
    async with api_server(tmp_path) as kubeconfig:
        server = await ApiServer.connect(kubeconfig, "")
        async with AsyncExitStack() as held:
            for _ in range(4):
                await held.enter_async_context(server.aside.stream("/log", {}, silence_s=None))
            assert await asyncio.wait_for(server.get("/version"), 10) == {}
        await server.close()


async def test_who_watches_does_not_wait_for_a_connection_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(client, "ANSWER_LIMIT_S", 0.2)
    async with api_server(tmp_path) as kubeconfig:
        server = await ApiServer.connect(kubeconfig, "")
        async with server.stream("/log", {}, silence_s=None):
            with pytest.raises(Unreachable, match="does not answer"):
                await asyncio.wait_for(_watched(server), 10)
        await server.close()


async def _watched(server: ApiServer) -> None:
    async with server.stream("/log", {}, silence_s=None):
        pass
