"""Of every simulated workload: the work that was done is the work that was asked for, and the same again gives the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.world import app, machine
from zoe_jupyter import plugins
from zoe_jupyter.model.resources import Node
from zoe_jupyter.scheduler.decide import decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Counts, Snapshot
from zoe_jupyter.simulator.outcome import Outcome
from zoe_jupyter.simulator.simulation import Decider, Settings, deciding, simulate
from zoe_jupyter.simulator.workload import ELASTIC, Application

POLICIES = plugins.names("zoe_jupyter.policies")
APPLICATIONS = st.lists(
    st.builds(
        lambda run_s, at, core, elastic, size, priority: app(
            "", run_s, at=at, core=core, elastic=elastic, cores=size[0], gib=size[1], priority=priority
        ),
        st.sampled_from([0, 1, 7, 30, 100]),
        st.sampled_from([0, 1, 1, 10, 33.3]),
        st.integers(1, 4),
        st.integers(0, 5),
        st.sampled_from([(0.5, 1), (1, 4), (3, 2), (9, 1)]),
        st.sampled_from([50, 100, 200]),
    ),
    min_size=1,
    max_size=8,
).map(lambda found: [_named(one, f"app-{number}") for number, one in enumerate(found)])
MACHINES = st.lists(st.integers(1, 8), min_size=1, max_size=3).map(
    lambda sizes: [machine(cores, 16, name=f"n{number}") for number, cores in enumerate(sizes)]
)
SETTINGS = st.builds(
    Settings,
    startup_s=st.sampled_from([0, 3]),
    drain_s=st.sampled_from([0, 5]),
    protection_s=st.sampled_from([0, 20]),
    reclaims=st.booleans(),
)


def _named(application: Application, name: str) -> Application:
    return replace(application, id=name)


@settings(max_examples=60, deadline=None)
@given(APPLICATIONS, MACHINES, SETTINGS, st.sampled_from(POLICIES))
def test_all_end_and_the_same_again_gives_the_same(
    applications: list[Application], nodes: list[Node], chosen: Settings, name: str
) -> None:
    policy = plugins.load("zoe_jupyter.policies", name)()
    outcome = simulate(applications, nodes, deciding(policy), chosen)
    assert len(outcome.finished) + len(outcome.never_fits) == len(applications)
    assert all(one.application.submit_s <= one.started_s <= one.ended_s for one in outcome.finished)
    assert simulate(applications, nodes, deciding(policy), chosen) == outcome
    assert simulate(applications, nodes, lambda snapshot, now: decide(snapshot, policy, now), chosen) == outcome


@settings(max_examples=60, deadline=None)
@given(APPLICATIONS, MACHINES, st.sampled_from([0.0, 5.0]), st.sampled_from(POLICIES))
def test_the_work_that_was_done_is_what_was_asked_for(
    applications: list[Application], nodes: list[Node], drain_s: float, name: str
) -> None:
    watched = _Watched(deciding(plugins.load("zoe_jupyter.policies", name)()))
    outcome = simulate(applications, nodes, watched, Settings(drain_s=drain_s))
    for rank, application in enumerate(applications):
        if application.id not in outcome.never_fits:
            assert watched.work(f"{rank}", application, outcome) == pytest.approx(application.run_s, abs=1e-4)


class _Watched:
    """Notes how many elastic services work from when on, from nothing but snapshots and plans."""

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._working: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def __call__(self, snapshot: Snapshot, now: float) -> Plan:
        plan = self._decider(snapshot, now)
        for job in snapshot.jobs:
            if job.is_admitted or job.id in plan.start:
                more = [starts[job.id].elastic for starts in (plan.start, plan.grow) if job.id in starts]
                working = sum(map(_count, [job.elastic, *more])) - _count(plan.shrink.get(job.id, {}))
                self._working[job.id].append((now, working))
        return plan

    def work(self, name: str, application: Application, outcome: Outcome) -> float:
        ended_s = next(one.ended_s for one in outcome.finished if one.application.id == application.id)
        steps = [*self._working[name], (ended_s, 0)]
        done = 0.0
        for (since, working), (until, _) in pairwise(steps):
            done += (application.core + working) / application.services * (until - since)
        return done


def _count(counts: Counts | Mapping[str, Mapping[str, int]]) -> int:
    return sum(counts.get(ELASTIC, {}).values())
