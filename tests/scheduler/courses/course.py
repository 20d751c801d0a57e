"""A site whose time passes: decisions follow each other, what was decided is carried out, and what runs ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from tests.scheduler.rules.worlds import carried_out
from tests.scheduler.world import demand, node
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.snapshot import Job, Limit, Quota, Quotas, Reservation, Rules, Snapshot

STEP_S = 15.0
MOST_AT_ONCE = 25
"""That wait: a stream that is not served stops there."""
USERS = {"alice": "lab", "bob": "lab", "carol": "hall", "dave": ""}
MEMBERS = {"lab": frozenset({"alice", "bob"}), "hall": frozenset({"carol"})}


@dataclass
class Course:
    """``ends_after``: for how many steps each runs, by the first part of its id."""

    nodes: tuple[Node, ...]
    rules: Rules
    quotas: Quotas
    policy: Policy
    ends_after: dict[str, int]
    now: float = 0.0
    jobs: tuple[Job, ...] = ()
    reservation: Reservation | None = None
    ended: set[str] = field(default_factory=set)
    _memo: Memo = field(default_factory=Memo)

    def step(self, arrived: Sequence[Job] = ()) -> tuple[Snapshot, Plan]:
        """What has run for long enough ends, others arrive, and it is decided and carried out."""
        self.ended |= {each.id for each in self.jobs if self._is_over(each)}
        waiting = sum(not each.is_admitted for each in self.jobs)
        arrived = [replace(each, queued_at=self.now) for each in arrived][: max(0, MOST_AT_ONCE - waiting)]
        self.jobs = (*(each for each in self.jobs if each.id not in self.ended), *arrived)
        snapshot = Snapshot(self.nodes, self.jobs, rules=self.rules, quotas=self.quotas, reservation=self.reservation)
        plan = decide(snapshot, self.policy, self.now, self._memo)
        self.jobs = tuple(self._begun(each, plan) for each in carried_out(snapshot, plan).jobs)
        self.reservation = plan.reservation
        self.now += STEP_S
        return snapshot, plan

    def waiting(self) -> Iterator[Job]:
        return (each for each in self.jobs if not each.is_admitted)

    def _is_over(self, job: Job) -> bool:
        since = job.started_at
        return since is not None and self.now - since >= self.ends_after[job.id.partition("-")[0]] * STEP_S

    def _begun(self, job: Job, plan: Plan) -> Job:
        if job.id in plan.start:
            return replace(job, started_at=self.now, done_at=self.now)
        if job.id in plan.shrunk_for:
            return replace(job, grow_after=self.now + self.rules.protection_s)
        return job


def limit(**amounts: int) -> Limit:
    cores = amounts.pop("cores", None)
    return Limit(microcores=None if cores is None else cores * 1_000_000, **amounts)


@st.composite
def quotas(draw: st.DrawFn) -> Quotas:
    """Users and groups, with shares of their own or without."""
    return Quotas(
        users=draw(st.dictionaries(st.sampled_from(["alice", "bob"]), QUOTA, max_size=2)),
        groups=draw(st.dictionaries(st.sampled_from(["lab", "hall"]), QUOTA, max_size=2)),
        default=draw(st.just(Quota()) | QUOTA),
        members=MEMBERS,
    )


LIMITS = st.builds(
    limit, cores=st.sampled_from([None, 4, 6, 8]), executions=st.sampled_from([None, None, None, None, 3])
)
SHARES = st.none() | st.builds(limit, cores=st.sampled_from([2, 4]))
QUOTA = st.builds(Quota, share=SHARES, limit=LIMITS)
SITES = st.sampled_from(
    [(node("a", 8, 64),), (node("a", 4, 32), node("b", 4, 32)), (node("a", 2, 16), node("b", 6, 64))]
)


@st.composite
def some_jobs(draw: st.DrawFn, name: str, cores: st.SearchStrategy[int]) -> Job:
    """``cores``: of each service."""
    owner = draw(st.sampled_from(sorted(USERS)))
    wanted = demand(draw(st.sampled_from([1, 1, 1, 2])), draw(st.sampled_from([0, 0, 0, 1, 5])), cores=draw(cores))
    return Job(
        name,
        owner,
        (wanted,),
        queued_at=0.0,
        priority=draw(st.sampled_from([50, 100, 100, 200])),
        group=USERS[owner],
        run_s=draw(st.sampled_from([None, 30.0, 90.0])),
        may_be_preempted=draw(st.booleans()),
    )
