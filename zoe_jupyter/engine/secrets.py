"""What services of an execution need to know and nobody else may: read from the store once, and kept for as long as it lives."""

from __future__ import annotations

from collections.abc import Mapping

from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.store.repository import Store


class Secrets:
    def __init__(self, ledger: Ledger, store: Store) -> None:
        self._ledger = ledger
        self._store = store
        self._changes = ledger.executions.changes()
        self._known: dict[str, Mapping[str, str]] = {}

    async def of(self, execution_id: str) -> Mapping[str, str]:
        """Kept, as each of its launches asks."""
        execution = self._ledger.executions.get(execution_id)
        if execution is not None and not execution.application.secrets:
            return {}
        if execution_id not in self._known:
            for changed in self._changes.take():
                if changed not in self._ledger.executions:
                    self._known.pop(changed, None)
            self._known[execution_id] = await self._ledger.read(self._store.secrets, execution_id)
        return self._known[execution_id]
