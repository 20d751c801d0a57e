"""The discrete-event simulation: applications arrive, decisions are made and carried out, work is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush

from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import Memo, can_ever_fit, decide
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.snapshot import Counts, Demand, ExecutionId, Rules, Snapshot
from zoe_jupyter.simulator.live import Live, total
from zoe_jupyter.simulator.machines import Machines
from zoe_jupyter.simulator.outcome import Finished, Outcome
from zoe_jupyter.simulator.workload import Application

Decider = Callable[[Snapshot, float], Plan]
SAME_MOMENT_S = 1e-6
"""Events so close to each other are of one moment: sums of floating-point numbers differ by less."""
MOST_ROUNDS = 1_000_000
"""Decisions in one moment; more would be a defect of the scheduler that goes round in circles."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The work model: what starts, drains and preemptions cost, and what the scheduler may do."""

    startup_s: float = 0.0
    """A service holds resources for so long and contributes nothing."""
    drain_s: float = 0.0
    """An elastic service that is taken back holds its resources for so long and contributes nothing."""
    protection_s: float = 0.0
    reclaims: bool = True
    preempts: bool = False
    keeps_progress: bool = False
    """Whether what was taken back whole goes on where it was, and not from the beginning."""

    @property
    def rules(self) -> Rules:
        return Rules(
            reclaims=self.reclaims,
            protection_s=self.protection_s,
            reserve_after_s=None,
            ageing_s=None,
            preempts=self.preempts,
        )


class _Kind(IntEnum):
    """What happens; of one application in one moment, in this order."""

    END = 0
    CORE_UP = 1
    ELASTIC_UP = 2
    LEFT = 3
    WAKE = 4


@dataclass(frozen=True, slots=True, order=True)
class _Event:
    at: float
    rank: int
    """The application's place in the workload."""
    kind: _Kind
    number: int
    """Settles the order of events that are otherwise alike."""
    holds_for: int = field(compare=False)
    """The version of the application for which its end is expected; the try to which its services belong. What leaves does so whatever the try."""
    batch: int = field(compare=False, default=0)
    services: Counts = field(compare=False, default_factory=dict)


def deciding(policy: Policy) -> Decider:
    """Zoe's own decisions under that policy."""
    memo = Memo()
    return lambda snapshot, now: decide(snapshot, policy, now, memo)


def simulate(
    applications: Sequence[Application], nodes: Sequence[Node], decider: Decider, settings: Settings | None = None
) -> Outcome:
    """Run the whole workload to its end. Deterministic; ties are settled by the order of ``applications``."""
    return _Simulation(applications, nodes, decider, settings or Settings()).run()


def fits(demands: Sequence[Demand], nodes: Sequence[Node]) -> bool:
    """Whether empty nodes could hold the core of what is demanded."""
    whole = sum((demand.resources * demand.core for demand in demands), Resources())
    if any(whole.fits_in(node.capacity) for node in nodes) and not any(demand.labels for demand in demands):
        return True
    return can_ever_fit(demands, nodes) is None


class _Simulation:
    def __init__(
        self, applications: Sequence[Application], nodes: Sequence[Node], decider: Decider, settings: Settings
    ) -> None:
        self._decide = decider
        self._settings = settings
        self._rules = settings.rules
        self._nodes = tuple(nodes)
        self._machines = Machines(self._nodes)
        self._applications = applications
        self._never = [rank for rank, one in enumerate(applications) if not fits(one.demands, self._nodes)]
        never = set(self._never)
        fitting = [rank for rank in range(len(applications)) if rank not in never]
        self._arrivals = sorted(fitting, key=lambda rank: applications[rank].submit_s)
        self._arrivals.reverse()
        self._digits = len(str(len(applications)))
        self._live: dict[ExecutionId, Live] = {}
        self._events: list[_Event] = []
        self._numbers = 0
        self._finished: dict[int, Finished] = {}
        self._preempted = self._reclaimed = 0

    def run(self) -> Outcome:
        while (first := self._next_s()) < math.inf:
            usage = self._machines.usage(first)
            now, is_due = self._happen(first)
            if is_due:
                self._settle(now, usage)
                self._machines.note(now)
        if self._live:
            stuck = next(iter(self._live.values())).application.id
            raise ZoeError(f"{len(self._live)} applications would wait for ever, the first of them {stuck!r}")
        return Outcome(
            finished=tuple(self._finished[rank] for rank in sorted(self._finished)),
            never_fits=tuple(self._applications[rank].id for rank in self._never),
            allocated=tuple(self._machines.moments),
            preempted=self._preempted,
            reclaimed=self._reclaimed,
        )

    def _next_s(self) -> float:
        """When something happens next; infinity: never."""
        while self._events and not self._holds(self._events[0]):
            heappop(self._events)
        arrival = self._applications[self._arrivals[-1]].submit_s if self._arrivals else math.inf
        return min(arrival, self._events[0].at) if self._events else arrival

    def _happen(self, first: float) -> tuple[float, bool]:
        """Apply everything of this moment; says when it is over, and whether there is something to decide."""
        now, is_due = first, False
        while self._events and self._events[0].at <= first + SAME_MOMENT_S:
            event = heappop(self._events)
            if self._holds(event):
                now = max(now, event.at)
                is_due = self._apply(event) or is_due
        while self._arrivals and self._applications[self._arrivals[-1]].submit_s <= first + SAME_MOMENT_S:
            application = self._applications[rank := self._arrivals.pop()]
            now, is_due = max(now, application.submit_s), True
            self._live[self._id(rank)] = Live(self._id(rank), application, may_be_preempted=self._settings.preempts)
        return now, is_due

    def _id(self, rank: int) -> ExecutionId:
        """Sorts as the workload does, so that ties are settled by its order."""
        return f"{rank:0{self._digits}}"

    def _holds(self, event: _Event) -> bool:
        live = self._live.get(self._id(event.rank))
        if live is None:
            return False
        if event.kind is _Kind.LEFT:
            return True
        return event.holds_for == (live.version if event.kind is _Kind.END else live.tries)

    def _apply(self, event: _Event) -> bool:
        """Apply one event; says whether it changes what can be decided."""
        live = self._live[self._id(event.rank)]
        if event.kind is _Kind.END:
            self._end(live, event.at)
        elif event.kind is _Kind.LEFT:
            self._leave(live, event.services)
        elif event.kind is _Kind.CORE_UP:
            live.come_up(event.at)
            self._expect_end(live)
        elif event.kind is _Kind.ELASTIC_UP:
            live.batch_is_up(event.at, event.batch)
            self._expect_end(live)
        return event.kind in (_Kind.END, _Kind.LEFT, _Kind.WAKE)

    def _settle(self, now: float, usage: Mapping[str, float]) -> None:
        """Decide until there is nothing to decide any more: what leaves without delay makes room in the same moment."""
        for _ in range(MOST_ROUNDS):
            jobs = tuple([live.job for live in self._live.values()])
            snapshot = Snapshot(self._nodes, jobs, rules=self._rules, usage=usage)
            if not self._carry_out(self._decide(snapshot, now), now):
                return
        raise ZoeError(f"the scheduler goes round in circles at {now} s")

    def _carry_out(self, plan: Plan, now: float) -> bool:
        """Do what the plan says; whether room came free by it, so that there is more to decide at once."""
        for execution_id in plan.preempt:
            self._preempt(self._live[execution_id], now)
        for execution_id, counts in plan.shrink.items():
            self._shrink(self._live[execution_id], counts, now)
        for execution_id, start in plan.start.items():
            self._start(self._live[execution_id], start, now)
        for execution_id, start in plan.grow.items():
            self._grow(self._live[execution_id], start.elastic, now)
        for execution_id in {**plan.shrink, **plan.start, **plan.grow}:
            self._expect_end(self._live[execution_id])
        return bool(plan.preempt or plan.shrink) and not self._settings.drain_s

    def _start(self, live: Live, start: Start, now: float) -> None:
        application = live.application
        is_whole = all(sum(start.core.get(each.process, {}).values()) == each.core for each in application.demands)
        if live.started_s is not None or not is_whole:
            raise ZoeError(f"the plan starts {application.id!r} with {start.core}, not with its whole core")
        self._machines.take(application, start.core)
        live.start(now, start.core)
        if self._settings.startup_s:
            self._expect(_Kind.CORE_UP, live, now + self._settings.startup_s)
        else:
            live.come_up(now)
        self._grow(live, start.elastic, now)

    def _grow(self, live: Live, elastic: Counts, now: float) -> None:
        if not elastic:
            return
        self._machines.take(live.application, elastic)
        batch = live.add(now, elastic)
        if self._settings.startup_s:
            self._expect(_Kind.ELASTIC_UP, live, now + self._settings.startup_s, batch=batch)
        else:
            live.batch_is_up(now, batch)

    def _shrink(self, live: Live, elastic: Counts, now: float) -> None:
        self._reclaimed += total(elastic)
        protected_until = now + self._settings.protection_s
        live.take_back(now, elastic, grow_after=protected_until)
        if self._settings.protection_s:
            self._expect(_Kind.WAKE, live, protected_until)
        self._drain(live, elastic, now)

    def _drain(self, live: Live, services: Counts, now: float) -> None:
        if self._settings.drain_s:
            self._expect(_Kind.LEFT, live, now + self._settings.drain_s, services=services)
        else:
            self._leave(live, services)

    def _leave(self, live: Live, services: Counts) -> None:
        live.have_left(services)
        self._machines.give_back(live.application, services)

    def _preempt(self, live: Live, now: float) -> None:
        self._preempted += 1
        self._drain(live, live.give_all_back(now, keeps_progress=self._settings.keeps_progress), now)

    def _end(self, live: Live, now: float) -> None:
        self._release(live)
        del self._live[live.id]
        assert live.started_s is not None  # it worked
        self._finished[int(live.id)] = Finished(live.application, live.started_s, now)

    def _release(self, live: Live) -> None:
        for services in (live.core, live.elastic, live.leaving):
            self._machines.give_back(live.application, services)

    def _expect_end(self, live: Live) -> None:
        if (end_s := live.end_s()) is not None:
            self._expect(_Kind.END, live, end_s)

    def _expect(self, kind: _Kind, live: Live, at: float, *, batch: int = 0, services: Counts | None = None) -> None:
        self._numbers += 1
        holds_for = live.version if kind is _Kind.END else live.tries
        event = _Event(at, int(live.id), kind, self._numbers, holds_for, batch, services or {})
        heappush(self._events, event)
