"""From where a log is read while its pod goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.logs import Logs
from zoe_jupyter.backends.kubernetes.site import Site

WHO = Attempt("lab", "x1", "app.main-0", 1)
TERMINATED = {"state": {"terminated": {"exitCode": 0}}}


class Server:
    """A pod whose log is still on its way to the first who asked; a node has an answer of its own for later ones, which is no error."""

    def __init__(self) -> None:
        self.rest: asyncio.Queue[bytes] = asyncio.Queue()
        self.asked = 0

    @asynccontextmanager
    async def stream(self, path: str, query: object, *, silence_s: float | None) -> AsyncIterator[asyncio.StreamReader]:
        self.asked += 1
        yield Content(self.rest if self.asked == 1 else queue_of(b"unable to retrieve container logs", b""))  # type: ignore[misc]


class Content:
    def __init__(self, pieces: asyncio.Queue[bytes]) -> None:
        self._pieces = pieces

    async def readany(self) -> bytes:
        return await self._pieces.get()


def queue_of(*pieces: bytes) -> asyncio.Queue[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    for piece in pieces:
        queue.put_nowait(piece)
    return queue


def ended() -> dict[str, Any]:
    """Its pod, as it was seen last."""
    annotations = {names.DEPLOYMENT: "lab", names.EXECUTION: "x1", names.SERVICE: WHO.service, names.ATTEMPT: "1"}
    metadata = {"name": "p", "namespace": "zoe", "uid": "u", "annotations": annotations, "labels": {}}
    return {"metadata": metadata, "status": {"phase": "Running", "containerStatuses": [TERMINATED]}}


@pytest.mark.parametrize("is_gone", [False, True])
async def test_who_has_ended_is_read_from_the_copy_as_soon_as_that_is_whole(tmp_path: Path, is_gone: bool) -> None:
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        server.rest.put_nowait(b"line 1\n")
        await logs.begun(WHO)
        if is_gone:
            del known.pods[WHO]
        reading = asyncio.create_task(read(logs))
        assert not (await asyncio.wait([reading], timeout=0.1))[0]
        for piece in (b"line 2\n", b""):
            server.rest.put_nowait(piece)

        assert await reading == b"line 1\nline 2\n"
        await logs.close()


async def read(logs: Logs) -> bytes:
    return b"".join([chunk async for chunk in logs.read("x1", WHO.service, tail=None, follow=False)])
