"""The end of an execution of ten pods on Kubernetes, until nothing of it is left, over one ``kubectl delete``."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import pods
from benchmarks.house import Zoe, taken
from benchmarks.running import Effort, Report, Taken, compare
from tests import cluster

SERVICES, QUICK_SERVICES = 10, 3


def measure(effort: Effort) -> Report:
    """``seconds``: the longest that it took; ``left``: what the cluster still had then."""
    cluster.kubeconfig()
    count = QUICK_SERVICES if effort.is_quick else SERVICES
    report = Report()
    with pods.zoe() as house:
        recorded = pods.record(house, "sleepers", {"count": count})
        counts: list[int] = []
        seconds: list[float] = []
        sides = (lambda: _through_zoe(house, count, counts, seconds), lambda: _by_hand(recorded))
        compare(report, ("zoe", "by_hand"), sides, effort=effort)
        report.figures |= {"seconds": round(max(seconds), 3), "left": max(counts)}
    return report


def _through_zoe(house: Zoe, count: int, counts: list[int], seconds: list[float]) -> Taken:
    started = house.start("sleepers", {"count": count})
    found = taken(lambda: house.stop(started))
    counts.append(pods.left(house.deployment))
    seconds.append(found.wall_s)
    return found


def _by_hand(recorded: Sequence[pods.Manifest]) -> Taken:
    pods.launch(recorded)
    return taken(pods.remove)
