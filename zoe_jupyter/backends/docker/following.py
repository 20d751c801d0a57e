"""One task for each container that something is asked of for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine

from zoe_jupyter.backends.docker.translate import Container

logger = logging.getLogger(__name__)


class Followers:
    """``what`` is asked of containers, for the log: ``whether it is ready``."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, found: Container) -> bool:
        return found.id in self._tasks

    def begin(self, found: Container, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=f"zoe follows {found.attempt}")
        self._tasks[found.id] = task
        task.add_done_callback(lambda done: self._done(found, done))

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _done(self, found: Container, task: asyncio.Task[None]) -> None:
        self._tasks.pop(found.id, None)
        if not task.cancelled() and task.exception() is not None:
            logger.warning("asking %s %s failed: %s", found.attempt, self._what, task.exception())
