"""Of quotas, groups that lend and classes, while time passes: nobody waits for ever, no start goes beyond a limit, and every reason is true."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given as of
from hypothesis import settings
from hypothesis import strategies as st

from tests.scheduler.courses.course import SITES, Course, quotas, some_jobs
from tests.scheduler.rules.worlds import POLICIES, given, resources, within_limits
from tests.scheduler.world import demand, node
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.snapshot import Job, Quotas, Rules, Snapshot, Strategy

NEVER = {"misconfigured", "no_matching_node", "exceeds_every_node", "exceeds_cluster"}
AGEING_S = 300.0
OWN = {"for": "endless"}
LONG_ENOUGH = 160
"""Steps: until one of the lowest class has aged into the highest, and all that runs then has ended."""

SIZES = st.sampled_from([1, 1, 2, 3, 4])
SMALL, LARGE = st.just(1), st.sampled_from([2, 3, 4, 5, 6])
many = settings(max_examples=150, deadline=None)


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    return Rules(
        placement=draw(st.sampled_from([Strategy.SPREAD, Strategy.SPREAD, Strategy.PACK, Strategy.RANDOM])),
        reserve_after_s=draw(st.sampled_from([None, 60.0])),
        ageing_s=AGEING_S,
        protection_s=draw(st.sampled_from([0.0, 60.0])),
        reclaims=draw(st.sampled_from([True, True, False])),
        preempts=draw(st.sampled_from([False, False, True])),
    )


@of(st.data(), SITES, rules(), quotas(), quotas(), POLICIES)
@many
def test_when_nothing_new_comes_all_that_ever_can_start_do(
    data: st.DataObject, site: tuple, rules: Rules, before: Quotas, after: Quotas, policy: Policy
) -> None:
    """Also when limits are lowered, or raised, while they wait."""
    count = data.draw(st.integers(1, 8))
    jobs = [data.draw(some_jobs(f"j{number}", SIZES)) for number in range(count)]
    course = Course(site, rules, before, policy, {each.id: data.draw(st.integers(1, 5)) for each in jobs})
    for step in range(LONG_ENOUGH):
        if step == 4:
            course.quotas = after
        snapshot, plan = course.step([each for number, each in enumerate(jobs) if number % 5 == step])
        check(snapshot, plan)
        if step > 4 and not course.jobs:
            return
        if (
            step > 4
            and all(is_never(plan.waiting.get(each.id)) for each in course.waiting())  # not one preempted just now
            and plan.waiting
            and (len(plan.waiting) == len(course.jobs))
        ):
            return
    raise AssertionError({key: reason.text for key, reason in plan.waiting.items()})


@of(st.data(), SITES, rules(), quotas(), POLICIES)
@many
def test_nobody_is_passed_for_ever_by_those_that_keep_coming(
    data: st.DataObject, site: tuple, rules: Rules, quotas: Quotas, policy: Policy
) -> None:
    """Whoever's they are, whatever their class, and whosever share it has to borrow: at the latest when it has aged. And whatever was said
    of one that never ends on a machine of its own."""
    large = replace(data.draw(some_jobs("large", LARGE)), may_be_preempted=False)
    if can_ever_fit(large.demands, site) is not None:
        return
    endless = Job(
        "endless", "root", (demand(1, cores=4, labels=OWN),), 0.0, run_s=data.draw(st.sampled_from([1.0, 200.0]))
    )
    streams = [data.draw(some_jobs(f"s{number}", SMALL)) for number in range(data.draw(st.integers(1, 3)))]
    at_once = [data.draw(st.integers(1, 2)) for _ in streams]
    course = Course(
        (*site, node("own", 4, 32, labels=OWN)),
        rules,
        quotas,
        policy,
        {each.id: data.draw(st.integers(2, 4)) for each in streams} | {"large": 1, "endless": 10**6},
    )
    course.step([endless])
    for step in range(LONG_ENOUGH):
        new = [
            replace(each, id=f"{each.id}-{step:04}-{number}")
            for each, count in zip(streams, at_once, strict=True)
            for number in range(count)
        ]
        snapshot, plan = course.step([*new, *([large] if step == 3 else [])])
        check(snapshot, plan)
        if "large" in plan.start or (step > 3 and is_never(plan.waiting.get("large"))):
            return
    raise AssertionError(plan.waiting["large"].text)


def is_never(reason: Reason | None) -> bool:
    """It says itself that it does not start as it is."""
    return reason is not None and (
        reason.code in NEVER or (reason.code == "quota" and reason.numbers["asked"] > reason.numbers["limit"])
    )


def check(snapshot: Snapshot, plan: Plan) -> None:
    within_limits(snapshot, plan)
    by_id = {each.id: each for each in snapshot.jobs}
    for key, reason in plan.waiting.items():
        if reason.code == "quota":
            check_quota(by_id[key], reason, snapshot, plan)


def check_quota(job: Job, reason: Reason, snapshot: Snapshot, plan: Plan) -> None:
    """Its limit is one that there is; what it asks for is what it asks for; what is said to be taken is taken."""
    numbers, quotas = reason.numbers, snapshot.quotas
    place = {"executions": "executions", "cores": "microcores"}[numbers["resource"]]
    core = resources(job, ({each.process: {"": each.core} for each in job.demands},)).microcores
    assert numbers["asked"] == (1 if place == "executions" else core)
    if numbers["of"] in {"user", "group"}:
        is_users = numbers["of"] == "user"
        quota = quotas.users.get(job.owner, quotas.default) if is_users else quotas.groups[job.group]
        assert numbers["limit"] == getattr(quota.limit, place)
        assert numbers["name"] == (job.owner if is_users else job.group)
        mine = [each for each in snapshot.jobs if (each.owner == job.owner if is_users else each.group == job.group)]
    else:
        mine = [each for each in snapshot.jobs if each.group]
    held = [taken(each, place) for each in mine]
    new = [started(each, plan, place) for each in mine]
    assert numbers["held"] <= sum(held) + sum(new)
    if numbers["of"] in {"user", "group"}:
        assert numbers["held"] >= sum(held)
    assert numbers["held"] + numbers.get("kept", 0) + numbers["asked"] > numbers["limit"]
    assert ("kept for what waits before it" in reason.text) == ("kept" in numbers) or is_never(reason)
    if is_never(reason):
        assert "ask the admin" in reason.text
    else:
        assert "it starts when" in reason.text or reason.text.endswith("room is being made for it")


def taken(job: Job, place: str) -> int:
    if not job.is_admitted:
        return 0
    return 1 if place == "executions" else resources(job, (job.core, job.elastic, job.leaving)).microcores


def started(job: Job, plan: Plan, place: str) -> int:
    if place == "executions":
        return int(job.id in plan.start)
    return resources(job, given(job, plan)).microcores
