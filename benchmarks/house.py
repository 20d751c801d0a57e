"""Zoe's side of the figures on real engines: a core with one of the backends, asked as its door is asked."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.running import Taken
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Execution, ServiceState, State

IMAGE = "zoe-test/base"
ADA = Caller("ada", is_admin=True)
AT_ONCE = 16
"""Threads by hand: as many as Zoe launches at once."""
LIMIT_S = 600.0
SLEEPERS = """
zoe: 1
kind: framework
name: sleepers
version: "1"
title: Sleepers
parameters:
  type: object
  properties:
    count: {{type: integer, default: 1, title: Count}}
    image: {{type: string, default: "{image}", title: Image}}
processes:
  main:
    image: "{{{{ parameters.image }}}}"
    count: {{core: "{{{{ parameters.count }}}}"}}
    command: [sleep, "600"]
    resources: {{cores: 0.01, memory: 32MiB}}
    stop: {{grace_s: 10}}
"""


class Zoe:
    """A core of its own deployment, on a loop that runs only while it is asked something."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, backend: str, options: Mapping[str, Any]) -> None:
        shop = folder / "shop" / "sleepers"
        shop.mkdir(parents=True)
        (shop / "framework.yaml").write_text(SLEEPERS.format(image=IMAGE))
        (folder / "state").mkdir(mode=0o700)
        self.deployment = f"bench-{uuid.uuid4().hex[:8]}"
        self._loop = loop
        self.core: Core = loop.run_until_complete(
            open_core(
                Settings(
                    data_dir=folder / "state",
                    backend=backend,
                    backend_options=options,
                    shop_sources=(str(folder / "shop"),),
                    deployment=self.deployment,
                )
            )
        )

    def start(self, use: str, parameters: Mapping[str, Any], *, times: int = 1) -> list[Execution]:
        """Submit at once and wait until all their services are ready."""
        return self._loop.run_until_complete(self._start(use, parameters, times))

    async def _start(self, use: str, parameters: Mapping[str, Any], times: int) -> list[Execution]:
        wanted = Submission(use=use, parameters=parameters)
        stored = await asyncio.gather(*(self.core.submit(wanted, ADA, key=None) for _ in range(times)))
        return [await self._until(execution, _runs) for execution, _ in stored]

    def stop(self, executions: list[Execution]) -> None:
        """Stop them and wait until nothing of them is left."""
        self._loop.run_until_complete(self._stop(executions))

    async def _stop(self, executions: list[Execution]) -> None:
        await asyncio.gather(*(self.core.stop(each.id, ADA) for each in executions))
        for each in executions:
            await self._until(each, lambda found: found.is_ended)
            await self.core._actions.settle(each.id)

    async def _until(self, wanted: Execution, condition: Callable[[Execution], bool]) -> Execution:
        end = time.monotonic() + LIMIT_S
        while not condition(found := await self.core.execution(wanted.id, ADA)):
            if found.is_ended or time.monotonic() > end:
                raise RuntimeError(f"{found.name} is {found.state.value}: {found.reason}")
            await asyncio.sleep(0.01)
        return found


def _runs(execution: Execution) -> bool:
    """With all that it wants, also what is elastic."""
    wanted = sum(process.core + process.elastic for process in execution.application.processes)
    ready = [service for service in execution.services.values() if service.state is ServiceState.RUNNING]
    return execution.state is State.RUNNING and len(ready) == wanted


@contextmanager
def zoe(backend: str, options: Mapping[str, Any]) -> Iterator[Zoe]:
    with tempfile.TemporaryDirectory(prefix=f"zoe-{backend}-") as folder:
        loop = asyncio.new_event_loop()
        found = Zoe(Path(folder), loop, backend, options)
        try:
            yield found
        finally:
            loop.run_until_complete(found.core.close())
            loop.close()


def in_parallel(work: Callable[[Any], Any], items: Any) -> list[Any]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(work, list(items)))


def taken(work: Callable[[], Any]) -> Taken:
    """Wall time, and CPU of this process and the programs that it ran; the engine's own is the same for both sides but for what is asked of it."""
    wall, cpu = time.monotonic(), sum(os.times()[:4])
    work()
    return Taken(time.monotonic() - wall, max(1e-3, sum(os.times()[:4]) - cpu))
