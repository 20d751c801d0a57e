"""What runs on the machines and this store has never heard of: it was restored from a backup, or begun anew. It is shown, and never ended unasked.

Each execution is in the event log before anything of it is started, and the log outlives it. So whatever the log does not tell of was started
by what this store was before, or will never be again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.observing import Findings

logger = logging.getLogger(__name__)


class Quarantine:
    """``now``: the services that run, by execution, as at the last look."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.now: Mapping[str, tuple[str, ...]] = {}

    async def sift(self, findings: Findings) -> Findings:
        """The findings without what has to be left alone."""
        dead = findings.dead - self._ledger.executions.keys()
        strangers = dead - await self._ledger.known(dead) if dead else set()
        if strangers - self.now.keys():
            await self._ledger.prove()
        for execution_id in sorted(strangers - self.now.keys()):
            logger.warning("execution %s runs, and this store does not know it: it is left alone", execution_id)
        self.now = {execution_id: findings.services(execution_id) for execution_id in sorted(strangers)}
        return findings.without(strangers)
