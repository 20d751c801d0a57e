"""Ends containers: asks at once, kills after the grace; a core that dies in between is asked again by the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.errors import BackendError, Fatal

_KILL_AGAIN_S = 2.0


class Stopper:
    def __init__(self) -> None:
        self._stopped: set[Attempt] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def was_stopped(self, attempt: Attempt) -> bool:
        """Whether this core was told to stop it."""
        return attempt in self._stopped

    async def stop(self, engine: Engine, found: Container, *, grace_s: float) -> None:
        """Ask it to end; one that was never started is removed. Again with a shorter grace: the shorter one counts."""
        self._stopped.add(found.attempt)
        if found.is_created:
            await remove(engine, found)
        elif found.is_running:
            await _signal(engine, found, found.stop_signal)
            if (before := self._tasks.pop(found.id, None)) is not None:
                before.cancel()
            self._begin(found.id, self._kill_after(engine, found, grace_s))

    def forget(self, execution_id: str) -> None:
        self._stopped = {attempt for attempt in self._stopped if attempt.execution_id != execution_id}

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _begin(self, container_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=f"zoe docker kill {container_id[:12]}")
        self._tasks[container_id] = task
        task.add_done_callback(lambda done: self._tasks.get(container_id) is done and self._tasks.pop(container_id))

    async def _kill_after(self, engine: Engine, found: Container, grace_s: float) -> None:
        await asyncio.sleep(grace_s)
        while (current := engine.containers.get(found.id)) is not None and current.is_running:
            with suppress(Unreachable, BackendError):
                await kill(engine, found)
                return
            await asyncio.sleep(_KILL_AGAIN_S)


async def kill(engine: Engine, found: Container) -> None:
    await _signal(engine, found, "SIGKILL")


async def _signal(engine: Engine, found: Container, signal: str) -> None:
    """One that has ended by itself meanwhile is no error."""
    try:
        await engine.calls.do(lambda client: client.kill(found.id, signal))
    except NotFound:
        pass
    except Fatal as error:
        if "is not running" not in error.message:
            raise
    engine.touch(found.id)


async def remove(engine: Engine, found: Container) -> None:
    """Remove it with what it wrote, also while it runs; one that is gone is no error."""
    try:
        await engine.calls.do(lambda client: client.remove_container(found.id, force=True, v=True), limit_s=90)
    except NotFound:
        pass
    except Fatal as error:
        if "already in progress" not in error.message:
            raise
    engine.containers.pop(found.id, None)
