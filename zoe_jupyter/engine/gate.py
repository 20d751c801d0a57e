"""Who is let in when many submit at once: so many at a time, one of each user in turn. A user who has too many at the door is told to come back."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zoe_jupyter.model.errors import TooMany

AT_ONCE = 8
"""So many are worked on at a time, whoever they are from; enough to share commits."""
COME_BACK_S = 1.0


class Gate:
    """``most``: how many of one user may be inside or wait."""

    def __init__(self, *, most: int, at_once: int = AT_ONCE) -> None:
        self._most = most
        self._free = at_once
        self._present: Counter[str] = Counter()
        # The first user is the next whose turn it is.
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, user: str) -> AsyncIterator[None]:
        """Wait for the user's turn and be inside; raises TooMany at once when there are too many of the user's."""
        if self._present[user] >= self._most:
            raise TooMany(
                f"{self._present[user]} of your submits are being worked on, and no more are taken at once; "
                f"nothing was done, send it again in {COME_BACK_S:g} s",
                retry_after_s=COME_BACK_S,
            )
        self._present[user] += 1
        try:
            await self._enter(user)
            try:
                yield
            finally:
                self._leave()
        finally:
            self._present[user] -= 1
            if not self._present[user]:
                del self._present[user]

    async def _enter(self, user: str) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        """Let the next one in: the first of the next user, who then goes behind the other users."""
        while self._waiting:
            user = next(iter(self._waiting))
            queue = self._waiting.pop(user)
            turn = queue.popleft()
            if queue:
                self._waiting[user] = queue
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
