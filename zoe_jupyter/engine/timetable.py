"""When something is due for which execution; looked at again only where something has changed."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from zoe_jupyter.engine.living import Living
from zoe_jupyter.lifecycle.step import next_due


class Timetable:
    def __init__(self, living: Living) -> None:
        self._living = living
        self._changes = living.changes()
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def next(self) -> float | None:
        """The earliest moment, in epoch seconds; None when nothing is due."""
        self._update()
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[str]:
        """Those whose moment has come."""
        self._update()
        return [execution_id for execution_id, at in self._at.items() if at <= now] if self._is_due(now) else []

    def _is_due(self, now: float) -> bool:
        at = self.next()
        return at is not None and at <= now

    def _update(self) -> None:
        for execution_id in self._changes.take():
            execution = self._living.get(execution_id)
            at = None if execution is None else next_due(execution)
            if at is None:
                self._at.pop(execution_id, None)
            elif self._at.get(execution_id) != at:
                self._at[execution_id] = at
                heappush(self._heap, (at, execution_id))
        if len(self._heap) > 64 + 2 * len(self._at):
            self._heap = [(at, execution_id) for execution_id, at in self._at.items()]
            heapify(self._heap)
