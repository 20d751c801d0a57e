"""Leases: who holds an execution. For kernels of a Jupyter server its kernel manager is the truth; anybody else renews in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.submitting import check_client, new_lease
from zoe_jupyter.lifecycle.events import LeasesChanged
from zoe_jupyter.model.errors import Conflict, NotFound
from zoe_jupyter.model.execution import Client, Lease

logger = logging.getLogger(__name__)

SWEEP_S = 5.0
SERVER_SILENCE_S = 45.0
MOST = 1000
"""Leases of one execution."""


class Holding:
    """Takes, renews and ends leases. No lease is lost because of our own pause: silence counts from when we could have heard."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._monotonic = monotonic
        self._began = monotonic()
        self._swept_at = self._began
        self._heard: dict[str, float] = {}
        self._renewed: dict[str, float] = {}

    async def take(self, execution_id: str, *, kind: str, client: Client, ttl_s: float | None) -> Lease:
        """A new lease; the same kernel asking again gets the one that it has."""
        check_client(client)
        wanted = (execution_id, kind, client.kernel_id, client.server)
        for held in self._ledger.leases.values():
            if client.kernel_id and (held.execution_id, held.kind, held.client.kernel_id, held.client.server) == wanted:
                return held
        if self.count(execution_id) >= MOST:
            raise Conflict(f"it has {MOST} leases already; let go of some")
        lease = new_lease(execution_id, kind=kind, client=client, ttl_s=ttl_s, now=self._clock())
        await self._ledger.put_lease(lease)
        self._renewed[lease.id] = self._monotonic()
        await self._tell([execution_id])
        return lease

    async def renew(self, execution_id: str, lease_id: str) -> Lease:
        lease = self._find(execution_id, lease_id)
        self._renewed[lease_id] = self._monotonic()
        if lease.ttl_s is None:
            return lease
        renewed = replace(lease, expires_at=self._clock() + lease.ttl_s)
        await self._ledger.put_lease(renewed)
        return renewed

    async def drop(self, execution_id: str, lease_id: str) -> None:
        await self._drop([self._find(execution_id, lease_id)])

    async def hear(self, server: str, kernel_ids: Sequence[str]) -> None:
        """A Jupyter server says which kernels live: leases of its other kernels are over."""
        self._heard[server] = self._monotonic()
        alive = set(kernel_ids)
        await self._drop(
            [lease for lease in self._of(server) if lease.kind == "kernel" and lease.client.kernel_id not in alive]
        )

    def count(self, execution_id: str) -> int:
        return sum(lease.execution_id == execution_id for lease in self._ledger.leases.values())

    async def settle(self, execution_ids: Iterable[str]) -> None:
        """Bring the number of leases to executions that just came in or were read from the store."""
        await self._tell(execution_ids)

    async def sweeping(self, notice_time: Callable[[], Awaitable[None]]) -> None:
        """The task that ends leases of servers and notebooks that fell silent; the clock is looked at in the same go."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await notice_time()
                await self.sweep()
            except Exception:
                logger.exception("sweeping leases failed; it will be tried again")

    async def sweep(self) -> None:
        now = self._monotonic()
        if now - self._swept_at > 4 * SWEEP_S:
            self._began = now
        self._swept_at = now
        await self._drop([lease for lease in self._ledger.leases.values() if self._is_over(lease, now)])
        self._forget(now)

    def _forget(self, now: float) -> None:
        """Keep nothing of leases that are gone, nor of servers that have not spoken for long and hold none."""
        self._renewed = {own: at for own, at in self._renewed.items() if own in self._ledger.leases}
        holding = {lease.client.server for lease in self._ledger.leases.values()}
        recently = {server for server, at in self._heard.items() if now - at <= SERVER_SILENCE_S}
        self._heard = {server: at for server, at in self._heard.items() if server in holding | recently}

    def _is_over(self, lease: Lease, now: float) -> bool:
        if lease.ttl_s is not None:
            return now - max(self._began, self._renewed.get(lease.id, 0.0)) > lease.ttl_s
        return (
            now - max(self._began, self._heard.get(lease.client.server, 0.0), self._renewed.get(lease.id, 0.0))
            > SERVER_SILENCE_S
        )

    def _of(self, server: str) -> list[Lease]:
        return [lease for lease in self._ledger.leases.values() if lease.client.server == server]

    def _find(self, execution_id: str, lease_id: str) -> Lease:
        lease = self._ledger.leases.get(lease_id)
        if lease is None or lease.execution_id != execution_id:
            raise NotFound(
                f"execution {execution_id} has no lease {lease_id[:40]!r}; it may have run out: attach again"
            )
        return lease

    async def _drop(self, leases: Sequence[Lease]) -> None:
        if leases:
            await self._ledger.drop_leases([lease.id for lease in leases])
            for lease in leases:
                self._renewed.pop(lease.id, None)
            await self._tell({lease.execution_id for lease in leases})

    async def _tell(self, execution_ids: Iterable[str]) -> None:
        changes = {}
        for execution_id in execution_ids:
            execution = self._ledger.executions.get(execution_id)
            count = self.count(execution_id)
            if execution is not None and (execution.unleased_since is None) != (count > 0):
                changes[execution_id] = [LeasesChanged(count)]
        if changes:
            await self._ledger.apply_all(changes)
