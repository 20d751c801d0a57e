"""What `policies` compares: the algorithms on cases worked out by hand, the workload, and the figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from benchmarks import baselines
from benchmarks.judging import Run, figures, tables
from benchmarks.missed import Missed
from benchmarks.workload import CLUSTER, Cell, misjudged
from tests.simulator.world import app, machine, times
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Snapshot
from zoe_jupyter.simulator.simulation import fits, simulate
from zoe_jupyter.simulator.synthetic import offered_s
from zoe_jupyter.simulator.workload import CORE, Application

FIRST, SECOND, THIRD = app("a", 10, elastic=2, gib=1), app("b", 10, elastic=1, gib=1), app("c", 10, gib=1)


def ends(one_pass: baselines.Pass, *applications: Application, key: str = "fifo") -> dict[str, tuple[float, float]]:
    decider = baselines.baseline(one_pass, baselines.KEYS[key], empty_passes=2)
    return times(simulate(applications, [machine(4)], decider))


class TestBaselines:
    def test_rigid_starts_the_head_whole_or_nobody(self) -> None:
        assert ends(baselines.rigid, FIRST, SECOND, THIRD) == {"a": (0, 10), "b": (10, 20), "c": (10, 20)}

    def test_malleable_fills_the_head_before_it_looks_further(self) -> None:
        """The second has one of two services until 10."""
        assert ends(baselines.malleable, FIRST, SECOND, THIRD) == {"a": (0, 10), "b": (0, 15), "c": (10, 20)}

    def test_flexible_gives_the_next_core_what_the_first_has_not_started_yet(self) -> None:
        """The first keeps one of two elastic services: 2/3 of its speed until 6, when the third has not begun."""
        two = app("b", 6, core=2, gib=1)
        assert ends(baselines.flexible, FIRST, two) == {
            "a": (0, pytest.approx(6 + (10 - 6 * 2 / 3))),
            "b": (0, 6),
        }

    def test_flexible_takes_nothing_back(self) -> None:
        late = app("b", 6, at=1, core=2, gib=1)
        assert ends(baselines.flexible, app("a", 10, elastic=3, gib=1), late) == {"a": (0, 10), "b": (10, 16)}

    def test_core_first_starts_cores_before_elastic_services(self) -> None:
        assert ends(baselines.core_first, app("a", 8, elastic=3), app("b", 4, core=2))["b"] == (0, 4)

    def test_strict_order_is_given_up_by_backfilling(self) -> None:
        queue = (app("run", 10, core=3), app("wide", 5, core=4), app("small", 5))
        assert ends(baselines.core_first, *queue)["small"] == (15, 20)
        assert ends(baselines.backfilling, *queue)["small"] == (0, 5)

    def test_shares_are_equal_in_the_last_step(self) -> None:
        queue = (app("a", 10, elastic=2), app("b", 10, elastic=2))
        assert ends(baselines.backfilling, *queue)["a"] == (0, 10)
        assert ends(baselines.equal_shares, *queue) == {"a": (0, 15), "b": (0, 15)}

    def test_interactive_ones_go_first_by_their_factor(self) -> None:
        queue = (app("run", 1, core=4), app("batch", 10, core=4), app("chat", 100, core=4, priority=200))
        assert ends(baselines.rigid, *queue, key="sjf")["chat"][0] == 0
        assert ends(baselines.rigid, *queue, key="fifo")["batch"][0] == 1


class TestWorkload:
    @pytest.mark.parametrize("load", [0.7, 1.1])
    def test_offered_work_is_the_load_times_what_the_machines_can_do(self, load: float) -> None:
        found = Cell("elastic", load, 0).applications(500)
        assert offered_s(found, CLUSTER) / found[-1].submit_s == pytest.approx(load, rel=1e-3)

    def test_loads_differ_in_the_gaps_only(self) -> None:
        one, other = (Cell("elastic", load, 1).applications(200) for load in (0.7, 0.9))
        assert [replace(each, submit_s=0) for each in one] == [replace(each, submit_s=0) for each in other]

    def test_kinds_come_in_their_shares_and_in_groups(self) -> None:
        found = Cell("interactive", 0.9, 2).applications(2000)
        kinds = Counter(each.id.split("-")[0] for each in found)
        assert [kinds[name] / len(found) for name in ("elastic", "rigid", "interactive")] == [
            pytest.approx(share, abs=0.03) for share in (0.64, 0.16, 0.20)
        ]
        assert set(Counter(each.submit_s for each in found).values()) <= {1, 2, 3, 4, 5}

    def test_everything_fits_an_empty_cluster_whole(self) -> None:
        found = Cell("elastic", 0.9, 0).applications(300)
        assert len(found) < 300, "some are larger than the cluster"
        assert all(fits(each.demands, CLUSTER) for each in found)

    def test_estimates_are_wrong_in_the_same_way_each_time(self) -> None:
        cell = Cell("elastic", 0.9, 0)
        found = misjudged(cell.applications(50), cell)
        assert found == misjudged(cell.applications(50), cell)
        assert all(each.estimate_s not in (None, each.run_s) for each in found)


def test_time_in_which_a_waiting_core_would_have_fit_is_counted() -> None:
    """The second could have started at once, and is started when the first ends."""

    def lazy(snapshot: Snapshot, now: float) -> Plan:
        begins = {0: "0", 20: "1"}
        return Plan(start={begins[now]: Start({CORE: {"n": 1}})} if now in begins else {})

    missed = Missed(lazy, Fifo())
    simulate([app("a", 10, elastic=1), app("b", 5)], [machine(2)], missed)
    assert (missed.first_s, missed.any_s) == (20, 20)


def test_figures_compare_means_of_seeds() -> None:
    sides = {"zoe": 10, "flexible": 40, "rigid": 100, "malleable": 50, "zoe_drain_30_s": 20, "zoe_without_reclaim": 20}
    sides |= {"core_first": 30, "backfilling": 30, "equal_shares": 30}
    runs = [
        _run(side, mix, load, policy, seed, mean_s=value + seed, is_misjudged=is_misjudged)
        for side, value in sides.items()
        for mix in ("elastic", "interactive")
        for load in (0.9, 1.1)
        for policy in ("fifo", "sjf", "srpt", "hrrn")
        for seed in (0, 2)
        for is_misjudged in (False, True)
    ]
    found = figures(runs)
    assert found["fifo_ratio"] == pytest.approx(11 / 41, abs=1e-4)
    assert found["fifo_rigid_ratio"] == pytest.approx(11 / 101, abs=1e-4)
    assert found["worst_ratio"] == 1, "the percentiles are equal"
    assert found["reclaim_cost"] == pytest.approx(11 / 21, abs=1e-4)
    assert "elastic | 0.9 | fifo | 101 (1) | 51 (1) | 41 (1) | 11 (1) | 0.268 | 1.000" in tables(runs)


def _run(side: str, mix: str, load: float, policy: str, seed: int, *, mean_s: float, is_misjudged: bool) -> Run:
    return Run(
        side, mix, load, policy, seed, is_misjudged, applications=1, removed=0, mean_s=mean_s, p95_s=1, waiting_s=1,
        interactive_waiting_s=1, interactive_p95_s=1, floor_s=1, cores=1, missed=0, missed_any=0, cpu_s=1,
    )  # fmt: skip
