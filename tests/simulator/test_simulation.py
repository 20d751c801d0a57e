"""Workloads whose outcome was worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.simulator.world import app, machine, res, run, times
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.snapshot import Snapshot
from zoe_jupyter.simulator.outcome import summary
from zoe_jupyter.simulator.simulation import Settings, simulate
from zoe_jupyter.simulator.workload import CORE, ELASTIC, two_kinds


def close(**expected: tuple[float, float]) -> Mapping[str, object]:
    return {name: pytest.approx(pair) for name, pair in expected.items()}


def test_with_all_that_it_wants_it_takes_its_run_time() -> None:
    assert times(run([app("a", 100, at=5, elastic=3)], [machine(4)])) == {"a": (5, 105)}


def test_with_half_of_its_services_it_takes_twice_as_long() -> None:
    assert times(run([app("a", 100, elastic=3)], [machine(2)])) == close(a=(0, 200))


def test_it_speeds_up_when_room_comes_free() -> None:
    """Until 30 it works with 2 of 4, then with all: 15 are done, 85 are left."""
    outcome = run([app("b", 30, core=2), app("a", 100, elastic=3)], [machine(4)])
    assert times(outcome) == close(b=(0, 30), a=(0, 115))


def test_services_give_way_to_a_core_and_come_back() -> None:
    """10 are done at 10, 25 at 40; then all four work again."""
    outcome = run([app("a", 100, elastic=3), app("b", 30, at=10, core=2)], [machine(4)])
    assert times(outcome) == close(a=(0, 115), b=(10, 40))
    assert outcome.reclaimed == 2


def test_a_drain_holds_room_and_does_no_work() -> None:
    """The core starts when the drain is over, at 15, and 27.5 are done at 45."""
    outcome = run([app("a", 100, elastic=3), app("b", 30, at=10, core=2)], [machine(4)], Settings(drain_s=5))
    assert times(outcome) == close(a=(0, 117.5), b=(15, 45))


def test_who_ends_while_it_drains_leaves_at_once() -> None:
    outcome = run([app("a", 11, elastic=3), app("b", 30, at=10, core=2)], [machine(4)], Settings(drain_s=50))
    assert times(outcome) == close(a=(0, 12), b=(12, 42))


def test_services_that_start_hold_room_and_do_no_work() -> None:
    assert times(run([app("a", 100, elastic=1)], [machine(2)], Settings(startup_s=5))) == close(a=(0, 105))


def test_it_works_with_its_core_while_an_elastic_service_starts() -> None:
    """The core is up at 5; the elastic service gets room at 25 and is up at 30: 12.5 of 100 are done by then."""
    outcome = run([app("b", 20, core=1), app("a", 100, elastic=1)], [machine(2)], Settings(startup_s=5))
    assert times(outcome) == close(b=(0, 25), a=(0, 117.5))


def test_services_that_are_not_up_yet_are_taken_back_first() -> None:
    """a's two elastic services get room at 5, and lose it at 6 to b: a works on with its core alone until b has ended, at 21."""
    applications = [app("x", 0, core=2), app("a", 30, elastic=2), app("b", 10, at=6, core=2)]
    outcome = run(applications, [machine(3)], Settings(startup_s=5))
    assert times(outcome) == close(x=(0, 5), a=(0, 26 + 30 - 7), b=(6, 21))


def test_ties_are_settled_by_the_order_of_the_file() -> None:
    outcome = run([app("z", 10), app("a", 10), app("m", 10)], [machine(1)])
    assert times(outcome) == close(z=(0, 10), a=(10, 20), m=(20, 30))
    assert [one.application.id for one in outcome.finished] == ["z", "a", "m"]


def test_the_order_of_the_file_also_settles_more_than_ten() -> None:
    outcome = run([app(f"{number}", 1) for number in range(12)], [machine(1)])
    assert [one.started_s for one in outcome.finished] == pytest.approx(list(range(12)))


def test_everything_of_one_moment_happens_before_the_decision() -> None:
    """Two thirds of a work in thirds of a second never add up exactly; both ends and the arrival are of one moment."""
    applications = [app("a", 0.1, elastic=2), app("b", 0.2), app("c", 5, at=0.3, core=2)]
    outcome = run(applications, [machine(2)])
    assert times(outcome)["c"][0] == pytest.approx(0.3)


def test_who_never_fits_is_in_no_statistic() -> None:
    outcome = run([app("big", 10, core=5), app("a", 10)], [machine(4)])
    assert outcome.never_fits == ("big",)
    assert times(outcome) == close(a=(0, 10))
    assert summary(outcome)["turnaround_s"] == {"mean": 10, "p50": 10, "p95": 10}


def test_elastic_services_that_never_fit_do_not_keep_it_from_running() -> None:
    wide = replace(app("a", 10), demands=two_kinds(1, res(1), 3, res(9)))
    assert times(run([wide], [machine(4)])) == close(a=(0, 40))


def test_nothing_to_run_is_an_outcome() -> None:
    assert summary(run([], [machine(4)]))["makespan_s"] == 0


def test_run_times_of_nothing_end_at_once() -> None:
    assert times(run([app("a", 0), app("b", 5)], [machine(1)])) == close(a=(0, 0), b=(0, 5))


def test_without_reclaim_a_core_waits_for_the_end() -> None:
    applications = [app("a", 100, elastic=3), app("b", 30, at=10, core=2)]
    assert times(run(applications, [machine(4)], Settings(reclaims=False))) == close(a=(0, 100), b=(100, 130))


@pytest.mark.parametrize(("protection_s", "ended_s"), [(0, 105), (60, 130)])
def test_a_victim_does_not_grow_for_a_while_as_long_as_somebody_waits(protection_s: float, ended_s: float) -> None:
    """15 are done when the second ends, at 20. The third wants all of the machine, and waits until the first has ended."""
    applications = [app("a", 100, elastic=3), app("b", 10, at=10, core=2), app("c", 5, at=11, core=4)]
    outcome = run(applications, [machine(4)], Settings(protection_s=protection_s))
    assert times(outcome) == close(a=(0, ended_s), b=(10, 20), c=(ended_s, ended_s + 5))


def test_a_victim_grows_at_once_where_nobody_waits() -> None:
    applications = [app("a", 100, elastic=3), app("b", 10, at=10, core=2)]
    assert times(run(applications, [machine(4)], Settings(protection_s=60))) == close(a=(0, 105), b=(10, 20))


class TestStatistics:
    def test_are_of_turnaround_waiting_and_slowdown(self) -> None:
        told = summary(run([app("a", 10), app("b", 1, at=2), app("c", 100, at=3)], [machine(1)]))
        assert told["waiting_s"]["mean"] == pytest.approx((0 + 8 + 8) / 3)
        assert told["turnaround_s"]["p50"] == pytest.approx(10)
        assert told["slowdown"]["mean"] == pytest.approx((1 + 0.9 + 1.08) / 3), "the second counts as one of 10 s"
        assert told["makespan_s"] == pytest.approx(111)

    def test_shares_are_means_over_time(self) -> None:
        told = summary(run([app("a", 10, at=10, gib=16), app("b", 10, at=25, gib=32)], [machine(2, 64)]))
        assert told["allocated"] == {
            "cores": pytest.approx((10 + 10) * 0.5 / 25),
            "memory": pytest.approx((10 * 0.25 + 10 * 0.5) / 25),
        }


class _Script:
    """Decides what it was told to at each moment; nothing otherwise."""

    def __init__(self, plans: Mapping[float, Plan]) -> None:
        self._plans = dict(plans)

    def __call__(self, snapshot: Snapshot, now: float) -> Plan:
        return self._plans.pop(now, Plan())


START = Start({CORE: {"n": 1}})


class TestPreemption:
    def test_loses_the_work(self) -> None:
        assert self._ends(Settings(preempts=True)) == pytest.approx((10, 40))

    def test_may_keep_the_work(self) -> None:
        assert self._ends(Settings(preempts=True, keeps_progress=True)) == pytest.approx((10, 36))

    def test_it_holds_its_room_for_the_whole_drain(self) -> None:
        """Its elastic services as well; the higher one starts when all have left."""
        jobs = [app("low", 30, elastic=1), app("high", 10, at=4, core=2, priority=200)]
        outcome = run(jobs, [machine(2)], Settings(preempts=True, drain_s=5))
        assert times(outcome) == close(low=(19, 49), high=(9, 19))

    def test_what_was_on_its_way_out_already_leaves_as_early_as_it_would_have(self) -> None:
        jobs = [app("low", 30, elastic=1), *(app(f"high{at}", 10, at=at, core=1, priority=200) for at in (4, 6))]
        outcome = run(jobs, [machine(2)], Settings(preempts=True, drain_s=5))
        assert times(outcome) == close(low=(19, 50), high4=(9, 19), high6=(11, 21))

    @staticmethod
    def _ends(settings: Settings) -> tuple[float, float]:
        """Of one that is taken back at 4 and starts again when the other ends, at 10; it wants 30."""
        whole = Start({CORE: {"n": 1}}, {ELASTIC: {"n": 1}})
        plans = {
            0: Plan(start={"0": whole}),
            4: Plan(start={"1": START}, preempt=("0",)),
            5: Plan(start={"2": START}),
            10: Plan(start={"0": whole}),
        }
        applications = [app("low", 30, elastic=1), app("tick", 0, at=4), app("tock", 5, at=5)]
        outcome = simulate(applications, [machine(3)], _Script(plans), settings)
        assert outcome.preempted == 1
        return times(outcome)["low"]


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(start={"0": Start({CORE: {"n": 2}}, {ELASTIC: {"n": 1}})}), "gives 'a' more than n has"),
        (Plan(start={"0": Start({CORE: {"n": 1}})}), "not with its whole core"),
        (Plan(), "would wait for ever"),
    ],
)
def test_a_plan_that_cannot_be_is_an_error(plan: Plan, message: str) -> None:
    with pytest.raises(ZoeError, match=message):
        simulate([app("a", 10, core=2, elastic=1)], [machine(2)], _Script({0: plan}))
