"""How long executions of an entry took before: what is assumed of those whose submitter said nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median

from zoe_jupyter.model.execution import Execution, Outcome

KEPT = 20
"""The newest of each entry and owner."""
_USUAL_ENDS = frozenset({Outcome.SUCCEEDED, Outcome.STOPPED, Outcome.EXPIRED})

Run = tuple[str, str, float]
"""Entry, owner, and the work that was done, in seconds with all that it wanted."""


class Estimates:
    def __init__(self) -> None:
        self._known: dict[tuple[str, str], deque[float]] = {}

    def learn(self, runs: Iterable[Run]) -> None:
        """Oldest first."""
        for entry, owner, done_s in runs:
            for key in ((entry, owner), (entry, "")):
                self._known.setdefault(key, deque(maxlen=KEPT)).append(done_s)

    def note(self, execution: Execution) -> None:
        """Learn from one that has ended; what failed tells nothing."""
        if execution.entry and execution.outcome in _USUAL_ENDS and execution.done_s > 0:
            self.learn([(execution.entry, execution.owner, execution.done_s)])

    def assume(self, entry: str, owner: str) -> float | None:
        """The median of the owner's own runs, else of everybody's; None when there were none."""
        for key in ((entry, owner), (entry, "")):
            if entry and key in self._known:
                return median(self._known[key])
        return None
