"""How much memory 10,000 queued executions take, over an empty engine."""

from __future__ import annotations

import asyncio
import gc
import tempfile
from pathlib import Path

import psutil

from benchmarks.admission import core_on
from benchmarks.running import Effort, Report, note
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.model.execution import State

QUEUED, QUICK_QUEUED = 10_000, 480
USERS = 20
AT_ONCE = 4
"""Submits of each user under way."""
LIMIT_S = 900.0
ENTRY = "hall"
"""Takes all of the machine: the first one runs, the others wait."""
HALL = """
zoe: 1
kind: framework
name: hall
title: hall
summary: Takes all of the machine
parameters:
  type: object
  properties: {workers: {type: integer, minimum: 1, maximum: 64, default: 4}}
processes:
  head:
    command: ["head", "--port", "{{ ports.rpc }}"]
    ports: {rpc: {protocol: tcp}, ui: {protocol: http, title: Head}}
    resources: {cores: 8, memory: 12GiB}
  worker:
    after: [head]
    count: {core: 0, elastic: "{{ parameters.workers }}"}
    command: ["worker", "{{ processes.head.host }}:{{ processes.head.ports.rpc }}"]
"""


def measure(effort: Effort) -> Report:
    """Once: resident memory before the first submit and when all of them wait."""
    count = QUICK_QUEUED if effort.is_quick else QUEUED
    with tempfile.TemporaryDirectory(prefix="zoe-queue-") as folder:
        before, after = asyncio.run(_run(Path(folder), count))
    mib = (after - before) / 2**20
    note(f"{before / 2**20:.0f} MiB empty, {after / 2**20:.0f} MiB with {count} queued")
    report = Report(figures={"mib": round(mib, 1)})
    report.runs.append({"side": "zoe", "queued": count, "before_bytes": before, "after_bytes": after})
    return report


async def _run(folder: Path, count: int) -> tuple[int, int]:
    async with core_on(folder, {ENTRY: HALL}) as core:
        await _submit(core, 0, 1)
        before = _resident()
        waits = [_submit(core, user, count // USERS // AT_ONCE) for user in range(USERS) for _ in range(AT_ONCE)]
        await asyncio.gather(*waits)
        admin = Caller("admin", is_admin=True)
        async with asyncio.timeout(LIMIT_S):
            while len(await core.queue(admin)) < count:  # noqa: ASYNC110 (a condition of another task)
                await asyncio.sleep(0.5)
        page = await core.executions(admin, states=[State.QUEUED], limit=1)
        assert page.items, "none is queued"
        return before, _resident()


async def _submit(core: Core, user: int, count: int) -> None:
    for number in range(count):
        submission = Submission(use=ENTRY, parameters={"workers": 1 + number % 8})
        await core.submit(submission, Caller(f"user-{user}"), key=None)


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)
