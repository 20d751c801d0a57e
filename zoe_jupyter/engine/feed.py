"""The event log as live streams. Readers pull by sequence number, so that a slow one costs no memory and nobody misses or repeats an event."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from zoe_jupyter.model.execution import LogEvent

RECENT = 2_000
BATCH = 500

ReadLog = Callable[[int, int], Awaitable[Sequence[LogEvent]]]
"""``(since, limit)``: events after ``since`` from the store."""


class Feed:
    """Keeps the newest events at hand and wakes the readers."""

    def __init__(self, read: ReadLog, last_seq: int) -> None:
        self._read = read
        self._recent: deque[LogEvent] = deque(maxlen=RECENT)
        self._news = asyncio.Event()
        self.last_seq = last_seq

    def publish(self, events: Sequence[LogEvent]) -> None:
        """Take events that were committed, in order."""
        if events:
            self._recent.extend(events)
            self.last_seq = events[-1].seq
            news, self._news = self._news, asyncio.Event()
            news.set()

    async def after(self, since: int | None, *, follow: bool) -> AsyncIterator[LogEvent]:
        """Every event after ``since`` (None: from now on), in order, each once; without end when following."""
        position = self.last_seq if since is None else since
        while True:
            news = self._news
            for event in await self._batch(position):
                position = event.seq
                yield event
            if position < self.last_seq:
                continue
            if not follow:
                return
            await news.wait()

    async def _batch(self, position: int) -> Sequence[LogEvent]:
        if position >= self.last_seq:
            return ()
        if self._recent and self._recent[0].seq <= position + 1:
            offset = max(0, position + 1 - self._recent[0].seq)
            return (
                [self._recent[i] for i in range(offset, min(offset + BATCH, len(self._recent)))]
                if self._is_dense()
                else self._scan(position)
            )
        return await self._read(position, BATCH)

    def _is_dense(self) -> bool:
        return self._recent[-1].seq - self._recent[0].seq + 1 == len(self._recent)

    def _scan(self, position: int) -> Sequence[LogEvent]:
        return [event for event in self._recent if event.seq > position][:BATCH]
