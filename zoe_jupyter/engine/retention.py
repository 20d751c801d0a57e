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
    """Look once an hour, and soon again while there is more; what cannot be cleaned is kept until the next hour."""
    kept: set[str] = set()
    while True:
        found: list[str] = []
        try:
            now = clock()
            old = await ledger.read(store.expiring, now, history_s, keeping=kept)
            # Logs first: nobody would know of them any more once their execution is deleted.
            cleaned = [each for each in old if await _is_cleaned(backend, each)]
            kept.update(set(old).difference(cleaned))
            failpoint("expire.before")
            await ledger.write(store.expire, now, history_s, only=cleaned)
            failpoint("expire.after")
            found = old
        except StoreError as error:
            logger.warning("history could not be trimmed: %s", error)
        except Exception:
            logger.exception("history could not be trimmed; a defect")
        if not found:
            kept.clear()
        await asyncio.sleep(EXPIRE_AGAIN_S if found else EXPIRE_S)


async def _is_cleaned(backend: Backend, execution_id: str) -> bool:
    try:
        await backend.clean(execution_id, keep_logs=False)
    except (BackendError, Unreachable) as error:
        logger.warning("execution %s stays in the history, since it cannot be cleaned: %s", execution_id, error)
    except Exception:
        logger.exception("execution %s stays in the history, since cleaning failed; a defect", execution_id)
    else:
        return True
    return False
