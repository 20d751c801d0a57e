"""One application while it is in the simulated cluster: what it holds, how fast it works, and how much is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoe_jupyter.scheduler.snapshot import Counts, ExecutionId, Job
from zoe_jupyter.simulator.workload import Application

Held = dict[str, dict[str, int]]
"""``{process: {node: services}}``, without anything that is zero."""


@dataclass(slots=True)
class _Batch:
    """Elastic services that were started together and are not up yet."""

    number: int
    services: Held


@dataclass(slots=True)
class Live:
    """Changes through its methods only; ``job`` is how the scheduler sees it, the very same object until something changes."""

    id: ExecutionId
    application: Application
    may_be_preempted: bool = False
    started_s: float | None = None
    """When its core got room, in the try that it is in."""
    up_s: float | None = None
    """Since when all core services work."""
    core: Held = field(default_factory=dict)
    elastic: Held = field(default_factory=dict)
    leaving: Held = field(default_factory=dict)
    done_s: float = 0.0
    done_at: float = 0.0
    grow_after: float = 0.0
    version: int = 0
    """Counts what may have changed its end: one that was expected before no longer holds."""
    tries: int = 0
    """Counts how often it was taken back whole: what was expected of its services before no longer holds."""
    _core: int = 0
    """Core services that it wants."""
    _services: int = 1
    _working: int = 0
    """Elastic services that contribute."""
    _starting: list[_Batch] = field(default_factory=list)
    _batches: int = 0
    _job: Job | None = None

    def __post_init__(self) -> None:
        self._core, self._services = self.application.core, self.application.services

    @property
    def job(self) -> Job:
        if self._job is None:
            app = self.application
            self._job = Job(
                id=self.id,
                owner=app.owner,
                demands=app.demands,
                queued_at=app.submit_s,
                priority=app.priority,
                run_s=app.run_s if app.estimate_s is None else app.estimate_s,
                started_at=self.up_s,
                done_s=self.done_s,
                done_at=self.done_at,
                grow_after=self.grow_after,
                may_be_preempted=self.may_be_preempted,
                is_admitted=self.started_s is not None,
                core=_copy(self.core),
                elastic=_copy(self.elastic),
                leaving=_copy(self.leaving),
            )
        return self._job

    @property
    def speed(self) -> float:
        """Work done in a second; 1 with all that it wants."""
        return 0.0 if self.up_s is None else (self._core + self._working) / self._services

    def end_s(self) -> float | None:
        """When it will end if nothing changes; None: not as things are."""
        speed = self.speed
        return self.done_at + max(0.0, self.application.run_s - self.done_s) / speed if speed else None

    def start(self, now: float, core: Counts) -> None:
        """Its core got room."""
        self._changes(now)
        self.started_s = now
        self.core = _copy(core)

    def come_up(self, now: float) -> None:
        """Its core works from now on."""
        self._changes(now)
        self.up_s = now

    def add(self, now: float, services: Counts) -> int:
        """Elastic services got room; the number of their batch, to be told when it is up."""
        self._changes(now)
        self._batches += 1
        self._starting.append(_Batch(self._batches, _copy(services)))
        _add(self.elastic, services)
        return self._batches

    def batch_is_up(self, now: float, number: int) -> None:
        """What is left of that batch works from now on."""
        for batch in self._starting:
            if batch.number == number:
                self._changes(now)
                self._starting.remove(batch)
                self._working += total(batch.services)
                return

    def take_back(self, now: float, services: Counts, *, grow_after: float) -> None:
        """Elastic services work no more; their room is theirs until ``have_left``. Those that are not up yet go first."""
        self._changes(now)
        self.grow_after = grow_after
        _add(self.leaving, services)
        for process, nodes in services.items():
            for node, count in nodes.items():
                _subtract(self.elastic, process, node, count)
                self._working -= count - self._stop_starting(process, node, count)

    def have_left(self, services: Counts) -> None:
        """Services that were taken back hold no room any more."""
        self._job = None
        for process, nodes in services.items():
            for node, count in nodes.items():
                _subtract(self.leaving, process, node, count)

    def give_all_back(self, now: float, *, keeps_progress: bool) -> Counts:
        """It waits again as if it had never started, but for what it may have saved of its work; its room is its own until ``have_left``. Says
        what has to leave beside what was on its way already."""
        self._changes(now)
        if not keeps_progress:
            self.done_s = 0.0
        self.tries += 1
        self.started_s, self.up_s = None, None
        held = self.core
        _add(held, self.elastic)
        _add(self.leaving, held)
        self.core, self.elastic = {}, {}
        self._working, self._starting = 0, []
        return held

    def _stop_starting(self, process: str, node: str, count: int) -> int:
        """Take services out of the batches on their way up, newest first; says how many there were."""
        stopped = 0
        for batch in reversed(self._starting):
            taken = min(count - stopped, batch.services.get(process, {}).get(node, 0))
            if taken:
                _subtract(batch.services, process, node, taken)
                stopped += taken
        return stopped

    def _changes(self, now: float) -> None:
        """Note the work until now; what was said about its end no longer holds."""
        self.done_s += self.speed * (now - self.done_at)
        self.done_at = now
        self.version += 1
        self._job = None


def total(services: Counts) -> int:
    """Of all processes on all nodes."""
    return sum(sum(nodes.values()) for nodes in services.values())


def _copy(services: Counts) -> Held:
    return {process: dict(nodes) for process, nodes in services.items() if nodes}


def _add(held: Held, services: Counts) -> None:
    for process, nodes in services.items():
        there = held.setdefault(process, {})
        for node, count in nodes.items():
            there[node] = there.get(node, 0) + count


def _subtract(held: Held, process: str, node: str, count: int) -> None:
    nodes = held[process]
    nodes[node] -= count
    if not nodes[node]:
        del nodes[node]
    if not nodes:
        del held[process]
