"""A line to the API server that a test can cut or slow down: what goes through a cut one is lost without a word, as when a cable is pulled."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Line:
    """``kubeconfig`` leads through it."""

    def __init__(self, kubeconfig: Path, far: tuple[str, int]) -> None:
        self.kubeconfig = kubeconfig
        self._far = far
        self._speaks, self._hears = True, True
        self._age = 0
        self.delay_s = 0.0
        """Before each piece of what is answered."""
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        self._speaks = self._hears = False

    def deafen(self) -> None:
        """What is asked gets there; what is answered does not come back."""
        self._hears = False

    def swallow(self) -> None:
        """What stands now says nothing any more, and nobody is told; new connections stand."""
        self._age += 1

    async def mend(self) -> None:
        """New connections stand; those of before are broken off."""
        self._speaks = self._hears = True
        await self.close()

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._far)
        try:
            await asyncio.gather(
                self._carry(reader, far_writer, is_question=True), self._carry(far_reader, writer, is_question=False)
            )
        finally:
            writer.close()
            far_writer.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, is_question: bool) -> None:
        age = self._age
        with suppress(OSError):
            while data := await source.read(65536):
                if age != self._age or not (self._speaks if is_question else self._hears):
                    await asyncio.Event().wait()
                if not is_question:
                    await asyncio.sleep(self.delay_s)
                target.write(data)
                await target.drain()
            target.close()


@asynccontextmanager
async def line(kubeconfig: Path, folder: Path) -> AsyncIterator[Line]:
    """From this machine's loopback to the API server of ``kubeconfig``."""
    found = _read(kubeconfig)
    of_cluster = found["clusters"][0]["cluster"]
    at = urlsplit(of_cluster["server"])
    made = Line(folder / "by-the-line", (str(at.hostname), at.port or 443))
    server = await asyncio.start_server(made.accept, "127.0.0.1", 0)
    of_cluster["server"] = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    _write(made.kubeconfig, found)
    try:
        yield made
    finally:
        server.close()
        await made.close()


def _read(kubeconfig: Path) -> Any:
    return json.loads(kubeconfig.read_text())


def _write(kubeconfig: Path, found: Any) -> None:
    kubeconfig.write_text(json.dumps(found))
