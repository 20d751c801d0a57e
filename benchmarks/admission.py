"""How many executions a second go from submit to end, on the workload that Kueue measures itself with; simulated services, a real store.

15,000 executions of 30 users in 5 groups on 600 cores: each user 350 small (1 core, 200 ms), 100 medium (5 cores, 500 ms) and 50 large (20 cores,
1 s) ones, of the classes 50, 100 and 200, one every 100 ms, 500 ms and 1.2 s. A user's share is 20 cores, with what their group lends 120.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.running import Effort, Report, note
from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.errors import TooMany
from zoe_jupyter.model.execution import LogEvent
from zoe_jupyter.model.quota import Limit, Quota
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.fake_backend import FakeBackend

GROUPS = {f"group-{g}": tuple(f"user-{g}-{u}" for u in range(6)) for g in range(5)}
CORE = 1_000_000
NODES = tuple(Node(f"node-{n:02}", Resources(60 * CORE, 1 << 40)) for n in range(10))
USER = Quota(share=Limit(microcores=20 * CORE), limit=Limit(microcores=120 * CORE))
GROUP = Quota(limit=Limit(microcores=120 * CORE))
QUICK_PART = 50
LIMIT_S = 600.0


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    cores: int
    run_s: float
    every_s: float
    count: int
    priority: str


KINDS = (
    Kind("small", 1, 0.2, 0.1, 350, "filler"),
    Kind("medium", 5, 0.5, 0.5, 100, "batch"),
    Kind("large", 20, 1.0, 1.2, 50, "interactive"),
)
RUN_S = {kind.name: kind.run_s for kind in KINDS}
FRAMEWORK = """
zoe: 1
kind: framework
name: {name}
title: {name}
summary: Does nothing for a while
ends_with: main
processes:
  main: {{command: ["work"], resources: {{cores: {cores}, memory: 1MiB}}, restart: {{when: never}}}}
"""


class Worker(FakeBackend):
    """Services end well by themselves, when their time is over."""

    async def launch(self, order: ServiceOrder, node: str) -> Mapping[str, Any]:
        handle = await super().launch(order, node)
        run_s = RUN_S[order.service.partition(".")[0]]
        asyncio.get_running_loop().call_later(run_s, self._end, order.execution_id, order.service)
        return handle

    def _end(self, execution_id: str, service: str) -> None:
        self.exit(execution_id, service, 0)


def measure(effort: Effort) -> Report:
    """Once with all of it; with ``--quick`` a fiftieth."""
    with tempfile.TemporaryDirectory(prefix="zoe-admission-") as folder:
        taken_s, count = asyncio.run(_run(Path(folder), part=QUICK_PART if effort.is_quick else 1))
    note(f"{count} executions in {taken_s:.1f} s")
    report = Report(figures={"per_s": round(count / taken_s, 1)})
    report.runs.append({"side": "zoe", "executions": count, "wall_s": round(taken_s, 2)})
    return report


async def _run(folder: Path, *, part: int) -> tuple[float, int]:
    entries = {kind.name: FRAMEWORK.format(name=kind.name, cores=kind.cores) for kind in KINDS}
    async with core_on(folder, entries, backend=Worker(data_dir=folder / "backend", nodes=NODES)) as core:
        admin = Caller("admin", is_admin=True)
        for name, users in GROUPS.items():
            await core.put_quota(f"group:{name}", GROUP, admin)
            for user in users:
                await core.put_quota(user, USER, admin)
        total = sum(kind.count // part for kind in KINDS) * sum(map(len, GROUPS.values()))
        ended = asyncio.create_task(_see_end(core, admin, total))
        began = time.monotonic()
        submits = [
            _submit(core, Caller(user), kind, kind.count // part)
            for users in GROUPS.values()
            for user in users
            for kind in KINDS
        ]
        await asyncio.gather(*submits)
        note(f"all submitted after {time.monotonic() - began:.1f} s")
        await asyncio.wait_for(ended, LIMIT_S)
        return time.monotonic() - began, total


@asynccontextmanager
async def core_on(
    folder: Path, entries: Mapping[str, str], *, backend: FakeBackend | None = None
) -> AsyncIterator[Core]:
    """A core with a real store and a shop of these frameworks; simulated services."""
    for name, text in entries.items():
        (folder / "shop" / name).mkdir(parents=True)
        (folder / "shop" / name / "framework.yaml").write_text(text)
    core = Core(
        settings=Settings(data_dir=folder, shop_sources=(str(folder / "shop"),), groups=GROUPS),
        backend=backend or FakeBackend(data_dir=folder / "backend"),
        store=Store(f"sqlite:///{folder / 'zoe.db'}"),
    )
    await core.open()
    try:
        yield core
    finally:
        await core.close()


async def _submit(core: Core, caller: Caller, kind: Kind, count: int) -> None:
    """One after the other, each when it is due or as soon as the one before was taken."""
    began = time.monotonic()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number * kind.every_s - time.monotonic()))
        while True:
            try:
                await core.submit(Submission(use=kind.name, priority=kind.priority), caller, key=None)
                break
            except TooMany as error:
                await asyncio.sleep(error.retry_after_s)


async def _see_end(core: Core, admin: Caller, total: int) -> None:
    """Return when so many have ended, all of them well."""
    seen = 0
    async for event in core.events(admin, since=0, follow=True):
        if _has_ended(event):
            seen += 1
            if seen % 1000 == 0:
                note(f"{seen} have ended, {len(await core.queue(admin))} wait")
            if seen == total:
                return


def _has_ended(event: LogEvent) -> bool:
    if event.kind != "execution.ended":
        return False
    if event.data.get("outcome") != "succeeded":
        raise RuntimeError(f"execution {event.execution_id} has not succeeded: {event.data}")
    return True
