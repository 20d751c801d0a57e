"""Who waits for news is told that there is some; several pieces of news may come as one."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator


class Hints:
    def __init__(self) -> None:
        self._listeners: set[asyncio.Event] = set()

    def give(self) -> None:
        for listener in self._listeners:
            listener.set()

    async def all(self) -> AsyncIterator[None]:
        """Yield once for all that happened since the last time."""
        with self._listening() as listener:
            while True:
                await listener.wait()
                listener.clear()
                yield None

    async def next(self, limit_s: float) -> None:
        """Return at the next one, or after ``limit_s``."""
        with self._listening() as listener, contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(listener.wait(), limit_s)

    @contextlib.contextmanager
    def _listening(self) -> Iterator[asyncio.Event]:
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
