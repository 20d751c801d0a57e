"""What is written into executions' parents: that a core lives, and until when the cluster lets them go on without one."""

from __future__ import annotations

import calendar
import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from zoe_jupyter.backends.base import Bounds
from zoe_jupyter.backends.kubernetes import manifests, names
from zoe_jupyter.backends.kubernetes.asking import Asking
from zoe_jupyter.backends.kubernetes.watched import Object
from zoe_jupyter.clocks import SET_S, running_s


@dataclass(frozen=True, slots=True)
class _Written:
    parent: Object
    silence_s: float
    heard_at: float
    """As it stands in the parent."""
    at_s: float
    """The same by the clock that nobody sets."""
    ahead_s: float
    """How far the wall clock was ahead of that one, by which all in the parent was reckoned."""


class Moments:
    """Which time has gone by since each parent was told of a core, and how far the machine's clock was set since.

    ``running`` goes on evenly; ``wall`` may be set by anybody, and is what stands in the parents, for other cores.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, running: Callable[[], float] = running_s) -> None:
        self.wall = wall
        self.running = running
        self._written: dict[str, _Written] = {}

    def hear(self, name: str, parent: Object | None) -> None:
        """Take in a parent as the cluster has it, None once it is gone."""
        if parent is None:
            self._written.pop(name, None)
            return
        (bounds, heard_at), known = bounds_of(parent), self._written.get(name)
        if known is not None and known.heard_at == heard_at:
            self._written[name] = replace(known, parent=parent, silence_s=bounds.silence_s)
            return
        now_s, ahead_s = self.running(), self._ahead_s()
        silent_s = now_s + ahead_s - heard_at
        self._written[name] = _Written(
            parent, bounds.silence_s, heard_at, now_s - max(0.0, silent_s), ahead_s - min(0.0, silent_s)
        )

    def is_due(self, parent: Object) -> bool:
        """Whether it is time to tell it that a core lives, or what time it is."""
        written = self._of(parent)
        return self.running() - written.at_s >= written.silence_s / 4 or self.set_by_s(parent) != 0.0

    def set_by_s(self, parent: Object) -> float:
        """How far the wall clock was set since the parent was written: positive for forward."""
        by_s = self._ahead_s() - self._of(parent).ahead_s
        return by_s if abs(by_s) >= SET_S else 0.0

    def _of(self, parent: Object) -> _Written:
        name = parent["metadata"]["name"]
        known = self._written.get(name)
        if known is None or known.parent is not parent:
            self.hear(name, parent)
        return self._written[name]

    def _ahead_s(self) -> float:
        return self.wall() - self.running()


class Heartbeat:
    """Tells each execution's parent that a core lives, often enough for its bounds."""

    def __init__(
        self, parents: Mapping[str, Object], moments: Moments, renew: Callable[[str], Awaitable[None]]
    ) -> None:
        self._parents = parents
        self._moments = moments
        self._renew = renew
        self._asking = Asking("execution {}: that a Zoe lives", clock=moments.running)

    async def beat(self) -> None:
        """One that the cluster refuses, or for which it does not answer, holds up no others."""
        for parent in list(self._parents.values()):
            if self._moments.is_due(parent):
                execution_id = execution_of(parent)
                self._asking.begin(execution_id, partial(self._renew, execution_id))
        await self._asking.settle()

    async def close(self) -> None:
        await self._asking.close()

    def silent(self) -> set[str]:
        """Executions of which no core was heard for too long."""
        found, now = set(), self._moments.wall()
        for parent in self._parents.values():
            bounds, heard_at = bounds_of(parent)
            if now > heard_at + bounds.silence_s or (bounds.ends_at is not None and now > bounds.ends_at):
                found.add(execution_of(parent))
        return found


def parent_of(deployment: str, job: Object) -> Object | None:
    """None for what bears our label and yet is no execution's parent: another's, or a copy of one."""
    try:
        annotations, name = job["metadata"]["annotations"], names.execution_name(deployment, execution_of(job))
        removed_at(job)
    except (LookupError, ValueError, TypeError, ArithmeticError, RecursionError):
        return None
    is_it = (annotations.get(names.DEPLOYMENT), job["metadata"]["name"]) == (deployment, name)
    return job if is_it else None


def execution_of(parent: Object) -> str:
    return str(parent["metadata"]["annotations"][names.EXECUTION])


def bounds_of(parent: Object) -> tuple[Bounds, float]:
    """And when a core was last heard."""
    found = json.loads(parent["metadata"]["annotations"][names.BOUNDS])
    ends_at = None if found["ends_at"] is None else _finite(found["ends_at"])
    return Bounds(ends_at=ends_at, silence_s=_finite(found["silence_s"])), _finite(found["heard_at"])


def began_at(parent: Object) -> float:
    """When it was made, by Zoe's own clock: the API server's may be another. An earlier Zoe did not write it down."""
    found = json.loads(parent["metadata"]["annotations"][names.BOUNDS])
    return _finite(found["began_at"]) if "began_at" in found else epoch_s(parent["metadata"]["creationTimestamp"])


def removed_at(parent: Object) -> float:
    """When the cluster removes it, by Zoe's own clock, unless a core is heard again before."""
    bounds, heard_at = bounds_of(parent)
    since = began_at(parent)
    return since + manifests.deadline_s(bounds, heard_at, since)


def epoch_s(timestamp: str) -> float:
    """Of the API server's ``2026-01-31T12:00:00Z``."""
    return float(calendar.timegm(time.strptime(timestamp[:19], "%Y-%m-%dT%H:%M:%S")))


def _finite(found: Any) -> float:
    """Raises ValueError, TypeError, OverflowError for what is no such number."""
    number = float(found)
    if not math.isfinite(number):
        raise ValueError(f"{found} is not finite")
    return number


def renewal(parent: Object, bounds: Bounds | None, moments: Moments) -> manifests.Manifest:
    """What changes in a parent when a core is heard; its own bounds unless there are others.

    What stands in it is of the clock as it was when it was written: since then somebody may have set it.
    """
    now, by_s = moments.wall(), moments.set_by_s(parent)
    since = began_at(parent) + by_s
    if bounds is None:
        bounds = bounds_of(parent)[0]
        bounds = bounds if bounds.ends_at is None else replace(bounds, ends_at=bounds.ends_at + by_s)
    identity = {name: parent["metadata"][name] for name in ("name", "uid")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**identity, "annotations": {names.BOUNDS: manifests.bounds_text(bounds, now, since)}},
        "spec": {"activeDeadlineSeconds": manifests.deadline_s(bounds, now, since)},
    }
