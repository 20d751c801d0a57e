"""Whether services that are ready still work: asked for as long as they run and Zoe does. An engine that is silent says nothing of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker import probing
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.following import Followers
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.application import Health
from zoe_jupyter.model.errors import BackendError
from zoe_jupyter.model.execution import Reason


class Watch:
    """``on_ill`` is told of each once, when it did not answer so often in a row as its description allows."""

    def __init__(self, *, on_ill: Callable[[Engine, Container, Reason], Awaitable[None]]) -> None:
        self._on_ill = on_ill
        self._followers = Followers("whether it works")

    def begin(self, engine: Engine, found: Container) -> None:
        """Unless it is watched already, or has nothing to prove."""
        if found.check is not None and found not in self._followers:
            self._followers.begin(found, self._follow(engine, found, found.check))

    def close(self) -> None:
        self._followers.close()

    async def _follow(self, engine: Engine, found: Container, check: Health) -> None:
        works, failures = probing.ways(engine, found, check.probe, limit_s=check.probe.timeout_s), 0
        while failures < check.failures:
            await asyncio.sleep(check.every_s)
            current = engine.containers.get(found.id)
            if current is None or not current.is_running:
                return
            answer = await _answer(engine, works)
            failures = failures if answer is None else 0 if answer else failures + 1
        waited_for = probing.waited_for(check.probe)
        text = f"it works no more: {failures} times in a row waited for {waited_for}"
        await self._on_ill(engine, found, Reason("unhealthy", text))


async def _answer(engine: Engine, works: Callable[[], Awaitable[bool]]) -> bool | None:
    """Whether it did in time; None where the engine did not let anybody ask."""
    try:
        if await _in_time(works):
            return True
        return False if await engine.answers() else None
    except (Unreachable, BackendError, NotFound):
        return None


async def _in_time(works: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await works()
    except asyncio.TimeoutError:
        return False
