"""When the cluster removes each execution of which no core is heard any more: nothing is left then that could tell it, but what a core wrote down before."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from pathlib import Path

from zoe_jupyter.backends.containers import small_files
from zoe_jupyter.backends.kubernetes.parents import execution_of, removed_at
from zoe_jupyter.backends.kubernetes.watched import Object

logger = logging.getLogger(__name__)

WHY = "the cluster had heard of no Zoe for too long, or its time was over while no Zoe was there"


class Deadlines:
    """In epoch seconds. Kept in ``file``, which is written from time to time and lost without harm."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at: dict[str, float] = {}
        self._names: dict[str, str] = {}
        """Executions by their parents' names."""
        self._is_written = True
        self._has_warned = False

    def read(self) -> None:
        """Take in what an earlier core left."""
        found = small_files.read(self._file)
        self._at = {key: float(at) for key, at in found.items() if isinstance(at, int | float) and math.isfinite(at)}

    def note(self, execution_id: str, at: float) -> None:
        self._is_written &= self._at.get(execution_id) == at
        self._at[execution_id] = at

    def hear(self, name: str, parent: Object | None, now: float) -> None:
        """Of a parent, None once it is gone: before its time somebody has removed it, who wants no more of it."""
        if parent is not None:
            self._names[name] = execution_of(parent)
            self.note(self._names[name], removed_at(parent))
        elif (execution_id := self._names.pop(name, "")) and self._at.get(execution_id, now) > now:
            self.forget(execution_id)

    def forget(self, execution_id: str) -> None:
        self._is_written &= self._at.pop(execution_id, None) is None

    def over(self, there: Collection[str], now: float) -> dict[str, str]:
        """Executions that the cluster has removed, and why; ``there``: those of which it has something."""
        return {execution_id: WHY for execution_id, at in self._at.items() if at < now and execution_id not in there}

    def write(self) -> None:
        """What has changed. On a full disk nothing fails for it."""
        if self._is_written:
            return
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            small_files.replace(self._file, self._at)
        except OSError as error:
            if not self._has_warned:
                logger.warning("until when executions go on without a Zoe cannot be written down now: %s", error)
            self._has_warned = True
            return
        self._is_written, self._has_warned = True, False
