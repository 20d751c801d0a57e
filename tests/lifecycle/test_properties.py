"""Whatever happens, in whatever order: the invariants hold, no attempt runs twice, and what is stopped ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.lifecycle.life import HEAD, LOST, OOM, WORKER, Life, cluster, job, process
from zoe_jupyter.lifecycle import events as e
from zoe_jupyter.lifecycle.effects import Drain, Launch, Stop
from zoe_jupyter.lifecycle.step import next_due
from zoe_jupyter.lifecycle.story import describe, progress, story
from zoe_jupyter.lifecycle.table import TABLE, refuse
from zoe_jupyter.model.application import Application, Lifetime, LifetimeWith, Restart, RestartWhen
from zoe_jupyter.model.errors import Conflict, InvalidTransition
from zoe_jupyter.model.execution import Goal, Reason, Service, ServiceState, State

RESTARTS = st.builds(
    Restart, when=st.sampled_from(RestartWhen), attempts=st.integers(0, 2), delay_s=st.sampled_from([0.0, 1.0])
)
LIFETIMES = st.builds(
    Lifetime,
    after_s=st.none() | st.just(300.0),
    idle_s=st.none() | st.just(100.0),
    together_with=st.none() | st.sampled_from(LifetimeWith),
)
CODES = st.sampled_from([0, 0, 1, 137, None])
REASONS = st.sampled_from([None, OOM, LOST])
ALIVE = (ServiceState.STARTING, ServiceState.RUNNING, ServiceState.DRAINING, ServiceState.STOPPING)


@st.composite
def applications(draw: st.DrawFn) -> Application:
    shape = draw(st.sampled_from(["cluster", "job", "pipeline", "empty"]))
    restart = draw(RESTARTS)
    if shape == "cluster":
        return cluster(elastic=draw(st.integers(0, 3)), drain=draw(st.booleans()), restart=restart, head=draw(RESTARTS))
    if shape == "job":
        return job(tasks=draw(st.integers(1, 3)), elastic=draw(st.integers(0, 1)), when=restart.when)
    if shape == "empty":
        return Application("flow", "Flow", (), {})
    processes = (
        process("a.one", core=2, restart=restart),
        process("b.two", core=0, elastic=2, after=("a.one",), restart=restart),
    )
    return Application("pipe", "Pipe", processes, {}, ends_with="a.one")


class Lives(RuleBasedStateMachine):
    """Random events of every kind, sensible and senseless, with the clock going on in between."""

    @initialize(application=applications(), lifetime=LIFETIMES)
    def begin(self, application: Application, lifetime: Lifetime) -> None:
        self.life = Life.of(application, lifetime=lifetime)
        self.actions: list[Any] = []

    def happens(self, event: e.Event) -> None:
        execution = self.life.execution
        allowed = TABLE.get((execution.state, type(event)))
        try:
            self.life.happens(event)
            self.actions += self.life.actions
        except InvalidTransition:
            assert allowed is None or isinstance(event, (e.Placed, e.Grown))
            assert self.life.execution is execution
        except Conflict:
            assert allowed is refuse or execution.target.goal is Goal.STOP or isinstance(event, e.ScaleRequested)

    def pick(self, data: st.DataObject) -> Service | None:
        services = list(self.life.execution.services.values())
        return data.draw(st.sampled_from(services)) if services else None

    def attempt(self, data: st.DataObject, service: Service) -> int:
        return data.draw(st.sampled_from([service.attempt, service.attempt, service.attempt, service.attempt - 1]))

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0, 70.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.life.now += seconds
        self.happens(e.TimePassed())
        due = next_due(self.life.execution)
        assert due is None or due > self.life.now

    @rule(
        event=st.sampled_from(
            [
                e.Accepted(),
                e.StopRequested(),
                e.RestartRequested(),
                e.SuspendRequested(),
                e.ResumeRequested(),
                e.Preempted(Reason("preempted", "made room")),
                e.ClockSet(-3600.0),
                e.ClockSet(3600.0),
                e.Paused(100.0),
                e.LeasesChanged(0),
                e.LeasesChanged(2),
                e.ActivitySeen(True),
                e.ActivitySeen(False),
            ]
        )
    )
    def something_happens(self, event: e.Event) -> None:
        self.happens(event)

    @precondition(lambda self: self.life.state is State.SUBMITTED)
    @rule()
    def is_accepted(self) -> None:
        self.happens(e.Accepted())

    @precondition(lambda self: self.life.state is State.QUEUED)
    @rule(node=st.sampled_from(["n1", "n2"]))
    def gets_room(self, node: str) -> None:
        self.happens(self.life.room(node=node))

    @rule(
        process=st.sampled_from([HEAD, WORKER, "job.main", "b.two", "other"]),
        count=st.integers(0, 3),
        is_core=st.booleans(),
    )
    def grows(self, process: str, count: int, is_core: bool) -> None:
        placement = {process: {"n2": count}}
        self.happens(e.Grown(core=placement) if is_core else e.Grown(elastic=placement))

    @rule(
        process=st.sampled_from([WORKER, "job.main", "b.two"]),
        node=st.sampled_from(["n1", "n2"]),
        count=st.integers(0, 3),
    )
    def shrinks(self, process: str, node: str, count: int) -> None:
        self.happens(e.Shrunk({process: {node: count}}))

    @rule(process=st.sampled_from([WORKER, "job.main", "b.two", "other"]), count=st.integers(-1, 9))
    def is_scaled(self, process: str, count: int) -> None:
        self.happens(e.ScaleRequested({process: count}))

    @rule(data=st.data())
    def is_launched(self, data: st.DataObject) -> None:
        if (service := self.pick(data)) is not None:
            self.happens(e.ServiceLaunched(service.name, self.attempt(data, service), {"pid": 1}))

    @rule(data=st.data())
    def is_ready(self, data: st.DataObject) -> None:
        if (service := self.pick(data)) is not None:
            self.happens(e.ServiceReady(service.name, self.attempt(data, service)))

    @rule(data=st.data())
    def is_troubled(self, data: st.DataObject) -> None:
        if (service := self.pick(data)) is not None:
            self.happens(e.ServiceTroubled(service.name, self.attempt(data, service), OOM))

    @rule()
    def all_are_ready(self) -> None:
        for service in list(self.life.execution.services.values()):
            self.happens(e.ServiceReady(service.name, service.attempt))

    @rule(data=st.data(), code=CODES, reason=REASONS, is_blameless=st.booleans())
    def exits(self, data: st.DataObject, code: int | None, reason: Reason | None, is_blameless: bool) -> None:
        if (service := self.pick(data)) is not None:
            self.happens(e.ServiceExited(service.name, self.attempt(data, service), code, reason, is_blameless))

    @rule(data=st.data(), retry_in_s=st.none() | st.just(1.0))
    def launch_fails(self, data: st.DataObject, retry_in_s: float | None) -> None:
        if (service := self.pick(data)) is not None:
            self.happens(e.LaunchFailed(service.name, self.attempt(data, service), OOM, retry_in_s))

    @rule(data=st.data())
    def is_drained(self, data: st.DataObject) -> None:
        if (service := self.pick(data)) is not None:
            self.happens(e.ServiceDrained(service.name, self.attempt(data, service)))

    @invariant()
    def people_can_read_it(self) -> None:
        if hasattr(self, "life"):
            assert progress(self.life.execution)
            assert describe(self.life.execution)
            assert len(story(self.life.log)) == len(self.life.log)

    def teardown(self) -> None:
        """Stopped, and with every service gone, it has ended; and everything that was launched was accounted for."""
        if not hasattr(self, "life"):
            return
        self.life.happens(e.StopRequested()).all_exit()
        execution = self.life.execution
        assert execution.state is State.ENDED
        assert execution.outcome is not None
        launched = {(a.service, a.attempt) for a in self.actions if isinstance(a, Launch)}
        assert {(a.service, a.attempt) for a in self.actions if isinstance(a, (Stop, Drain))} <= launched
        assert not any(s.state in ALIVE for s in execution.services.values())


Lives.TestCase.settings = settings(
    max_examples=400, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
test_any_life = pytest.mark.timeout(300)(Lives.TestCase)
