"""Submits that are on their way into the store at the same time: which of them wait for each other, and which names they hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Set
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from weakref import WeakValueDictionary

from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.submitting import choose_name
from zoe_jupyter.model.execution import Execution


class UnderWay:
    def __init__(self) -> None:
        self._names: set[tuple[str, str]] = set()
        self._keys: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def one_by_one(self, owner: str, key: str | None) -> AsyncIterator[None]:
        """Submits with one key, one after the other: the second finds what the first has stored."""
        if key is None:
            yield
            return
        lock = self._keys.get((owner, key)) or self._keys.setdefault((owner, key), asyncio.Lock())
        async with lock:
            yield

    @contextmanager
    def named(self, submission: Submission, execution: Execution, alive: Set[str]) -> Iterator[Execution]:
        """The execution with a name that no other living one of its owner has (``alive``), or is about to have.

        Raises Conflict when it is taken.
        """
        owner = execution.owner
        taken = alive | {name for holder, name in self._names if holder == owner}
        name = choose_name(submission, execution.application, taken)
        self._names.add((owner, name))
        try:
            yield replace(execution, name=name)
        finally:
            self._names.discard((owner, name))
