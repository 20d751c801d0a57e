"""The executions that live, by id; and which of them have changed since somebody last looked, so that nobody looks at thousands for one."""

from __future__ import annotations

from collections.abc import Iterable, Set

from zoe_jupyter.model.execution import Execution


class Living(dict[str, Execution]):
    """Changed by item only."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: list[dict[str, None]] = []
        self._names: dict[str, set[str]] = {}

    def changes(self) -> Changes:
        """Those that change from now on; all that live count as changed now."""
        reader = dict.fromkeys(self)
        self._readers.append(reader)
        return Changes(reader)

    def names(self, owner: str) -> Set[str]:
        """Of the owner's."""
        return self._names.get(owner, set())

    def fill(self, executions: Iterable[Execution]) -> None:
        for execution in executions:
            self[execution.id] = execution

    def __setitem__(self, execution_id: str, execution: Execution) -> None:
        super().__setitem__(execution_id, execution)
        self._names.setdefault(execution.owner, set()).add(execution.name)
        self._note(execution_id)

    def __delitem__(self, execution_id: str) -> None:
        execution = self[execution_id]
        super().__delitem__(execution_id)
        names = self._names[execution.owner]
        names.discard(execution.name)
        if not names:
            del self._names[execution.owner]
        self._note(execution_id)

    def _note(self, execution_id: str) -> None:
        for reader in self._readers:
            reader[execution_id] = None


class Changes:
    """Ids in the order in which they changed first; ``take`` forgets them."""

    def __init__(self, noted: dict[str, None]) -> None:
        self._noted = noted

    def take(self) -> list[str]:
        """Those that changed since the last time, ended ones included."""
        taken = list(self._noted)
        self._noted.clear()
        return taken

    def put_back(self, ids: Iterable[str]) -> None:
        """They are to be looked at again."""
        self._noted.update(dict.fromkeys(ids))
