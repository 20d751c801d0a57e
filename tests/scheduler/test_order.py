"""Classes, ageing and the holder of the reservation come before the policy."""

from __future__ import annotations

from dataclasses import replace

from tests.scheduler.world import NOW, admitted, demand, job
from zoe_jupyter.scheduler.order import in_order
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.snapshot import Job, Reservation, Rules, Snapshot


def order(*jobs: Job, ageing_s: float | None = None, holder: str = "") -> str:
    reservation = Reservation(holder, NOW) if holder else None
    snapshot = Snapshot((), jobs, rules=Rules(ageing_s=ageing_s), reservation=reservation)
    return " ".join(each.id for each in in_order(jobs, Sjf(), snapshot, NOW).jobs)


def lasting(name: str, run_s: float, *, waited_s: float = 0, priority: int = 100) -> Job:
    return replace(job(name, demand(1), at=NOW - waited_s, priority=priority), run_s=run_s)


def test_the_higher_class_goes_first_and_the_policy_orders_each() -> None:
    jobs = lasting("d", 9, priority=50), lasting("c", 2), lasting("b", 1), lasting("a", 99, priority=200)
    assert order(*jobs) == "a b c d"


def test_who_waited_long_goes_first_in_its_class() -> None:
    jobs = lasting("short", 1), lasting("old", 9, waited_s=60), lasting("older", 10, waited_s=61)
    assert order(*jobs, lasting("urgent", 99, priority=200), ageing_s=60) == "urgent older old short"
    assert order(*jobs) == "short old older"


def test_who_waited_twice_as_long_leaves_its_class() -> None:
    jobs = lasting("urgent", 1, priority=200), lasting("old", 9, waited_s=120), lasting("filler", 9, priority=50)
    assert order(*jobs, ageing_s=60) == "old urgent filler"
    oldest = lasting("oldest", 9, waited_s=180, priority=50)
    assert order(*jobs, oldest, ageing_s=60) == "oldest old urgent filler"
    assert order(*jobs, lasting("first", 9, waited_s=9999, priority=200), ageing_s=60) == "first old urgent filler"


def test_the_class_in_which_somebody_stands_is_told() -> None:
    jobs = lasting("urgent", 1, priority=200), lasting("old", 9, waited_s=120), lasting("new", 9)
    ordered = in_order(jobs, Fifo(), Snapshot((), jobs, rules=Rules(ageing_s=60)), NOW)
    assert [(each.id, ordered.class_of(each)) for each in ordered.jobs] == [("old", 200), ("urgent", 200), ("new", 100)]


def test_who_runs_does_not_age() -> None:
    assert order(lasting("short", 1), replace(admitted("r", demand(1)), run_s=9.0), ageing_s=60) == "short r"


def test_who_has_a_reservation_goes_first_in_its_class() -> None:
    jobs = lasting("short", 1), lasting("old", 9, waited_s=60), lasting("held", 99), lasting("urgent", 9, priority=200)
    assert order(*jobs, ageing_s=60, holder="held") == "urgent held old short"
