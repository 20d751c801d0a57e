"""The task that forgets what ended long ago, and its logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from zoe_jupyter.backends.base import Backend, Unreachable
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.errors import BackendError
from zoe_jupyter.store.errors import StoreError
from zoe_jupyter.store.repository import Store

logger = logging.getLogger(__name__)

EXPIRE_S = 3600.0
EXPIRE_AGAIN_S = 1.0


async def expiring(
    ledger: Ledger, *, store: Store, backend: Backend, clock: Callable[[], float], history_s: float
) -> None:
    """Look once an hour, and soon again while there is more."""
    while True:
        forgotten: list[str] = []
        try:
            now = clock()
            # Logs first: nobody would know of them any more once their execution is deleted.
            for execution_id in await ledger.read(store.expiring, now, history_s):
                await backend.clean(execution_id, keep_logs=False)
            failpoint("expire.before")
            forgotten = await ledger.write(store.expire, now, history_s)
            failpoint("expire.after")
        except (StoreError, BackendError, Unreachable) as error:
            logger.warning("history could not be trimmed: %s", error)
        await asyncio.sleep(EXPIRE_AGAIN_S if forgotten else EXPIRE_S)
