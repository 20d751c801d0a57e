"""Brings new places in the queue into the event stream, without a storm of events when a long queue moves on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.wording import in_own_words
from zoe_jupyter.model.execution import Execution, Reason, State
from zoe_jupyter.scheduler.plan import Plan

MOST = 20
"""Of one owner: nobody watches more."""
AGAIN_S = 1.0
"""New places of those that were told one before are told so seldom; the first place is told at once."""

Place = tuple[str, int]


class Teller:
    """``wake`` is called when there is something left to tell."""

    def __init__(self, ledger: Ledger, wake: Callable[[], object]) -> None:
        self._ledger = ledger
        self._wake = wake
        self._changes = ledger.executions.changes()
        self._told: dict[str, Place] = {}
        self._moved_at = -AGAIN_S
        self._timer: asyncio.TimerHandle | None = None

    async def tell(self, plan: Plan) -> None:
        """Tell what has changed since the last time, in one transaction."""
        changed = self._changes.take()
        is_time = self._may_tell_moves()
        found = self._first_of_each(plan) if is_time else self._new(changed, plan)
        waiting = [(execution, in_own_words(reason, execution.application)) for execution, reason in found]
        places = {e.id: (reason.code, int(reason.numbers.get("position", 0))) for e, reason in waiting}
        news = [
            (execution, "execution.waiting", {"code": why.code, "text": why.text, "numbers": dict(why.numbers)})
            for execution, why in waiting
            if self._told.get(execution.id) != places[execution.id]
        ]
        self._told = places if is_time else {**self._told, **places}
        if news:
            await self._ledger.note(news)

    def _new(self, changed: Sequence[str], plan: Plan) -> Iterator[tuple[Execution, Reason]]:
        """Those that nobody was told of yet."""
        told = Counter(e.owner for key in self._told if (e := self._ledger.executions.get(key)) is not None)
        for execution_id in changed:
            execution = self._ledger.executions.get(execution_id)
            if execution is None or execution_id in self._told or execution_id not in plan.waiting:
                continue
            if execution.state is State.QUEUED and told[execution.owner] < MOST:
                told[execution.owner] += 1
                yield execution, plan.waiting[execution_id]

    def _first_of_each(self, plan: Plan) -> Iterator[tuple[Execution, Reason]]:
        """The first of each owner that wait, in the queue's order."""
        found: Counter[str] = Counter()
        for execution_id in plan.waiting:
            execution = self._ledger.executions.get(execution_id)
            if execution is not None and execution.state is State.QUEUED and found[execution.owner] < MOST:
                found[execution.owner] += 1
                yield execution, plan.waiting[execution_id]

    def _may_tell_moves(self) -> bool:
        loop = asyncio.get_running_loop()
        if loop.time() - self._moved_at >= AGAIN_S:
            self._moved_at = loop.time()
            return True
        if self._timer is None or self._timer.when() <= loop.time():
            self._timer = loop.call_at(self._moved_at + AGAIN_S, self._wake)
        return False
