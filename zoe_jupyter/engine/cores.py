"""Tells services how many cores they may use, where the backend holds them to that: what nobody asked for is shared by those that run there."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator, Mapping

from zoe_jupyter.backends.base import Backend, Unreachable
from zoe_jupyter.engine.living import Living
from zoe_jupyter.model.errors import BackendError, Retryable
from zoe_jupyter.model.execution import ServiceState
from zoe_jupyter.scheduler.cores import share_cores
from zoe_jupyter.scheduler.snapshot import Counts, ExecutionId, Snapshot

logger = logging.getLogger(__name__)

GONE = frozenset({ServiceState.WAITING, ServiceState.ENDED})
Attempt = tuple[str, str, int]
"""(execution, service, attempt)"""


class Cores:
    """Hears of each decision, and acts in a task of its own: no decision waits for a backend. Nothing of it is stored: it is told again."""

    def __init__(self, backend: Backend, living: Living) -> None:
        self._backend = backend
        self._living = living
        self._snapshot: Snapshot | None = None
        self._told: dict[Attempt, int] = {}
        self.wanted = asyncio.Event()

    def hear(self, snapshot: Snapshot) -> None:
        """What is held now; the newest is what counts."""
        if snapshot.is_reachable and self._backend.capabilities().changes_cores:
            self._snapshot = snapshot
            self.wanted.set()

    async def share(self) -> None:
        """Tell those whose share has changed: first who gets fewer, then who gets more. Who could not be told is told after the next decision."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            return
        wanted = dict(self._attempts(share_cores(snapshot.nodes, snapshot.jobs)))
        self._told = {attempt: cores for attempt, cores in self._told.items() if attempt in wanted}
        less = {attempt: cores for attempt, cores in wanted.items() if cores < self._told.get(attempt, math.inf)}
        more = {attempt: cores for attempt, cores in wanted.items() if cores > self._told.get(attempt, math.inf)}
        for changed in (less, more):
            await asyncio.gather(*(self._tell(attempt, cores) for attempt, cores in changed.items()))

    def _attempts(self, shares: Mapping[ExecutionId, Counts]) -> Iterator[tuple[Attempt, int]]:
        """Those that were launched."""
        for execution_id, share in shares.items():
            execution = self._living.get(execution_id)
            for service in execution.services.values() if execution else ():
                microcores = share.get(service.process, {}).get(service.node)
                if microcores is not None and service.handle and service.state not in GONE:
                    yield (execution_id, service.name, service.attempt), microcores

    async def _tell(self, attempt: Attempt, microcores: int) -> None:
        execution_id, service, number = attempt
        try:
            await self._backend.set_cores(execution_id, service, number, microcores=microcores)
        except (Unreachable, Retryable) as error:
            logger.info("execution %s: the cores of %s stay as they are: %s", execution_id, service, error)
            return
        except BackendError as error:
            logger.warning("execution %s: the cores of %s cannot be changed: %s", execution_id, service, error)
        self._told[attempt] = microcores
