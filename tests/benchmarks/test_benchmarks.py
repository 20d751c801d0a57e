"""Every benchmark still works, and says what it found in the form that others read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import kubernetes_scale
from benchmarks.__main__ import benchmark, names
from benchmarks.policies import PASSES, VARIANTS
from benchmarks.running import Effort, Report, Taken, add, compare, in_turns, interval
from tests import cluster
from tests.requirements import require

KEYS = {
    "admission": {"per_s"},
    "queue_memory": {"mib"},
    "alive": {
        "server_cpu_percent",
        "event_p95_ms",
        "event_p95_ms_low",
        "event_p95_ms_high",
        "server_mib",
        "supervisor_mib",
    },
    "attach_dask": {"ratio", "ratio_low", "ratio_high", "cpu_ratio"},
    "attach_spark": {"ratio", "ratio_low", "ratio_high", "cpu_ratio"},
    "decision": {"after_change_ms", "growth"},
    "kubernetes_scale": {"start_s", "memory_mib", "change_ms", "lists"},
    "kubernetes_launch": {"ratio", "ratio_low", "ratio_high", "cpu_ratio"},
    "kubernetes_stop": {"ratio", "cpu_ratio", "seconds", "left"},
    "docker_burst": {"ratio", "ratio_low", "ratio_high", "cpu_ratio"},
    "docker_launch": {"ratio", "ratio_low", "ratio_high", "cpu_ratio"},
    "docker_stop": {"ratio", "cpu_ratio", "seconds", "left"},
    "policies": {"worst_ratio", "fifo_ratio", "fifo_rigid_ratio", "others_ratio", "reclaim_cost", "interactive_ratio"},
    "spawn": {"added_ms", "zoe_ms", "by_hand_ms"},
    "durable_submits": {"sqlite_per_s", "postgresql_per_s", "lost"},
    "history": {"page_ms", "start_s"},
    "soak": {"memory_growth_percent", "database_growth_percent", "memory_mib", "database_mib"},
    "server_overhead": {"start_s", "memory_mib", "used_memory_mib", "idle_cpu_percent", "first_use_s"},
}
NEEDS = {
    "docker_burst": "docker",
    "docker_launch": "docker",
    "docker_stop": "docker",
    "kubernetes_launch": "kubernetes",
    "kubernetes_scale": "kubernetes",
    "kubernetes_stop": "kubernetes",
    "attach_dask": "dask",
    "durable_submits": "postgresql",
    "attach_spark": "spark",
}


def test_the_list_names_each_benchmark_with_what_it_measures(root: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"], cwd=root, check=True, capture_output=True, text=True
    ).stdout
    assert [line.split()[0] for line in shown.splitlines()] == names()
    assert all(benchmark(name).__doc__ for name in names())


def quick_run(root: Path, name: str) -> str:
    """What it says; where the test is given up, it still stops what it started."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks", name, "--quick"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            output, errors = process.communicate()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 0, errors
    return output


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", names())
def test_a_quick_run_ends_with_the_figures_as_json(root: Path, name: str) -> None:
    if name in NEEDS:
        require(NEEDS[name])
    if name == "kubernetes_scale" and not cluster.is_ours():
        pytest.skip("the cluster's nodes are not simulated")
    found = json.loads(quick_run(root, name).splitlines()[-1])
    assert found["benchmark"] == name
    assert KEYS[name] <= found["figures"].keys()
    assert {run.get("side", "zoe") for run in found["runs"]} in (
        {"zoe", "by_hand"},
        {"with", "without"},
        {"sqlite", "postgresql"},
        {"zoe"},
        {*PASSES, *VARIANTS},
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What the scripts and ``kubectl`` are asked for, of which nothing is done."""
    asked: list[tuple[str, ...]] = []

    def ask(*words: str) -> str:
        asked.append(words)
        return ""

    monkeypatch.setattr(cluster, "cluster", ask)
    monkeypatch.setattr(cluster, "kubectl", ask)
    monkeypatch.setattr(cluster, "kubeconfig", lambda: Path("admin.conf"))
    monkeypatch.setattr(kubernetes_scale, "_measure", lambda *_: Report())
    monkeypatch.delenv("KUBECONFIG", raising=False)
    return asked


@pytest.mark.parametrize("was_up", [True, False])
def test_a_cluster_that_ran_before_runs_on_without_what_was_simulated(
    monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]], was_up: bool
) -> None:
    monkeypatch.setattr(cluster, "is_up", lambda: was_up)
    kubernetes_scale.measure(Effort(is_quick=True))
    assert [words for words in asked if words[0] == "up"] == [("up", "--nodes", "2", "--fake-nodes", "50")]
    assert (("down", "--keep-images") in asked) is not was_up
    assert (("delete", "nodes", "-l", "type=kwok") in asked) is was_up


def test_a_cluster_of_others_is_not_touched(monkeypatch: pytest.MonkeyPatch, asked: list[tuple[str, ...]]) -> None:
    monkeypatch.setattr(cluster, "is_up", lambda: True)
    with pytest.raises(RuntimeError, match="a cluster runs already"):
        kubernetes_scale.measure(Effort())
    monkeypatch.setenv("KUBECONFIG", "theirs")
    with pytest.raises(RuntimeError, match="KUBECONFIG names a cluster of its own"):
        kubernetes_scale.measure(Effort(is_quick=True))
    assert asked == []


def test_both_sides_go_first_equally_often() -> None:
    calls: list[str] = []
    in_turns("ab", [lambda: calls.append("a"), lambda: calls.append("b")], effort=Effort(pairs=4))
    assert calls == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    times = iter([2.0, 1.0, 1.0, 3.0, 9.0, 3.0])
    side = lambda: Taken(next(times), 1.0)  # noqa: E731
    report = compare(Report(), ("zoe", "by_hand"), (side, side), effort=Effort(pairs=3))
    assert report.figures["ratio"] == 3.0
    assert report.figures["cpu_ratio"] == 1.0
    assert len(report.runs) == 6


@pytest.mark.parametrize(("count", "expected"), [(1, (0, 0)), (5, (0, 4)), (7, (0, 6)), (9, (1, 7)), (20, (5, 14))])
def test_the_interval_holds_the_median_with_95_percent(count: int, expected: tuple[int, int]) -> None:
    assert interval(range(count)) == expected


def test_a_figure_comes_with_its_interval() -> None:
    report = Report()
    add(report, "start_s", [0.3, 0.1, 0.2])
    assert report.figures == {"start_s": 0.2, "start_s_low": 0.1, "start_s_high": 0.3}
