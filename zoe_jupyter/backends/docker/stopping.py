"""Ends containers: asks at once, kills after the grace; a core that dies in between is asked again by the next one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress

from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.errors import BackendError, Fatal

_KILL_AGAIN_S = 2.0
_USUAL = "SIGTERM"


class Stopper:
    def __init__(self) -> None:
        self._stopped: set[Attempt] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._due_at: dict[str, float] = {}
        """When each of them kills."""

    def was_stopped(self, attempt: Attempt) -> bool:
        """Whether this core was told to stop it."""
        return attempt in self._stopped

    def expect(self, attempt: Attempt) -> None:
        """It is told to stop, wherever it is."""
        self._stopped.add(attempt)

    def begin(self, attempt: Attempt, known: Iterable[Container]) -> None:
        """It is to start, and of the service's containers none that was made for an earlier attempt."""
        self._stopped.discard(attempt)
        self._stopped |= {each.attempt for each in known if each.is_created and each.attempt.attempt < attempt.attempt}

    async def stop(self, engine: Engine, found: Container, *, grace_s: float) -> None:
        """Ask it to end; one that was never started is removed. Asked again, it has no more time than it was given first, and less where that is said."""
        self._stopped.add(found.attempt)
        if found.is_created:
            await remove(engine, found)
        elif found.is_running:
            engine.expect_end(found.id)
            try:
                await _ask(engine, found)
            finally:
                due_at = time.monotonic() + grace_s
                if due_at < self._due_at.get(found.id, math.inf):
                    self._kill_at(engine, found, due_at)

    def is_ending(self, found: Container) -> bool:
        """Whether it will be killed, unless it ends before."""
        return found.id in self._tasks

    def forget(self, execution_id: str) -> None:
        self._stopped = {attempt for attempt in self._stopped if attempt.execution_id != execution_id}

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _kill_at(self, engine: Engine, found: Container, due_at: float) -> None:
        if (before := self._tasks.get(found.id)) is not None:
            before.cancel()
        task = asyncio.create_task(self._kill(engine, found, due_at), name=f"zoe docker kill {found.id[:12]}")
        self._tasks[found.id], self._due_at[found.id] = task, due_at
        task.add_done_callback(lambda done: self._is_over(found.id, done))

    def _is_over(self, container_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(container_id) is task:
            del self._tasks[container_id], self._due_at[container_id]

    async def _kill(self, engine: Engine, found: Container, due_at: float) -> None:
        await asyncio.sleep(max(0.0, due_at - time.monotonic()))
        turn: AbstractAsyncContextManager[None] = nullcontext()
        while (current := engine.containers.get(found.id)) is not None and current.is_running:
            with suppress(Unreachable, BackendError):
                async with turn:
                    await kill(engine, found)
                return
            await asyncio.sleep(_KILL_AGAIN_S)
            turn = engine.kills_again


async def _ask(engine: Engine, found: Container) -> None:
    """By the signal that its image names, where there is such a one."""
    try:
        await _signal(engine, found, found.stop_signal)
    except Fatal:
        await _signal(engine, found, _USUAL)


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
