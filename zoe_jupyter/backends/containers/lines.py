"""Lines of logs: what a reason tells of them, and how those are looked through in which one is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

LINE_CHARS = 500
"""What a reason tells is kept, and told with every change."""
PIECE = 16 * 1024
"""So many bytes are looked through in one turn of the loop."""
REST = 1.5
"""After each piece, in what it took."""


def cut(line: str) -> str:
    """Its beginning, without its end of line."""
    return line.rstrip("\r\n")[:LINE_CHARS]


async def in_pieces(
    content: AsyncIterator[bytes], turn: Callable[[], AbstractAsyncContextManager[None]]
) -> AsyncGenerator[bytes, None]:
    """The same in pieces, one at a time of all that share the turn, with a rest after each: everything else goes on, however much is said."""
    async for chunk in content:
        for start in range(0, len(chunk), PIECE):
            async with turn():
                began = time.perf_counter()
                yield chunk[start : start + PIECE]
                await asyncio.sleep(REST * (time.perf_counter() - began))
