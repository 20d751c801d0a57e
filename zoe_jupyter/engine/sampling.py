"""Samples of what executions use, kept in memory; and from them whether an execution is busy."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoe_jupyter.backends.base import Address, Backend, Unreachable, Usage
from zoe_jupyter.engine.door import Sample
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.waiting import wait_set
from zoe_jupyter.lifecycle.events import ActivitySeen
from zoe_jupyter.model.errors import BackendError, UserError
from zoe_jupyter.model.execution import Execution, Service, ServiceState, State
from zoe_jupyter.shop.templates import fill

logger = logging.getLogger(__name__)

WATCHED_S = 2.0
UNWATCHED_S = 10.0
WATCHED_FOR_S = 15.0
KEPT = 3600
ASKED_S, ASKED_AT_ONCE = 2.0, 16
"""For the way to an application and all that it says of whether it is busy; so many are asked at once."""
MOST_BYTES = 1 << 20
BUSY_CORES = 0.01


class Sampler:
    """Asks the backend for usage: often while somebody looks, seldom else, never when nothing runs."""

    def __init__(
        self, backend: Backend, ledger: Ledger, clock: Callable[[], float], count_leases: Callable[[str], int]
    ) -> None:
        self._backend = backend
        self._ledger = ledger
        self._clock = clock
        self._count_leases = count_leases
        self._samples: dict[str, deque[Sample]] = {}
        self._asked_at = 0.0
        self._asked = asyncio.Event()
        self._turns = asyncio.Semaphore(ASKED_AT_ONCE)

    def of(self, execution_id: str) -> Sequence[Sample]:
        """Its samples, oldest first; somebody looks, so the next ones come soon."""
        self._asked_at = self._clock()
        self._asked.set()
        return tuple(self._samples.get(execution_id, ()))

    async def sampling(self) -> None:
        while True:
            if self._clock() - self._asked_at < WATCHED_FOR_S:
                await asyncio.sleep(WATCHED_S)
            else:
                self._asked.clear()
                await wait_set(self._asked, UNWATCHED_S)
            try:
                await self.sample()
            except (Unreachable, BackendError) as error:
                logger.info("no usage: %s", error)
            except Exception:
                logger.exception("sampling failed; it will be tried again")

    async def sample(self) -> None:
        alive = {e.id: e for e in self._ledger.executions.values() if e.state in (State.STARTING, State.RUNNING)}
        if not alive:
            self._samples.clear()
            return
        usage = await self._backend.usage()
        now = self._clock()
        for item in usage:
            if item.execution_id in alive:
                self._samples.setdefault(item.execution_id, deque(maxlen=KEPT)).append(Sample(now, item))
        self._samples = {key: samples for key, samples in self._samples.items() if key in alive}
        await self._see_activity(alive, usage)

    async def _see_activity(self, alive: Mapping[str, Execution], usage: Sequence[Usage]) -> None:
        asked = [e for e in alive.values() if e.lifetime.idle_s is not None and e.state is State.RUNNING]
        busy = await asyncio.gather(*(self._is_busy(execution, usage) for execution in asked))
        changes = {
            execution.id: [ActivitySeen(is_busy)]
            for execution, is_busy in zip(asked, busy, strict=True)
            if is_busy != (execution.idle_since is None)
        }
        if changes:
            await self._ledger.apply_all(changes)

    async def _is_busy(self, execution: Execution, usage: Sequence[Usage]) -> bool:
        if execution.application.activity and (answer := await self._told(execution)) is not None:
            return answer
        if self._count_leases(execution.id):
            return True
        return sum(item.cpu_cores for item in usage if item.execution_id == execution.id) >= BUSY_CORES

    async def _told(self, execution: Execution) -> bool | None:
        """What it says itself; None where that cannot be had in time, whatever it is that goes wrong with what a user's program answers."""
        async with self._turns:
            try:
                return await asyncio.wait_for(self._asked_itself(execution), ASKED_S)
            except (Unreachable, BackendError):  # there is no way to it now
                return None
            except Exception as error:
                logger.info("execution %s: activity unknown: %s %s", execution.id, type(error).__name__, error)
                return None

    async def _asked_itself(self, execution: Execution) -> bool | None:
        return await _ask_activity(await self._as_seen_from_here(execution))

    async def _as_seen_from_here(self, execution: Execution) -> Execution:
        """With the addresses under which the core reaches the services that are asked."""
        services = dict(execution.services)
        asked = (_asked(execution, alias, probe) for alias, probe in execution.application.activity.items())
        for service in (each for each in asked if each is not None and each.handle):
            inside = Address(service.host, service.ports)
            address = await self._backend.reach(execution.id, service.name, service.attempt, inside)
            services[service.name] = replace(service, host=address.host, ports=address.ports)
        return replace(execution, services=services)


async def _ask_activity(execution: Execution) -> bool | None:
    """Ask the application itself, as the ``activity`` of its frameworks says; None when none of them answers."""
    answers = [await _ask_framework(execution, alias, probe) for alias, probe in execution.application.activity.items()]
    told = [answer for answer in answers if answer is not None]
    return any(told) if told else None


async def _ask_framework(execution: Execution, alias: str, probe: Mapping[str, Any]) -> bool | None:
    service, port = _asked(execution, alias, probe), _port(probe)
    if service is None:
        return None
    try:
        body = json.loads(await _page(f"http://{service.host}:{service.ports[port]}{probe.get('path', '/')}"))
        return bool(fill(str(probe.get("busy", "")), {"answer": body}, path=f"{alias}.activity.busy"))
    except (OSError, ValueError, RecursionError, UserError) as error:
        logger.info("execution %s: activity of %s unknown: %s", execution.id, alias, error)
        return None


def _asked(execution: Execution, alias: str, probe: Mapping[str, Any]) -> Service | None:
    """The first that has the page."""
    return next((each for each in execution.services.values() if _serves(each, alias, _port(probe))), None)


def _port(probe: Mapping[str, Any]) -> str:
    return str(probe.get("http", ""))


async def _page(url: str) -> bytes:
    """Its first ``MOST_BYTES``, as they are, of itself only: it sends Zoe to no other address. Raises OSError where it does not come."""
    import aiohttp

    body = bytearray()
    as_it_is = {"Accept-Encoding": "identity"}
    session = aiohttp.ClientSession(raise_for_status=True, auto_decompress=False, headers=as_it_is)
    try:
        async with session, session.get(url, allow_redirects=False) as response:
            async for piece in response.content.iter_chunked(1 << 16):
                body += piece
                if len(body) >= MOST_BYTES:
                    break
    except aiohttp.ClientError as error:
        raise OSError(f"{type(error).__name__} {error}") from error
    return bytes(body[:MOST_BYTES])


def _serves(service: Service, alias: str, port: str) -> bool:
    return (
        service.state is ServiceState.RUNNING and port in service.ports and service.process.partition(".")[0] == alias
    )
