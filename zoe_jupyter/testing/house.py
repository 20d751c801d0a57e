"""A whole core on the fake backend, with a real store, a shop of small test entries, and a clock that tests move."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoe_jupyter.engine.clock import Clock
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Execution, ServiceState, State
from zoe_jupyter.scheduler.snapshot import Rules
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.fake_backend import FakeBackend

CLUSTER = """
zoe: 1
kind: framework
name: cluster
version: "1"
title: Test cluster
summary: A head and workers that do nothing
tags: [engine]
parameters:
  type: object
  properties:
    workers: {type: integer, minimum: 1, maximum: 8, default: 2}
    memory: {type: string, format: memory, default: 1GiB}
processes:
  head:
    command: ["head", "--port", "{{ ports.rpc }}", "--key-file", "{{ files.key }}"]
    files: {key: "{{ secrets.key }}"}
    ports: {rpc: {protocol: tcp}, ui: {protocol: http, title: Head}}
    resources: {cores: 0.5, memory: 512MiB}
    ready: {tcp: rpc, timeout_s: 5}
  worker:
    after: [head]
    count: {core: 1, elastic: "{{ parameters.workers - 1 }}"}
    command: ["worker", "{{ processes.head.host }}:{{ processes.head.ports.rpc }}"]
    resources: {cores: 1, memory: "{{ parameters.memory }}"}
    restart: {when: on-failure, attempts: 2, delay_s: 1}
    drain: {command: ["drain", "{{ service.name }}"], timeout_s: 5}
    stop: {grace_s: 3}
provides:
  cluster: {address: "tcp://{{ processes.head.host }}:{{ processes.head.ports.rpc }}", secret: [key]}
"""
JOB = """
zoe: 1
kind: framework
name: job
version: "1"
title: Test job
summary: Runs once
ends_with: main
processes:
  main:
    command: ["job"]
    resources: {cores: 1, memory: 256MiB}
    restart: {when: never}
"""
ALICE = Caller("alice")
BOB = Caller("bob")
ADMIN = Caller("root", is_admin=True)


class MovedClock(Clock):
    """The machine's clocks, and so much that the test lets go by in between."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return super().__call__() + self.ahead_s


@dataclass
class House:
    """A core that can be opened and closed, and what survives it."""

    folder: Path
    backend: FakeBackend
    clock: MovedClock = field(default_factory=MovedClock)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Rules = Rules()
    policy: str = "fifo"
    core: Core = None  # type: ignore[assignment]

    def furnish(self) -> None:
        """Put the test entries into the shop."""
        for name, text in (("cluster", CLUSTER), ("job", JOB)):
            folder = self.folder / "shop" / name
            folder.mkdir(parents=True)
            (folder / "framework.yaml").write_text(text)

    async def open(self) -> Core:
        settings = Settings(
            data_dir=self.folder,
            shop_sources=(str(self.folder / "shop"),),
            groups=self.groups,
            rules=self.rules,
            policy=self.policy,
        )
        self.core = Core(
            settings=settings,
            backend=self.backend,
            store=Store(f"sqlite:///{self.folder / 'zoe.db'}"),
            clock=self.clock,
        )
        await self.core.open()
        return self.core

    async def reopen(self) -> Core:
        await self.core.close()
        return await self.open()

    async def submit(
        self, use: str = "cluster", *, caller: Caller = ALICE, key: str | None = None, **fields: object
    ) -> Execution:
        execution, _ = await self.core.submit(Submission(use=use, **fields), caller, key=key)  # type: ignore[arg-type]
        return execution

    async def get(self, execution: Execution | str) -> Execution:
        return await self.core.execution(execution if isinstance(execution, str) else execution.id, ADMIN)

    async def until(
        self, condition: Callable[[Execution], bool], execution: Execution | str, *, timeout_s: float = 10.0
    ) -> Execution:
        """Wait until the execution is so; fails with what it is instead."""
        deadline = time.monotonic() + timeout_s
        while True:
            now = await self.get(execution)
            if condition(now):
                return now
            assert time.monotonic() < deadline, (
                f"still {now.state.value}: {now.reason} {[(s.name, s.state.value, s.attempt, s.reason) for s in now.services.values()]}"
            )
            await asyncio.sleep(0.01)

    async def until_state(self, state: State, execution: Execution | str) -> Execution:
        return await self.until(lambda now: now.state is state, execution)


def running(execution: Execution) -> list[str]:
    return sorted(s.name for s in execution.services.values() if s.state is ServiceState.RUNNING)
