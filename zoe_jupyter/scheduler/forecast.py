"""When those that wait will start, as far as run times are known."""

from __future__ import annotations

import math
from heapq import heapify, heappop, heappush

from zoe_jupyter.scheduler.judge import Cause, Denied, Judge
from zoe_jupyter.scheduler.memo import Entry, Never
from zoe_jupyter.scheduler.placement import Taken, fits
from zoe_jupyter.scheduler.reservation import End
from zoe_jupyter.scheduler.snapshot import ExecutionId
from zoe_jupyter.scheduler.space import Machines, Space
from zoe_jupyter.scheduler.work import core_only_end

FURTHEST = 100
"""So many places of the queue are looked ahead."""


class Forecast:
    """``forecast(id)``: an estimate in epoch seconds, or None where nobody can know. Worked out at once for all when the first is asked for.

    It is rather late than early: as if only cores worked, and nobody overtook anybody.
    """

    def __init__(self, judge: Judge, never: Never, now: float) -> None:
        self._judge = judge
        self._never = never
        self._now = now
        self._starts: dict[ExecutionId, float] | None = None

    def __call__(self, execution_id: ExecutionId) -> float | None:
        if self._starts is None:
            self._starts = self._work_out()
        return self._starts.get(execution_id)

    def _work_out(self) -> dict[ExecutionId, float]:
        judge, starts = self._judge, dict[ExecutionId, float]()
        queue = [each for each in judge.denied.values() if each.cause not in {Cause.NOT_YET, Cause.QUOTA}][:FURTHEST]
        queue = [each for each in queue if self._never(each.entry) is None]
        if not queue:
            return starts
        ends = [end for end in judge.ends(None, queue[0].number) if end.at < math.inf]
        line = _Line(judge.room.machines, judge.holders.space(queue[0].number).copy(), ends, self._now)
        for denied in queue:
            at = line.start(denied)
            if at is None:
                break
            starts[denied.entry.job.id] = at
        return starts


class _Line:
    """Time that passes from end to end."""

    def __init__(self, machines: Machines, space: Space, ends: list[End], now: float) -> None:
        self._machines = machines
        self._space = space
        self._ends = [(max(now, end.at), end.job.id, number, end) for number, end in enumerate(ends)]
        self._count = len(self._ends)
        self._now = now
        heapify(self._ends)

    def start(self, denied: Denied) -> float | None:
        """When it fits; never before those that were asked for already. Room that is kept for somebody is not in the space any more."""
        entry, taken = denied.entry, denied.kept
        if taken is None:
            taken = self._wait(entry)
            for _, shape, node in taken or ():
                self._space.take(node, shape)
        if taken is None:
            return None
        end = core_only_end(entry.job, self._now)
        if end < math.inf:
            self._count += 1
            heappush(self._ends, (end, entry.job.id, self._count, End(end, entry.job, taken=taken)))
        return self._now

    def _wait(self, entry: Entry) -> Taken | None:
        taken = self._room(entry)
        while taken is None and self._ends:
            self._now, _, _, end = heappop(self._ends)
            for node, shape, count in end.holdings(self._machines):
                self._space.give(node, shape, count)
            taken = self._room(entry)
        return taken

    def _room(self, entry: Entry) -> Taken | None:
        return fits(entry.needs, self._machines, self._space, entry.mates)
