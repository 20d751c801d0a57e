"""Spark with three workers on Kubernetes to ready, over a script that applies the same objects with ``kubectl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import pods
from benchmarks.house import Zoe, taken
from benchmarks.running import Effort, Report, Taken, compare
from tests import cluster

WHOLE = {"workers": 3, "worker_memory": "896MiB"}
QUICK = {"workers": 1, "worker_memory": "896MiB", "mode": "classic"}
"""Without Spark Connect and what runs for it, which is most of the work."""


def measure(effort: Effort) -> Report:
    """The same objects on both sides: what Zoe made is written down, and applied again by hand."""
    cluster.kubeconfig()
    cluster.provide_framework("spark")
    with pods.zoe() as house:
        parameters = QUICK if effort.is_quick else WHOLE
        recorded = pods.record(house, "spark", parameters)
        sides = (lambda: _through_zoe(house, parameters), lambda: _by_hand(recorded))
        return compare(Report(), ("zoe", "by_hand"), sides, effort=effort)


def _through_zoe(house: Zoe, parameters: Mapping[str, Any]) -> Taken:
    started: list[Any] = []
    found = taken(lambda: started.extend(house.start("spark", parameters)))
    house.stop(started)
    return found


def _by_hand(recorded: Sequence[pods.Manifest]) -> Taken:
    try:
        return taken(lambda: pods.launch(recorded))
    finally:
        pods.remove("--grace-period=1")
