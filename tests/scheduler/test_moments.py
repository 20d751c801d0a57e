"""When time alone may change a decision."""

from __future__ import annotations

import pytest

from tests.scheduler.world import NOW, admitted, demand, job, node
from zoe_jupyter.scheduler.moments import next_moment
from zoe_jupyter.scheduler.snapshot import Job, Rules, Snapshot

NEVER = Rules(reserve_after_s=None, ageing_s=None)


@pytest.mark.parametrize(
    ("one", "rules", "at"),
    [
        (job("j", demand(1), at=NOW - 10), NEVER, None),
        (job("j", demand(1), not_before=NOW + 5), NEVER, NOW + 5),
        (job("j", demand(1), not_before=NOW), NEVER, None),
        (job("j", demand(1), at=NOW - 10), Rules(ageing_s=None), NOW + 290),
        (job("j", demand(1), at=NOW - 300), Rules(ageing_s=None), None),
        (job("j", demand(1), at=NOW - 10), Rules(reserve_after_s=None, ageing_s=60.0), NOW + 50),
        (job("j", demand(1), at=NOW - 9), Rules(reserve_after_s=None, ageing_s=60.0), NOW + 55),
        (job("j", demand(1), at=NOW - 299), Rules(ageing_s=None), NOW + 5),
        (job("j", demand(1), at=NOW - 60), Rules(reserve_after_s=None, ageing_s=60.0), NOW + 60),
        (job("j", demand(1), at=NOW - 70), Rules(reserve_after_s=None, ageing_s=60.0), NOW + 50),
        (admitted("j", demand(1), grow_after=NOW + 7), Rules(), NOW + 7),
        (admitted("j", demand(1), not_before=NOW + 7), Rules(), None),
    ],
)
def test_the_next_moment(one: Job, rules: Rules, at: float | None) -> None:
    assert next_moment(Snapshot((), (one,), rules=rules), NOW) == at


def test_the_earliest_of_all() -> None:
    jobs = job("a", demand(1), not_before=NOW + 9), admitted("b", demand(1), grow_after=NOW + 3)
    assert next_moment(Snapshot((), jobs, rules=NEVER), NOW) == NOW + 3
    assert next_moment(Snapshot((), ()), NOW) is None
    nodes = node("n", closes_at=NOW + 1), node("m", closes_at=NOW), node("o")
    assert next_moment(Snapshot(nodes, jobs, rules=NEVER), NOW) == NOW + 1


def test_when_it_becomes_too_late_for_one_that_waits_to_start_on_a_node_that_closes() -> None:
    """What was kept there for it is others' from then on."""
    nodes = node("n", closes_at=NOW + 100), node("m", closes_at=NOW + 50)
    waiting = job("a", demand(1), run_s=19.0), job("b", demand(1), run_s=60.0), job("c", demand(1))
    assert next_moment(Snapshot(nodes, waiting, rules=NEVER), NOW) == NOW + 35
    assert next_moment(Snapshot(nodes, waiting, rules=NEVER), NOW + 35) == NOW + 45
    assert next_moment(Snapshot(nodes, waiting, rules=NEVER), NOW + 50) == NOW + 85
    running = admitted("d", demand(1), run_s=19.0)
    assert next_moment(Snapshot(nodes[:1], (running,), rules=NEVER), NOW) == NOW + 100
