"""The whole engine against a backend that fails, lies and forgets, and a core that dies at any turn: what must hold, holds after each step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.engine import views
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.lifecycle.invariants import validate
from zoe_jupyter.model.errors import BackendError, Fatal, Retryable, UserError
from zoe_jupyter.model.execution import Client, Execution, Reason, ServiceState, State
from zoe_jupyter.testing import checker
from zoe_jupyter.testing.house import ALICE, BOB
from zoe_jupyter.testing.sight import Process, Sight, read_store
from zoe_jupyter.testing.simulated_house import SimulatedHouse

SETTLED_S = 400.0
"""Longer than any delay between tries, any grace and any look."""
CALLERS = st.sampled_from([ALICE, BOB])
LIFETIMES = st.sampled_from(
    [None, None, {"after": "5m"}, {"idle": "2m"}, {"with": "kernel", "grace": "1m"}, {"with": "kernel", "grace": "1h"}]
)
FAILURES: Sequence[tuple[BackendError | Unreachable, bool]] = (
    (Retryable("busy", delay_s=1.0), False),
    (Retryable("the answer was lost", delay_s=1.0), True),
    (Unreachable("cut off before the answer"), True),
    (Unreachable("cut off"), False),
    (Fatal("there is no such command"), False),
    (Fatal("it said no, and did it"), True),
)
EXITS = (
    (0, None, False),
    (1, None, False),
    (137, Reason("out_of_memory", "out of memory: used 2.1 GiB of 2 GiB"), False),
    (None, Reason("lost", "its machine was restarted"), True),
)
SOON = st.integers(0, 60)
"""Turns of the core's loop until it dies."""


class Engines(RuleBasedStateMachine):
    """Users, faults and deaths in any order."""

    @initialize()
    def begin(self) -> None:
        self.house = SimulatedHouse()
        self.house.open()
        self.ids: list[str] = []
        self.keys: dict[tuple[str, str], str] = {}
        self.vanished: Counter[Any] = Counter()

    # Users

    def ask(self, work: Any, dies_in: int | None = None) -> Any:
        """The answer; None when the core refused or died."""
        self.house.die_after(dies_in)
        try:
            return self.house.do(work)
        except UserError:
            return None
        finally:
            self.house.die_after(None)
            self.house.open()

    @rule(
        use=st.sampled_from(["cluster", "cluster", "job"]),
        caller=CALLERS,
        key=st.sampled_from(["", "", "k1", "k2"]),
        workers=st.integers(1, 4),
        memory=st.sampled_from(["1GiB", "1GiB", "6GiB"]),
        lifetime=LIFETIMES,
        is_held=st.booleans(),
        dies_in=st.none() | SOON,
    )
    def submit(
        self, use: str, caller: Any, key: str, workers: int, memory: str, lifetime: Any, is_held: bool, dies_in: Any
    ) -> None:
        parameters = {"workers": workers, "memory": memory} if use == "cluster" else {}
        submission = Submission(
            use=use,
            parameters=parameters,
            lifetime=lifetime,
            client=Client(kernel_id="k", server="s"),
            lease="kernel" if is_held else "",
        )
        answer = self.ask(self.house.core.submit(submission, caller, key=key or None), dies_in)
        if answer is not None:
            self.accepted(answer[0], caller.name, key)

    def accepted(self, execution: Execution, owner: str, key: str) -> None:
        if key:
            assert self.keys.setdefault((owner, key), execution.id) == execution.id, "one key, two executions"
        if execution.id not in self.ids:
            self.ids.append(execution.id)

    @precondition(lambda self: self.ids)
    @rule(
        data=st.data(),
        verb=st.sampled_from(["stop", "restart", "suspend", "resume", "forget"]),
        dies_in=st.none() | SOON,
    )
    def request(self, data: st.DataObject, verb: str, dies_in: int | None) -> None:
        own = data.draw(st.sampled_from(self.ids))
        self.ask(getattr(self.house.core, verb)(own, self.owner(own)), dies_in)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), count=st.integers(1, 5), dies_in=st.none() | SOON)
    def scale(self, data: st.DataObject, count: int, dies_in: int | None) -> None:
        own = data.draw(st.sampled_from(self.ids))
        self.ask(self.house.core.scale(own, self.owner(own), counts={"worker": count}), dies_in)

    def owner(self, own: str) -> Any:
        found = self.house.core._ledger.executions.get(own)
        return BOB if found is not None and found.owner == "bob" else ALICE

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), kernel=st.sampled_from(["k", "l"]), ttl_s=st.none() | st.just(30.0))
    def take_lease(self, data: st.DataObject, kernel: str, ttl_s: float | None) -> None:
        own = data.draw(st.sampled_from(self.ids))
        client = Client(kernel_id=kernel, server="s")
        self.ask(self.house.core.take_lease(own, self.owner(own), kind="kernel", client=client, ttl_s=ttl_s))

    @rule(data=st.data(), is_dropped=st.booleans())
    def renew_or_drop_lease(self, data: st.DataObject, is_dropped: bool) -> None:
        leases = list(self.house.core._ledger.leases.values())
        if leases:
            lease = data.draw(st.sampled_from(leases))
            core, caller = self.house.core, self.owner(lease.execution_id)
            do = core.drop_lease if is_dropped else core.renew_lease
            self.ask(do(lease.execution_id, lease.id, caller))

    @rule(kernels=st.sets(st.sampled_from(["k", "l"])))
    def hear_of_kernels(self, kernels: set[str]) -> None:
        self.ask(self.house.core.kernels_alive("s", sorted(kernels)))

    # Services

    def pick(self, data: st.DataObject) -> tuple[str, str] | None:
        """A service of which something runs."""
        running = sorted({(s.execution_id, s.service) for s in self.alive()})
        return data.draw(st.sampled_from(running)) if running else None

    def alive(self) -> list[Any]:
        return [seen for seen in self.house.backend.world.seen.values() if seen.state is not SeenState.EXITED]

    @rule(data=st.data(), how=st.sampled_from(EXITS))
    def service_exits(self, data: st.DataObject, how: Any) -> None:
        if (picked := self.pick(data)) is not None:
            self.house.backend.exit(*picked, how[0], how[1], is_blameless=how[2])

    @rule(data=st.data())
    def service_vanishes(self, data: st.DataObject) -> None:
        if (picked := self.pick(data)) is not None:
            self.vanished[self.house.backend._newest(*picked)] += 1
            self.house.backend.vanish(*picked)

    @rule(data=st.data())
    def service_becomes_ready(self, data: st.DataObject) -> None:
        if (picked := self.pick(data)) is not None:
            self.house.backend.make_ready(*picked)

    # Faults

    @rule(
        is_reachable=st.booleans(),
        slow_s=st.sampled_from([0.0, 0.0, 0.3, 20.0]),
        loses_hints=st.booleans(),
        hidden_looks=st.sampled_from([0, 0, 1, 2]),
        auto_ready=st.booleans(),
        auto_exit=st.booleans(),
    )
    def backend_changes(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self.house.backend, name, value)

    @rule(ages=st.lists(st.integers(0, 3), max_size=6))
    def looks_are_old(self, ages: list[int]) -> None:
        self.house.backend.stale_looks = ages

    @rule(data=st.data(), failure=st.sampled_from(FAILURES), times=st.integers(1, 3))
    def launches_fail(self, data: st.DataObject, failure: Any, times: int) -> None:
        self.house.backend.fail_launch(failure[0], times=times, is_lie=failure[1])

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def cleaning_fails(self, data: st.DataObject) -> None:
        self.house.backend.fail_clean(
            Retryable("it cannot be killed"), execution_id=data.draw(st.sampled_from(self.ids))
        )

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), is_silent=st.booleans())
    def one_execution_is_silent(self, data: st.DataObject, is_silent: bool) -> None:
        silent = self.house.backend.silent
        silent.add(data.draw(st.sampled_from(self.ids))) if is_silent else silent.clear()

    @rule()
    def faults_end(self) -> None:
        self.house.backend.heal()

    # Time, and the end of cores

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0, 20.0, 90.0, 400.0]), dies_in=st.none() | st.integers(0, 400))
    def time_passes(self, seconds: float, dies_in: int | None) -> None:
        self.house.die_after(dies_in)
        self.house.pass_time(seconds)
        self.house.die_after(None)
        self.house.open()

    @rule(by_s=st.sampled_from([-3600.0, 3600.0]))
    def clock_is_set(self, by_s: float) -> None:
        self.house.machine.set_by_s += by_s

    @rule(seconds=st.sampled_from([10.0, 3600.0]))
    def machine_sleeps(self, seconds: float) -> None:
        self.house.machine.suspended_s += seconds

    @rule(is_killed=st.booleans(), away_s=st.sampled_from([0.0, 100.0]), dies_again_in=st.none() | SOON)
    def core_begins_anew(self, is_killed: bool, away_s: float, dies_again_in: int | None) -> None:
        """By a kill or in order; the next one may die while it opens."""
        if is_killed:
            self.house.die()
        else:
            self.house.end()
        self.house.machine.awake_s += away_s
        self.house.open(dies_in=dies_again_in)

    # What must hold

    @invariant()
    def every_state_is_legal(self) -> None:
        for execution in self.house.living():
            assert validate(execution) == []

    @invariant()
    def nothing_is_given_away_twice(self) -> None:
        for node in self.house.backend.machines:
            held = [views.reserved_on(execution, node.name)[0] for execution in self.house.living()]
            assert sum(r.memory_bytes for r in held) <= node.capacity.memory_bytes
            assert sum(r.microcores for r in held) <= node.capacity.microcores

    @invariant()
    def no_attempt_is_started_twice(self) -> None:
        started = Counter((o.execution_id, o.service, o.attempt) for o in self.house.backend.launched)
        assert not {key: n for key, n in started.items() if n > 1 + self.vanished[key]}

    def teardown(self) -> None:
        if not hasattr(self, "house"):
            return
        try:
            self.settle()
            self.stop_everything()
        finally:
            self.house.close()

    def settle(self) -> None:
        """Without faults, all comes to where it is wanted."""
        self.house.backend.heal()
        self.house.pass_time(10.0)
        for seen in self.alive():
            self.house.backend.make_ready(seen.execution_id, seen.service)
        self.house.pass_time(SETTLED_S)
        for seen in self.alive():
            self.house.backend.make_ready(seen.execution_id, seen.service)
        self.house.pass_time(SETTLED_S)
        living = {execution.id: execution for execution in self.house.living()}
        assert {e.state for e in living.values()} <= {State.RUNNING, State.QUEUED, State.SUSPENDED}
        states = {s.state for e in living.values() for s in e.services.values()}
        assert states <= {ServiceState.RUNNING, ServiceState.ENDED}
        assert checker.broken(self.sight()) == []

    def stop_everything(self) -> None:
        """Also of what does not answer."""
        self.house.backend.silent.update([execution.id for execution in self.house.living()][::2])
        for execution in self.house.living():
            self.house.do(self.house.core.stop(execution.id, self.owner(execution.id)))
        self.house.pass_time(SETTLED_S)
        assert self.house.backend.world.seen == {}
        assert self.house.backend.world.reserved == {}
        assert checker.broken(self.sight(), is_idle=True) == []

    def sight(self) -> Sight:
        """What the checker wants to see."""
        executions, events = read_store(self.house.database)
        processes = [
            Process(pid, seen.execution_id, seen.service, seen.attempt) for pid, seen in enumerate(self.alive())
        ]
        return Sight(executions, events, processes)


Engines.TestCase.settings = settings(
    max_examples=130,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
test_any_engine = pytest.mark.timeout(600)(Engines.TestCase)
