"""Why each of the others waits, worked out only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.scheduler import reasons
from zoe_jupyter.scheduler.judge import Cause, Denied, Judge
from zoe_jupyter.scheduler.memo import World
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job
from zoe_jupyter.scheduler.space import Space


@dataclass(frozen=True)
class Explanation:
    """The primary reason, with all else that is true under ``details`` of its numbers: code, text and numbers of each."""

    judge: Judge
    world: World
    free: Space
    """After the cores, before elastic services."""
    assumes: str
    now: float
    expected_start: Callable[[ExecutionId], float | None]
    lacks: dict[Hashable, Reason] = field(default_factory=dict)
    """Those that were worked out already."""

    def __call__(self, execution_id: ExecutionId, position: int) -> Reason:
        denied = self.judge.denied[execution_id]
        primary, *others = self._all(denied, position)
        numbers: dict[str, Any] = dict(primary.numbers)
        if others:
            numbers["details"] = [
                {"code": each.code, "text": each.text, "numbers": dict(each.numbers)} for each in others
            ]
        if (at := self.expected_start(execution_id)) is not None:
            numbers["expected_start"] = at
        if assumed := self._assumed(denied.entry.job):
            numbers["assumed"] = assumed
        return replace(primary, numbers=numbers)

    def _all(self, denied: Denied, position: int) -> list[Reason]:
        job = denied.entry.job
        if (never := self._never(denied)) is not None:
            return [never]
        if denied.cause is Cause.NOT_YET:
            return [reasons.delayed(job.not_before - self.now, failed_starts=job.failed_starts)]
        if denied.denial is not None:
            return [reasons.over_quota(denied.denial, is_room_coming=denied.is_coming)]
        return self._about_room(denied, position)

    def _about_room(self, denied: Denied, position: int) -> list[Reason]:
        entry, guard = denied.entry, self.judge.guard
        if denied.cause is Cause.RESERVED and guard is not None:
            kept = guard.reservation
            return [reasons.reserved(kept.job, kept.at, self.now, is_known=entry.job.run_s is not None)]
        if (closes := self._closes(denied)) is not None:
            return [closes]
        is_coming = denied.cause is Cause.COMING
        lack = self._lack(denied, is_coming=is_coming)
        first = self._first()
        if is_coming or first == entry.job.id:
            return [lack]
        return [reasons.behind(position, first), lack]

    def _closes(self, denied: Denied) -> Reason | None:
        """Whether it would start, were it not for nodes that close too soon."""
        if denied.cause is not Cause.ROOM:
            return None
        space = self.judge.holders.space(denied.number)
        return reasons.closes_too_soon(denied.entry.needs, self.world.machines, space)

    def _lack(self, denied: Denied, *, is_coming: bool) -> Reason:
        """Worked out once for all that need the same."""
        key = denied.entry.needs, denied.number, is_coming
        if key not in self.lacks:
            space = self.free if is_coming else self.judge.holders.space(denied.number)
            self.lacks[key] = reasons.lacks_room(
                denied.entry.needs, self.world.machines, space, is_room_coming=is_coming
            )
        return self.lacks[key]

    def _first(self) -> ExecutionId:
        """The first that waits for room."""
        return next(
            key
            for key, denied in self.judge.denied.items()
            if denied.cause in {Cause.ROOM, Cause.COMING} and self._never(denied) is None
        )

    def _never(self, denied: Denied) -> Reason | None:
        """Not of one for which there is room beside others, though none was found on empty nodes."""
        return None if denied.cause is Cause.COMING else self.world.never(denied.entry)

    def _assumed(self, job: Job) -> str:
        if job.run_s is None:
            return self.assumes
        return "its run time is that of earlier ones" if job.is_assumed and self.assumes else ""
