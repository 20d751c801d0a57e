"""The core's thread is closed while its answers are still being read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from zoe_jupyter.server.core_thread import CoreThread
from zoe_jupyter.server.wire import CoreGone, Visitor, WireAnswer, WireRequest

ROUNDS = 50


class Endless:
    """Answers with a stream that never ends by itself."""

    async def answer(self, request: WireRequest) -> WireAnswer:
        return WireAnswer(200, self._chunks())

    async def fenced(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        await asyncio.sleep(0)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0)


async def opened() -> Endless:
    return Endless()


async def read(thread: CoreThread, begun: asyncio.Event) -> None:
    answer = await thread.answer(WireRequest("GET", "events", Visitor("ada")))
    assert not isinstance(answer.body, bytes)
    async for _ in answer.body:
        begun.set()


async def test_readers_of_a_core_that_is_closed_hear_of_it_and_nothing_is_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(ROUNDS):
        thread = CoreThread(opened)
        await thread.start()
        begun = [asyncio.Event() for _ in range(5)]
        readers = [asyncio.ensure_future(read(thread, each)) for each in begun]
        for each in begun:
            await each.wait()
        readers[0].cancel()
        await thread.close()
        for reader in readers:
            with suppress(CoreGone, asyncio.CancelledError):
                await asyncio.wait_for(reader, 10)
        with pytest.raises(CoreGone):
            await thread.answer(WireRequest("GET", "events", Visitor("ada")))
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
