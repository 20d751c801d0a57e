"""Which kernels live: this Jupyter server's kernel manager is the truth about their leases, and the core is told it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from zoe_jupyter.server.files import read_address
from zoe_jupyter.server.home import Home
from zoe_jupyter.server.wire import Visitor, WireAnswer, WireRequest

log = logging.getLogger("zoe_jupyter.server")

LOOK_S = 2.0
REPORT_S = 10.0


class Desk:
    """What this server's browsers, kernels and shells ask. Keeps leases and reports about kernels in order.

    A report on its way that does not know of a new kernel yet must not overtake that kernel's lease: the core would think the kernel dead.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self.order = asyncio.Lock()

    async def answer(self, request: WireRequest) -> WireAnswer:
        if request.method == "POST" and (request.path == "executions" or request.path.endswith("/leases")):
            async with self.order:
                return await self._home.answer(request)
        return await self._home.answer(request)


class KernelWitness:
    """Tells the core about kernels, on each change and at least every ten seconds; wakes a core for executions that live without one."""

    def __init__(
        self,
        home: Home,
        desk: Desk,
        visitor: Visitor,
        *,
        kernel_ids: Callable[[], Sequence[str]],
        database: Path | None,
    ) -> None:
        self._home = home
        self._desk = desk
        self._visitor = visitor
        self._kernel_ids = kernel_ids
        self._database = database
        self._told: frozenset[str] | None = None
        self._told_at = 0.0

    async def watch(self) -> None:
        """Runs until cancelled; no trouble ends it."""
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("telling Zoe about kernels failed; it will be tried again")
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        is_due = time.monotonic() - self._told_at >= REPORT_S or frozenset(self._kernel_ids()) != self._told
        if is_due and (self._is_core_known() or await asyncio.to_thread(self._has_live)):
            await self.report()

    async def report(self) -> None:
        async with self._desk.order:
            kernel_ids = sorted(self._kernel_ids())
            body = json.dumps({"kernel_ids": kernel_ids}).encode()
            path = f"servers/{self._visitor.server}/kernels"
            answer = await self._home.answer(WireRequest("POST", path, self._visitor, body=body, is_internal=True))
        if answer.status < 400:
            self._told = frozenset(kernel_ids)
        self._told_at = time.monotonic()

    def _is_core_known(self) -> bool:
        if self._home.is_seated:
            return True
        address = read_address(self._home.core_file)
        return address is not None and address.is_alive

    def _has_live(self) -> bool:
        """Where there is no file to look into (a database server), there may be."""
        if self._database is None:
            return True
        from zoe_jupyter.store.glance import has_live_executions

        return has_live_executions(self._database)
