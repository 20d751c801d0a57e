"""How much may be under way at once, in all and for one, so that what hangs for one is in nobody else's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from zoe_jupyter.model.errors import TooMany


class Turns:
    """``at_once`` in all; ``shares``: the most for one key of each kind, such as an execution and an owner, the smallest first."""

    def __init__(self, at_once: int, *shares: int) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._shares = shares
        self._own: WeakValueDictionary[tuple[int, str], asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, *keys: str) -> AsyncIterator[None]:
        """Wait for a turn, with one key for each share."""
        own = [self._semaphore(kind, key) for kind, key in enumerate(keys)]
        async with AsyncExitStack() as stack:
            for each in (*own, self._all):
                await stack.enter_async_context(each)
            yield

    @asynccontextmanager
    async def taken(self, what: str, *keys: str) -> AsyncIterator[None]:
        """A turn that nobody waits for. Raises TooMany."""
        self.check(what, *keys)
        async with self.of(*keys):
            yield

    def check(self, what: str, *keys: str) -> None:
        """Raises TooMany where there is no turn now."""
        for kind, key in enumerate(keys):
            if self._semaphore(kind, key).locked():
                raise TooMany(
                    f"{what}: {self._shares[kind]} are open for {key}, and that is the most; close some of them"
                )
        if self._all.locked():
            raise TooMany(
                f"{what}: {self._at_once} are open, and that is the most of everybody together; try again later"
            )

    def _semaphore(self, kind: int, key: str) -> asyncio.Semaphore:
        found = self._own.get((kind, key))
        if found is None:
            found = self._own[kind, key] = asyncio.Semaphore(self._shares[kind])
        return found
