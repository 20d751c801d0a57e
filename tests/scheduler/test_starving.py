"""In front of a limit nobody is passed for ever, and nobody waits for who waits for its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scheduler.courses.course import MEMBERS, USERS, Course, limit
from tests.scheduler.world import codes, demand, node
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Job, Quota, Quotas, Rules

RULES = Rules(ageing_s=300.0, reserve_after_s=60.0)
MINE = Quota(share=limit(cores=4), limit=limit(cores=8))
"""Four are one's own, four more may be borrowed."""
LENDING = Quota(share=limit(cores=4))


def one(name: str, owner: str, cores: int) -> Job:
    return Job(name, owner, (demand(1, cores=cores),), queued_at=0.0, group=USERS[owner])


@pytest.mark.parametrize(
    ("quotas", "cores", "other"),
    [
        (Quotas(default=MINE, groups={"lab": Quota(limit=limit(cores=8))}, members=MEMBERS), 7, "bob"),
        (Quotas(default=MINE, members=MEMBERS), 7, "bob"),
        (Quotas(groups={"lab": MINE, "hall": MINE}, members=MEMBERS), 7, "bob"),
        (Quotas(groups={"lab": LENDING, "hall": LENDING}, members=MEMBERS), 7, "carol"),
        (Quotas(users={"alice": Quota(limit=limit(cores=6))}), 6, "alice"),
    ],
    ids=["a group's limit", "what users lend", "a group's share", "what groups lend", "its own limit"],
)
def test_who_has_aged_goes_before_those_whose_share_it_borrows(quotas: Quotas, cores: int, other: str) -> None:
    """Small ones that take of a share of their own keep coming, two each time, and each runs for three."""
    course = Course((node("a", 8, 64),), RULES, quotas, Fifo(), {"large": 1, "s": 3})
    for step in range(60):
        small = [one(f"s-{step:02}-{number}", other, 1) for number in range(2)]
        _, plan = course.step([*([one("large", "alice", cores)] if step == 3 else []), *small])
        if "large" in plan.start:
            return
    raise AssertionError(plan.waiting["large"].text)


def test_who_waits_for_its_own_limit_keeps_nobody_of_its_group_waiting() -> None:
    quotas = Quotas(users={"alice": Quota(limit=limit(cores=4))}, groups={"lab": Quota(limit=limit(cores=8))})
    endless = {"notebook": 10**6, "other": 1, "small": 1}
    course = Course((node("a", 16, 64),), RULES, quotas, Fifo(), endless)
    course.step([one("notebook", "alice", 4), one("other", "alice", 4)])
    course.now += 1000
    _, plan = course.step([replace(one("small", "bob", 4), queued_at=1000.0)])
    assert (list(plan.start), codes(plan)) == (["small"], {"other": "quota"})


def test_who_waits_for_reserved_room_keeps_its_place_in_front_of_its_limit() -> None:
    """Else its owner's small ones would use up the limit elsewhere until the room is there."""
    quotas = Quotas(users={"alice": Quota(limit=limit(cores=4))})
    nodes = node("a", 4, 64, labels={"disk": "fast"}), node("b", 4, 64)
    course = Course(nodes, RULES, quotas, Fifo(), {"long": 20, "large": 1, "s": 3})
    large = replace(one("large", "alice", 4), demands=(demand(1, cores=4, labels={"disk": "fast"}),))
    course.step([replace(one("long", "dave", 4), demands=large.demands)])
    course.step([large])
    course.now += 100
    for step in range(3):
        _, plan = course.step([one(f"s-{step}", "alice", 1)])
    assert plan.reservation is not None
    assert codes(plan) == {"large": "waits_for_resources", **{f"s-{step}": "quota" for step in range(3)}}
