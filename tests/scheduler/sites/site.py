"""A site that lives: executions come, are scaled, lose services and end; machines go and close; what leaves takes its time; quotas change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import TypeVar

from tests.scheduler.courses.course import MEMBERS, USERS
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.policies.fair import Fair
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.policies.hrrn import Hrrn
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.policies.srpt import Srpt
from zoe_jupyter.scheduler.snapshot import (
    Counts,
    Demand,
    Job,
    Limit,
    Quota,
    Quotas,
    Reservation,
    Rules,
    Snapshot,
    Strategy,
    Together,
)

GIB = 1024**3
FAST = {"disk": "fast"}
T = TypeVar("T")


class Site:
    """All of it follows from the seed. How long an execution runs has nothing to do with what was said."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(seed)
        self._memo = Memo()
        self._jobs: dict[str, Job] = {}
        self._left_at: dict[str, float] = {}
        """When what is on its way out is gone."""
        self._preempted: dict[str, Job] = {}
        """Those that wait again once all of theirs has left."""
        self._reservation: Reservation | None = None
        self._number = 0
        self._steps = self._dice.randint(5, 25)
        self._rules = self._some_rules()
        self._quotas = self._some_quotas()
        self._nodes = tuple(self._some_node(number) for number in range(self._dice.randint(1, 5)))
        self.policy: Policy = self._one_of(Fifo(), Sjf(), Srpt(), Hrrn(), Fair())
        self.now = 1000.0

    def live(self) -> Iterator[tuple[Snapshot, Plan]]:
        for _ in range(self._steps):
            self._happen()
            snapshot = Snapshot(
                self._nodes,
                tuple(self._jobs.values()),
                rules=self._rules,
                quotas=self._quotas,
                reservation=self._reservation,
                seed=self._number,
            )
            plan = decide(snapshot, self.policy, self.now, self._memo)
            yield snapshot, plan
            self._carry_out(plan)
            self.now += self._one_of(1, 10, 30, 70)

    def _happen(self) -> None:
        for _ in range(self._one_of(0, 0, 1, 2, 4)):
            self._number += 1
            self._jobs[f"j{self._number:03}"] = self._some_job(f"j{self._number:03}")
        for key in list(self._jobs):
            self._happen_to(key)
        if self._is_rare(0.06):
            self._quotas = self._some_quotas()
        for what in ("is_enabled", "closes_at"):
            if self._is_rare(0.06):
                self._change_a_node(what)

    def _happen_to(self, key: str) -> None:
        job = self._jobs[key]
        if job.leaving and self._left_at[key] <= self.now:
            job = self._jobs[key] = replace(self._preempted.pop(key, job), leaving={})
        if not job.is_admitted or key in self._preempted:
            return
        if self._is_rare(0.12):
            del self._jobs[key]
        elif job.core and self._is_rare(0.03):
            process = self._one_of(*job.core)
            lost = {process: {self._one_of(*job.core[process]): 1}}
            self._jobs[key] = replace(job, core=summed(job.core, lost, -1))
        elif self._is_rare(0.04):
            fewer = tuple(replace(each, elastic=max(0, each.elastic - 2)) for each in job.demands)
            self._jobs[key] = replace(job, demands=fewer)

    def _change_a_node(self, what: str) -> None:
        nodes = list(self._nodes)
        number = self._dice.randrange(len(nodes))
        is_enabled, closes_at = nodes[number].is_enabled, self._one_of(None, self.now + 50, self.now + 500)
        value = {"is_enabled": not is_enabled, "closes_at": closes_at}[what]
        nodes[number] = replace(nodes[number], **{what: value})
        self._nodes = tuple(nodes)

    def _carry_out(self, plan: Plan) -> None:
        self._reservation = plan.reservation
        for key in plan.preempt:
            self._take_back_whole(key)
        for key, counts in plan.shrink.items():
            job = self._jobs[key]
            until = self.now + self._rules.protection_s if key in plan.shrunk_for else job.grow_after
            elastic, leaving = summed(job.elastic, counts, -1), summed(job.leaving, counts, 1)
            self._jobs[key] = replace(job, elastic=elastic, leaving=leaving, grow_after=until)
            self._left_at[key] = self.now + self._one_of(0, 10, 40)
        for key, new in {**plan.start, **plan.grow}.items():
            job = self._jobs[key]
            began = self.now if key in plan.start else job.started_at
            done_at = self.now if key in plan.start else job.done_at
            core, elastic = summed(job.core, new.core, 1), summed(job.elastic, new.elastic, 1)
            self._jobs[key] = replace(
                job, is_admitted=True, core=core, elastic=elastic, started_at=began, done_at=done_at
            )

    def _take_back_whole(self, key: str) -> None:
        """It wants nothing until all has left; then it waits again."""
        job = self._jobs[key]
        self._preempted[key] = replace(
            job, is_admitted=False, core={}, elastic={}, started_at=None, queued_at=self.now, grow_after=0.0
        )
        leaving = summed(summed(job.leaving, job.core, 1), job.elastic, 1)
        wants = tuple(replace(each, core=0, elastic=0) for each in job.demands)
        self._jobs[key] = replace(job, demands=wants, core={}, elastic={}, leaving=leaving)
        self._left_at[key] = self.now + self._one_of(0, 10, 40)

    def _one_of(self, *choices: T) -> T:
        return self._dice.choice(choices)

    def _is_rare(self, part: float) -> bool:
        return self._dice.random() < part

    def _some_rules(self) -> Rules:
        return Rules(
            placement=self._one_of(*Strategy),
            reclaims=not self._is_rare(0.15),
            protection_s=self._one_of(0.0, 60.0),
            reserve_after_s=self._one_of(None, 0.0, 60.0, 300.0),
            ageing_s=self._one_of(None, 200.0, 1000.0),
            preempts=self._is_rare(0.4),
        )

    def _some_limit(self) -> Limit:
        return Limit(
            executions=self._one_of(None, None, None, None, 1, 2, 3),
            microcores=self._one_of(None, None, 2_000_000, 4_000_000, 6_000_000, 8_000_000),
            memory_bytes=self._one_of(None, None, None, 8 * GIB),
            gpus=self._one_of(None, None, None, 1),
        )

    def _some_quota(self) -> Quota:
        return Quota(share=self._one_of(None, None, self._some_limit()), limit=self._some_limit())

    def _some_quotas(self) -> Quotas:
        if self._is_rare(0.4):
            return Quotas()
        return Quotas(
            users={user: self._some_quota() for user in USERS if self._is_rare(0.4)},
            groups={group: self._some_quota() for group in MEMBERS if self._is_rare(0.5)},
            default=self._one_of(Quota(), self._some_quota()),
            members=MEMBERS,
        )

    def _some_node(self, number: int) -> Node:
        size = Resources(self._one_of(2, 4, 4, 8) * 1_000_000, self._one_of(4, 8, 16) * GIB, self._one_of(0, 0, 0, 2))
        return Node(f"n{number}", size, self._one_of({}, {}, FAST), not self._is_rare(0.05))

    def _some_job(self, name: str) -> Job:
        owner = self._one_of(*USERS)
        demands = [self._some_demand(f"p{place}") for place in range(self._one_of(1, 1, 1, 2, 3))]
        if not any(each.core for each in demands):
            demands[0] = replace(demands[0], core=1)
        return Job(
            name,
            owner,
            tuple(demands),
            queued_at=self.now,
            priority=self._one_of(50, 100, 100, 200),
            group=USERS[owner],
            weight=self._one_of(1.0, 1.0, 2.5, 0.3),
            run_s=self._one_of(None, None, 30.0, 90.0, 400.0),
            may_be_preempted=self._is_rare(0.5),
            not_before=self._one_of(0.0, 0.0, 0.0, 0.0, self.now + 40),
        )

    def _some_demand(self, process: str) -> Demand:
        size = Resources(
            self._one_of(0, 500_000, 1_000_000, 1_000_000, 2_000_000, 3_000_000),
            self._one_of(0, 1, 1, 2, 4) * GIB,
            self._one_of(0, 0, 0, 0, 0, 0, 1),
        )
        return Demand(
            process,
            size,
            core=self._one_of(0, 1, 1, 2, 3),
            elastic=self._one_of(0, 0, 1, 3, 6),
            labels=self._one_of({}, {}, {}, {}, FAST),
            nodes=self._one_of(*[frozenset[str]()] * 8, frozenset({"n0", "n1"})),
            host_ports=self._one_of(*[frozenset[int]()] * 8, frozenset({80})),
            together=self._one_of(*[Together.ANYWHERE] * 6, Together.NEAR, Together.APART),
        )


def summed(counts: Counts, others: Counts, sign: int) -> Counts:
    total = {process: dict(nodes) for process, nodes in counts.items()}
    for process, nodes in others.items():
        there = total.setdefault(process, {})
        for name, count in nodes.items():
            there[name] = there.get(name, 0) + sign * count
            assert there[name] >= 0
    held = {process: {name: count for name, count in nodes.items() if count} for process, nodes in total.items()}
    return {process: nodes for process, nodes in held.items() if nodes}
