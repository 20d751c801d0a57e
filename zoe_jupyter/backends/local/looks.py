"""Looks at many executions at once, in which one that answers late holds up the news of no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial

from zoe_jupyter.backends.base import Seen

Look = tuple[list[Seen], str]
"""The services of an execution, or why nothing is known of it."""
LATE = "its supervisor has not answered yet"


class Looks:
    def __init__(self, look: Callable[[str], Awaitable[Look]], *, on_answer: Callable[[], object]) -> None:
        self._look = look
        self._on_answer = on_answer
        self._late: dict[str, asyncio.Future[Look]] = {}

    async def at(self, names: Sequence[str], *, within_s: float | None) -> dict[str, Look]:
        """What each says within that time; of one that is late nothing is known, and ``on_answer`` is called when it has answered after all.

        Its late answer itself is not used: it may be from before what was ordered since.
        """
        if within_s is None and self._late:
            await asyncio.wait(self._late.values())
        asked = {name: asyncio.ensure_future(self._look(name)) for name in names if name not in self._late}
        if asked:
            await self._wait(asked.values(), within_s)
        for name in [name for name, task in asked.items() if not task.done()]:
            self._late[name] = asked.pop(name)
            self._late[name].add_done_callback(partial(self._answered, name))
        return {name: asked[name].result() if name in asked else ([], LATE) for name in names}

    async def close(self) -> None:
        late = list(self._late.values())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    @staticmethod
    async def _wait(tasks: Collection[asyncio.Future[Look]], within_s: float | None) -> None:
        try:
            await asyncio.wait(tasks, timeout=within_s)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise

    def _answered(self, name: str, task: asyncio.Future[Look]) -> None:
        del self._late[name]
        # Whatever went wrong goes wrong in the next look as well, which tells of it; one that kept silent is asked again in due time.
        if not task.cancelled() and task.exception() is None and not task.result()[1]:
            self._on_answer()
