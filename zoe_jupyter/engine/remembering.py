"""What is worked out for every execution, again only for those that changed: of thousands that wait, few change at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from zoe_jupyter.model.execution import Execution

T = TypeVar("T")


class Remembered(Generic[T]):
    """``of`` must be a pure function of the execution."""

    def __init__(self, of: Callable[[Execution], T]) -> None:
        self._of = of
        self._known: dict[str, tuple[Execution, T]] = {}

    def all(self, executions: Iterable[Execution]) -> list[tuple[Execution, T]]:
        """Each with its value, in order; whatever is not among them is forgotten."""
        known: dict[str, tuple[Execution, T]] = {}
        for execution in executions:
            earlier = self._known.get(execution.id)
            known[execution.id] = (
                earlier if earlier is not None and earlier[0] is execution else (execution, self._of(execution))
            )
        self._known = known
        return list(known.values())
