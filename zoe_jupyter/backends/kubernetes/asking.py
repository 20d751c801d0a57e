"""What is asked of the cluster again and again, for many: whom it refuses, or for whom it does not answer, holds up no others."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.clocks import running_s
from zoe_jupyter.model.errors import BackendError

logger = logging.getLogger(__name__)

AGAIN_S = 5.0
"""Until what the cluster has refused is asked of it again."""
FORGOTTEN_S = 600.0
"""Who was not asked for since then has gone."""
AT_ONCE = 32
"""Each is a connection."""
SETTLE_S = 2.0
"""So long is waited for those that have begun; who takes longer goes on beside what comes next."""


class Asking:
    """``what`` is told in the log, with the key in it, once for each until it has gone well."""

    def __init__(self, what: str, *, clock: Callable[[], float] = running_s) -> None:
        self._what = what
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._begun: list[asyncio.Task[None]] = []
        self._refused_at: dict[str, float] = {}

    def begin(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Unless it is under way, or was refused just now."""
        is_due = self._clock() - self._refused_at.get(key, -math.inf) >= AGAIN_S
        if is_due and key not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._do(key, work), name=f"zoe asks {key}")
            self._tasks[key] = task
            self._begun.append(task)

    async def settle(self) -> None:
        """Return when all are done that have begun since the last time, or after a while."""
        begun, self._begun = self._begun, []
        if begun:
            await asyncio.wait(begun, timeout=SETTLE_S)

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        is_news = key not in self._refused_at
        try:
            async with self._turns:
                await work()
        except (BackendError, Unreachable) as error:
            if is_news:
                level = logging.INFO if isinstance(error, Unreachable) else logging.WARNING
                logger.log(level, "%s cannot be told now: %s", self._what.format(key), error)
            self._refuse(key)
        except Exception:
            if is_news:
                logger.exception("%s cannot be told; a defect", self._what.format(key))
            self._refuse(key)
        else:
            self._refused_at.pop(key, None)
        finally:
            self._tasks.pop(key, None)

    def _refuse(self, key: str) -> None:
        now = self._clock()
        self._refused_at = {each: at for each, at in self._refused_at.items() if now - at < FORGOTTEN_S}
        self._refused_at[key] = now
