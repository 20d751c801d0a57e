"""A backend in memory with scripted faults, for tests of the engine: slow, unreachable, launches that fail, services that exit, and lies:

launches that fail and have started it all the same, services that are not seen for a while, looks that are old, hints that never come.

Deterministic: nothing happens by itself but what ``auto_ready`` and ``auto_exit`` say. One instance is one world: give it to a second engine
after ``close()`` to play a restart of the core.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.base import (
    Backend,
    Bounds,
    Capabilities,
    Environment,
    Observation,
    Reserved,
    Seen,
    SeenState,
    ServiceOrder,
    Unreachable,
    Usage,
)
from zoe_jupyter.model.application import Port, Requirement
from zoe_jupyter.model.errors import BackendError, NotFound, Retryable
from zoe_jupyter.model.execution import Client, Reason
from zoe_jupyter.model.resources import Node, Resources

Attempt = tuple[str, str, int]
"""(execution id, service, attempt)"""

GIB = 1024**3
ONE_NODE = (Node(name="local", capacity=Resources(microcores=8_000_000, memory_bytes=16 * GIB)),)
NO_ANSWER = "its supervisor does not answer"


@dataclass(slots=True)
class Failure:
    """A scripted fault of ``launch``; ``times`` counts down."""

    error: BackendError | Unreachable
    service: str = ""
    times: int = 1
    is_lie: bool = False
    """The service is started all the same."""


@dataclass(slots=True)
class World:
    """What would survive the core: services and all that belongs to them."""

    seen: dict[Attempt, Seen] = field(default_factory=dict)
    reserved: dict[Attempt, Reserved] = field(default_factory=dict)
    logs: dict[tuple[str, str], bytearray] = field(default_factory=dict)
    next_port: int = 20000


class FakeBackend(Backend):
    """Scripted by its attributes and by ``make_ready``, ``exit``, ``vanish``, ``fail_launch``, ``say``; tells what was asked of it in its lists."""

    def __init__(
        self,
        *,
        deployment: str = "test",
        data_dir: Path | None = None,
        nodes: Sequence[Node] = ONE_NODE,
        auto_ready: bool = True,
        auto_exit: bool = True,
    ) -> None:
        self.deployment = deployment
        self.data_dir = data_dir or Path("/nonexistent")
        self.world = World()
        self.machines: list[Node] = list(nodes)
        self.auto_ready = auto_ready
        """Launched services are ready at once; else ``make_ready`` says when."""
        self.auto_exit = auto_exit
        """Stopped services exit at once with 143; else ``exit`` says when."""
        self.is_reachable = True
        """False: every call but ``start``, ``close`` and ``capabilities`` raises Unreachable."""
        self.unreachable: dict[str, str] = {}
        """``{execution id or node: why}``: not among the services of an observation while it is in here."""
        self.silent: set[str] = set()
        """Executions whose supervisor answers nobody, until it is ended by force or in a cleaning."""
        self.slow_s, self.loses_hints = 0.0, False
        """How long every call takes; nobody is told that something changed."""
        self.hidden_looks = 0
        """Services launched from now on are missing in so many looks."""
        self.stale_looks: list[int] = []
        """Each of the next looks is so many looks old: 0 is what is, 1 what the look before it saw."""
        self.changes_cores = False
        """Whether services can be told how many cores they may use; ``cores`` has what they were told, ``core_calls`` counts how often."""
        self.cores: dict[Attempt, int] = {}
        self.core_calls, self.run_exit_code = 0, 0
        self.environment = Environment(python="/usr/bin/python3", python_version="3.11.7")
        """What ``inspect`` finds."""
        self.fetching: dict[str, asyncio.Event] = {}
        """Services whose image comes only when this is set."""
        self.launched: list[ServiceOrder] = []
        """Every order that started something; a repeated launch of a living attempt is not here twice."""
        self.stopped: list[Attempt] = []
        self.cleaned: list[str] = []
        self.ran: list[tuple[Attempt, tuple[str, ...]]] = []
        self.bounds: dict[str, Bounds] = {}
        self.is_started, self.starts = False, 0
        """How often ``start`` was called: once for each core."""
        self._hidden: dict[Attempt, int] = {}
        self._looks: deque[Observation] = deque(maxlen=8)
        self._failures: list[Failure] = []
        self._unclean: dict[str, BackendError] = {}
        self._listeners: set[asyncio.Event] = set()

    # What tests say

    def make_ready(self, execution_id: str, service: str) -> None:
        """Let the newest attempt of the service become ready."""
        self._change(self._newest(execution_id, service), state=SeenState.READY)

    def exit(
        self,
        execution_id: str,
        service: str,
        code: int | None,
        reason: Reason | None = None,
        *,
        is_blameless: bool = False,
    ) -> None:
        """Let the newest attempt of the service end."""
        default = Reason("exited", f"exited with {code}", {"exit_code": code})
        key = self._newest(execution_id, service)
        self._change(key, state=SeenState.EXITED, exit_code=code, reason=reason or default, is_blameless=is_blameless)

    def vanish(self, execution_id: str, service: str) -> None:
        """Let the newest attempt disappear without a trace."""
        del self.world.seen[self._newest(execution_id, service)]
        self.hint()

    def fail_launch(
        self, error: BackendError | Unreachable, *, service: str = "", times: int = 1, is_lie: bool = False
    ) -> None:
        """Let the next ``times`` launches (of that service, else of any) raise the error; with ``is_lie`` they start it all the same."""
        self._failures.append(Failure(error, service, times, is_lie))

    def heal(self) -> None:
        """End every scripted fault; what they led to stays."""
        self.is_reachable, self.slow_s, self.loses_hints, self.hidden_looks = True, 0.0, False, 0
        self.auto_ready, self.auto_exit = True, True
        for things in (self.unreachable, self.silent, self.stale_looks, self._failures, self._unclean, self._hidden):
            things.clear()

    def leave(self) -> None:
        """Its core has gone without closing it."""
        self._listeners.clear()

    def fail_clean(self, error: BackendError, *, execution_id: str) -> None:
        """Let the next cleaning of that execution raise the error."""
        self._unclean[execution_id] = error

    def say(self, execution_id: str, service: str, output: bytes) -> None:
        """Append to the service's log."""
        self.world.logs.setdefault((execution_id, service), bytearray()).extend(output)
        self.hint()

    def hint(self) -> None:
        """Tell everybody who follows ``changes`` that there is something new."""
        if self.loses_hints:
            return
        for listener in self._listeners:
            listener.set()

    def state_of(self, execution_id: str, service: str) -> SeenState | None:
        """State of the newest attempt; None when there never was one."""
        try:
            return self.world.seen[self._newest(execution_id, service)].state
        except KeyError:
            return None

    def alive(self, execution_id: str = "") -> list[str]:
        """Names of the services that have not exited, sorted."""
        living = (seen for seen in self.world.seen.values() if seen.state is not SeenState.EXITED)
        return sorted(seen.service for seen in living if not execution_id or seen.execution_id == execution_id)

    # The contract

    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="fake",
            isolation="process",
            limits={"memory": "none", "cpu": "none"},
            is_multi_node=True,
            changes_cores=self.changes_cores,
            choices=("python", "cwd"),
        )

    async def start(self) -> None:
        self.is_started = True
        self.starts += 1

    async def close(self) -> None:
        self.is_started = False

    async def nodes(self) -> Sequence[Node]:
        await self._answer()
        return tuple(self.machines)

    async def inspect(self, requires: Requirement, client: Client, *, images: Sequence[str] = ()) -> Environment:
        await self._answer()
        return replace(self.environment, python=client.python or self.environment.python)

    async def reserve(
        self,
        *,
        execution_id: str,
        owner: str,
        service: str,
        attempt: int,
        node: str,
        ports: Mapping[str, Port],
        framework_folder: str,
    ) -> Reserved:
        await self._answer()
        key = (execution_id, service, attempt)
        if key not in self.world.reserved:
            folder = self.data_dir / execution_id
            self.world.reserved[key] = Reserved(
                host="127.0.0.1",
                ports={name: self._port() for name in ports},
                folder=str(folder / service),
                framework_folder=framework_folder,
                cwd=str(folder),
            )
        return self.world.reserved[key]

    async def prepare(self, execution_id: str, service: str, attempt: int, *, image: str, node: str) -> None:
        if service in self.fetching:
            await self.fetching[service].wait()

    async def launch(self, order: ServiceOrder, node: str) -> Mapping[str, Any]:
        await self._answer()
        if order.execution_id in self.silent:
            raise Unreachable(NO_ANSWER)
        key = (order.execution_id, order.service, order.attempt)
        if key not in self.world.seen:
            failure = self._failure(order.service)
            if failure is None or failure.is_lie:
                self.launched.append(order)
                self._begin(key, order, node)
            if failure is not None:
                raise failure.error
        return self.world.seen[key].handle

    async def stop(self, execution_id: str, service: str, attempt: int, *, grace_s: float) -> None:
        await self._answer(execution_id)
        key = (execution_id, service, attempt)
        if key not in self.world.seen:
            return
        self.stopped.append(key)
        if self.auto_exit and self.world.seen[key].state is not SeenState.EXITED:
            reason = Reason("killed", "killed by SIGTERM", {"exit_code": 143})
            self._change(key, state=SeenState.EXITED, exit_code=143, reason=reason)

    async def force(self, execution_id: str) -> None:
        await self._answer()
        if execution_id in self.silent:
            self.silent.discard(execution_id)
            for key in [key for key in self.world.seen if key[0] == execution_id]:
                if self.world.seen[key].state is not SeenState.EXITED:
                    reason = Reason("killed", "killed by SIGKILL", {"exit_code": 137})
                    self._change(key, state=SeenState.EXITED, exit_code=137, reason=reason)

    async def set_cores(self, execution_id: str, service: str, attempt: int, *, microcores: int) -> None:
        await self._answer()
        key = (execution_id, service, attempt)
        self.core_calls += 1
        if key in self.world.seen and self.world.seen[key].state is not SeenState.EXITED:
            self.cores[key] = microcores

    async def run(
        self,
        execution_id: str,
        service: str,
        attempt: int,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout_s: float,
    ) -> int:
        await self._answer(execution_id)
        self.ran.append(((execution_id, service, attempt), tuple(command)))
        return self.run_exit_code

    async def observe(self) -> Observation:
        await self._answer()
        self._looks.appendleft(self._look())
        age = self.stale_looks.pop(0) if self.stale_looks else 0
        return self._looks[min(age, len(self._looks) - 1)]

    def _look(self) -> Observation:
        unreachable = {**self.unreachable, **dict.fromkeys(self.silent, NO_ANSWER)}
        known = [
            seen
            for key, seen in self.world.seen.items()
            if seen.execution_id not in unreachable and not self._is_cut_off(seen) and not self._is_hidden(key)
        ]
        kept = frozenset(execution_id for execution_id, _, _ in (*self.world.seen, *self.world.reserved))
        return Observation(services=tuple(known), unreachable=unreachable, kept=kept)

    def _is_hidden(self, key: Attempt) -> bool:
        left = self._hidden.get(key, 0)
        self._hidden[key] = left - 1
        return left > 0

    async def changes(self) -> AsyncIterator[None]:
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            while True:
                await listener.wait()
                listener.clear()
                yield None
        finally:
            self._listeners.discard(listener)

    async def bound(self, execution_id: str, bounds: Bounds) -> None:
        await self._answer()
        self.bounds[execution_id] = bounds

    async def clean(self, execution_id: str, *, keep_logs: bool) -> None:
        await self._answer()
        if execution_id in self._unclean:
            raise self._unclean.pop(execution_id)
        self.silent.discard(execution_id)
        self.cleaned.append(execution_id)
        for things in (self.world.seen, self.world.reserved):
            for key in [key for key in things if key[0] == execution_id]:
                del things[key]
        if not keep_logs:
            for name in [name for name in self.world.logs if name[0] == execution_id]:
                del self.world.logs[name]
        self.hint()

    async def usage(self) -> Sequence[Usage]:
        await self._answer()
        living = (seen for seen in self.world.seen.values() if seen.state is not SeenState.EXITED)
        return tuple(Usage(seen.execution_id, seen.service, 0.5, 100 * 1024**2) for seen in living)

    async def logs(self, execution_id: str, service: str, *, tail: int | None, follow: bool) -> AsyncIterator[bytes]:
        await self._answer()
        if (execution_id, service) not in self.world.logs:
            raise NotFound(f"there is no service {service!r} of {execution_id}")
        output = self.world.logs[execution_id, service]
        sent = len(output) - len(_last_lines(bytes(output), tail))
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            while True:
                while sent < len(output):
                    chunk = bytes(output[sent : sent + 65536])
                    sent += len(chunk)
                    yield chunk
                if not follow or self._has_ended(execution_id, service):
                    return
                await listener.wait()
                listener.clear()
        finally:
            self._listeners.discard(listener)

    def _has_ended(self, execution_id: str, service: str) -> bool:
        """For good: stopped on purpose, or cleaned. After any other exit another attempt may follow."""
        state = self.state_of(execution_id, service)
        return state is None or (state is SeenState.EXITED and self._newest(execution_id, service) in self.stopped)

    async def _answer(self, execution_id: str = "") -> None:
        """Take the scripted time, and answer or not; also for what looks after that execution."""
        if self.slow_s:
            await asyncio.sleep(self.slow_s)
        if not self.is_reachable:
            raise Unreachable("the fake backend was told not to answer")
        if execution_id in self.silent:
            raise Retryable(NO_ANSWER)

    def _failure(self, service: str) -> Failure | None:
        for failure in self._failures:
            if failure.service in ("", service) and failure.times > 0:
                failure.times -= 1
                return failure
        return None

    def _begin(self, key: Attempt, order: ServiceOrder, node: str) -> None:
        self.world.logs.setdefault(key[:2], bytearray())
        self.world.seen[key] = Seen(
            *key,
            state=SeenState.READY if self.auto_ready else SeenState.STARTING,
            handle={"name": f"{order.service}#{order.attempt}", "node": node},
            host="127.0.0.1",
            ports=dict(order.port_numbers),
        )
        self._hidden[key] = self.hidden_looks
        self.hint()

    def _change(self, key: Attempt, **fields: Any) -> None:
        self.world.seen[key] = replace(self.world.seen[key], **fields)
        self.hint()

    def _newest(self, execution_id: str, service: str) -> Attempt:
        attempts = [key for key in self.world.seen if key[:2] == (execution_id, service)]
        if not attempts:
            raise KeyError(f"{service} of {execution_id} was never launched; launched: {sorted(self.world.seen)}")
        return max(attempts, key=lambda key: key[2])

    def _is_cut_off(self, seen: Seen) -> bool:
        return str(seen.handle.get("node", "")) in self.unreachable

    def _port(self) -> int:
        self.world.next_port += 1
        return self.world.next_port


def _last_lines(output: bytes, tail: int | None) -> bytes:
    return output if tail is None else b"".join(output.splitlines(keepends=True)[-tail:] if tail else [])
