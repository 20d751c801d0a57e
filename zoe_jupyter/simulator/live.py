"""One application while it is in the simulated cluster: what it holds, how fast it works, and how much is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoe_jupyter.scheduler.snapshot import Demand, ExecutionId, Job
from zoe_jupyter.simulator.workload import CORE, ELASTIC, Application

Nodes = Mapping[str, int]
"""``{node: services}``"""


@dataclass(slots=True)
class _Batch:
    """Elastic services that were started together and are not up yet."""

    number: int
    nodes: dict[str, int]


@dataclass(slots=True)
class Live:
    """Changes through its methods only; ``job`` is how the scheduler sees it, the very same object until something changes."""

    id: ExecutionId
    application: Application
    may_be_preempted: bool = False
    started_s: float | None = None
    """When its core got room, in the try that it is in."""
    is_up: bool = False
    """All core services work."""
    up_s: float | None = None
    core: dict[str, int] = field(default_factory=dict)
    elastic: dict[str, int] = field(default_factory=dict)
    leaving: dict[str, int] = field(default_factory=dict)
    done_s: float = 0.0
    done_at: float = 0.0
    grow_after: float = 0.0
    version: int = 0
    """Counts what may have changed its end: one that was expected before no longer holds."""
    tries: int = 0
    """Counts how often it was taken back whole: what was expected of its services before no longer holds."""
    _working: int = 0
    _starting: list[_Batch] = field(default_factory=list)
    _batches: int = 0
    _demands: tuple[Demand, ...] = ()
    _job: Job | None = None

    @property
    def job(self) -> Job:
        if self._job is None:
            self._demands = self._demands or self.application.demands
            app = self.application
            self._job = Job(
                id=self.id,
                owner=app.owner,
                demands=self._demands,
                queued_at=app.submit_s,
                priority=app.priority,
                run_s=app.run_s if app.estimate_s is None else app.estimate_s,
                started_at=self.up_s,
                done_s=self.done_s,
                done_at=self.done_at,
                grow_after=self.grow_after,
                may_be_preempted=self.may_be_preempted,
                is_admitted=self.started_s is not None,
                core={CORE: dict(self.core)} if self.core else {},
                elastic={ELASTIC: dict(self.elastic)} if self.elastic else {},
                leaving={ELASTIC: dict(self.leaving)} if self.leaving else {},
            )
        return self._job

    @property
    def speed(self) -> float:
        """Work done in a second; 1 with all that it wants."""
        if not self.is_up:
            return 0.0
        return (self.application.core + self._working) / self.application.services

    def end_s(self) -> float | None:
        """When it will end if nothing changes; None: not as things are."""
        speed = self.speed
        return self.done_at + max(0.0, self.application.run_s - self.done_s) / speed if speed else None

    def start(self, now: float, core: Nodes) -> None:
        """Its core got room."""
        self._changes(now)
        self.started_s = now
        self.core = dict(core)

    def come_up(self, now: float) -> None:
        """Its core works from now on."""
        self._changes(now)
        self.is_up, self.up_s = True, now

    def add(self, now: float, nodes: Nodes) -> int:
        """Elastic services got room; the number of their batch, to be told when it is up."""
        self._changes(now)
        self._batches += 1
        self._starting.append(_Batch(self._batches, dict(nodes)))
        for node, count in nodes.items():
            self.elastic[node] = self.elastic.get(node, 0) + count
        return self._batches

    def batch_is_up(self, now: float, number: int) -> None:
        """What is left of that batch works from now on."""
        for batch in self._starting:
            if batch.number == number:
                self._changes(now)
                self._starting.remove(batch)
                self._working += sum(batch.nodes.values())
                return

    def take_back(self, now: float, nodes: Nodes, *, grow_after: float) -> None:
        """Elastic services work no more; their room is theirs until ``have_left``. Those that are not up yet go first."""
        self._changes(now)
        self.grow_after = grow_after
        for node, count in nodes.items():
            _subtract(self.elastic, node, count)
            self.leaving[node] = self.leaving.get(node, 0) + count
            self._working -= count - self._stop_starting(node, count)

    def have_left(self, nodes: Nodes) -> None:
        """Services that were taken back hold no room any more."""
        self._job = None
        for node, count in nodes.items():
            _subtract(self.leaving, node, count)

    def give_all_back(self, now: float, *, keeps_progress: bool) -> None:
        """It waits again as if it had never started, but for what it may have saved of its work."""
        self._changes(now)
        if not keeps_progress:
            self.done_s = 0.0
        self.tries += 1
        self.started_s, self.up_s, self.is_up = None, None, False
        self.core, self.elastic, self.leaving = {}, {}, {}
        self._working, self._starting = 0, []

    def _stop_starting(self, node: str, count: int) -> int:
        """Take services out of the batches on their way up, newest first; says how many there were."""
        stopped = 0
        for batch in reversed(self._starting):
            taken = min(count - stopped, batch.nodes.get(node, 0))
            if taken:
                _subtract(batch.nodes, node, taken)
                stopped += taken
        return stopped

    def _changes(self, now: float) -> None:
        """Note the work until now; what was said about its end no longer holds."""
        self.done_s += self.speed * (now - self.done_at) if self.is_up else 0.0
        self.done_at = now
        self.version += 1
        self._job = None


def _subtract(counts: dict[str, int], node: str, count: int) -> None:
    counts[node] -= count
    if not counts[node]:
        del counts[node]
