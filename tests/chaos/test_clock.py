"""Clocks that are set, machines that sleep, a core that was stopped: lifetimes and leases go on as people mean them."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.model.execution import Client, Execution, Lease, State
from zoe_jupyter.testing.chaos import ChaosHarness, until
from zoe_jupyter.testing.house import ALICE
from zoe_jupyter.testing.simulated_house import SimulatedHouse

HOUR_S = 3600.0
UNSHARP_S = 75.0
"""Six submits take ten seconds each, and the time is looked at every few seconds."""
KERNEL = Client(kernel_id="k", server="s")


@pytest.fixture
def house() -> Iterator[SimulatedHouse]:
    house = SimulatedHouse()
    house.open()
    yield house
    house.close()


def submit(house: SimulatedHouse, **fields: Any) -> Execution:
    execution = house.submit("job", **fields)
    assert execution is not None
    house.pass_time(10.0)
    return now(house, execution)


def now(house: SimulatedHouse, execution: Execution) -> Execution:
    found = house.do(house.core.execution(execution.id, ALICE))
    assert found is not None
    return found


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, 50 * 365 * 24 * HOUR_S])
@pytest.mark.parametrize(
    ("lifetime", "left_s"), [({"after": "30m"}, 1800.0), ({"with": "kernel", "grace": "10m"}, 600.0)]
)
def test_a_clock_that_is_set_ends_nothing_sooner_or_later(
    house: SimulatedHouse, lifetime: dict[str, str], left_s: float, by_s: float
) -> None:
    """What has half an hour left has it also when it is an hour later all at once."""
    execution = submit(house, lifetime=lifetime)

    house.machine.set_by_s += by_s
    house.pass_time(left_s - 60.0)
    assert now(house, execution).state is State.RUNNING
    house.pass_time(120.0)
    assert now(house, execution).state is State.ENDED


@pytest.mark.parametrize("seed", range(6))
def test_a_clock_that_jumps_for_hours_back_and_forth_ends_nobody_early_and_nobody_late(
    house: SimulatedHouse, seed: int
) -> None:
    """Lifetimes, begins and grace periods are due when so much time has gone by, whatever the clock said meanwhile; who is held, stays."""
    chance = random.Random(seed)
    ends = [(60.0 * minutes, submit(house, lifetime={"after": f"{minutes}m"})) for minutes in (3, 9, 17)]
    ends.append((600.0, submit(house, lifetime={"with": "kernel", "grace": "10m"})))
    later, held = submit(house, begin="+12m"), submit(house, lifetime={"with": "kernel", "grace": "1m"})
    lease = house.do(house.core.take_lease(held.id, ALICE, kind="client", client=KERNEL, ttl_s=60.0))
    assert isinstance(lease, Lease)
    passed_s = 0.0

    while passed_s < 1200.0:
        if chance.random() < 0.5:
            house.machine.set_by_s += chance.choice((-1, 1)) * chance.uniform(60.0, 8 * HOUR_S)
        step_s = chance.uniform(1.0, 20.0)
        house.pass_time(step_s)
        passed_s += step_s
        house.do(house.core.renew_lease(held.id, lease.id, ALICE))
        for due_s, execution in ends:
            if abs(passed_s - due_s) > UNSHARP_S:
                assert (now(house, execution).state is State.ENDED) is (passed_s > due_s), (passed_s, due_s)
        if abs(passed_s - 720.0) > UNSHARP_S:
            assert (now(house, later).state is State.RUNNING) is (passed_s > 720.0), passed_s
        assert now(house, held).state is State.RUNNING
    assert len(house.living()) == 2


def test_the_end_that_people_see_is_told_by_the_new_clock(house: SimulatedHouse) -> None:
    execution = submit(house, lifetime={"after": "8h"})
    ends_at = house.core.ends_at(execution)
    assert ends_at is not None

    house.machine.set_by_s += HOUR_S
    house.pass_time(10.0)

    assert house.core.ends_at(now(house, execution)) == pytest.approx(ends_at + HOUR_S, abs=1.0)
    assert house.backend.bounds[execution.id].ends_at == pytest.approx(ends_at + HOUR_S, abs=1.0)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
def test_who_waits_longest_goes_first_also_when_the_clock_was_set(house: SimulatedHouse, by_s: float) -> None:
    room = {"memory": "10GiB", "workers": 1}
    running, first = house.submit(parameters=room), house.submit(parameters=room)
    house.pass_time(10.0)
    house.machine.set_by_s += by_s
    second = house.submit(parameters=room)
    assert running is not None
    assert first is not None
    assert second is not None
    house.pass_time(10.0)

    house.do(house.core.stop(running.id, ALICE))
    house.pass_time(10.0)

    assert now(house, first).state is State.RUNNING
    assert now(house, second).state is State.QUEUED


def test_a_suspended_laptop_loses_no_lease_and_no_grace(house: SimulatedHouse) -> None:
    """The wall clock jumps, the monotonic clock stands: nobody could hold it in that time."""
    lifetime = {"with": "kernel", "grace": "10m"}
    held, left = submit(house, lifetime=lifetime), submit(house, lifetime=lifetime)
    lease = house.do(house.core.take_lease(held.id, ALICE, kind="client", client=KERNEL, ttl_s=30.0))
    assert isinstance(lease, Lease)

    house.machine.suspended_s += 8 * HOUR_S
    house.pass_time(20.0)

    assert [kept.id for kept in house.core.leases(held.id)] == [lease.id]
    assert now(house, left).state is State.RUNNING
    house.pass_time(700.0)
    assert now(house, left).state is State.ENDED


def test_a_lifetime_goes_on_while_the_machine_sleeps(house: SimulatedHouse) -> None:
    """`after: 1h` is a moment that people were told."""
    execution = submit(house, lifetime={"after": "1h"})

    house.machine.suspended_s += 2 * HOUR_S
    house.pass_time(20.0)

    assert now(house, execution).state is State.ENDED


def test_a_service_that_stops_gets_its_grace_also_when_the_machine_slept(house: SimulatedHouse) -> None:
    execution = house.submit(parameters={"workers": 1})
    house.pass_time(10.0)
    assert execution is not None
    house.backend.auto_exit = False
    house.do(house.core.stop(execution.id, ALICE))
    house.pass_time(1.0)
    asked = len(house.backend.stopped)

    house.machine.suspended_s += HOUR_S
    house.pass_time(6.0)

    assert len(house.backend.stopped) == asked, "asked again, without grace, as soon as it woke up"


@pytest.mark.parametrize("away_s", [60.0, HOUR_S])
def test_a_core_that_was_stopped_takes_its_own_silence_for_nobody_elses(house: SimulatedHouse, away_s: float) -> None:
    """SIGSTOP: every clock goes on but its own work."""
    execution = submit(house, lifetime={"with": "kernel", "grace": "1m"})
    lease = house.do(house.core.take_lease(execution.id, ALICE, kind="client", client=KERNEL, ttl_s=30.0))
    assert isinstance(lease, Lease)

    house.machine.awake_s += away_s
    house.pass_time(25.0)

    assert len(house.core.leases(execution.id)) == 1
    house.pass_time(60.0)
    assert house.core.leases(execution.id) == [], "its own silence since then counts"
    house.pass_time(120.0)
    assert now(house, execution).state is State.ENDED


@pytest.mark.slow
@pytest.mark.parametrize("away_s", [18.0, pytest.param(60.0, marks=pytest.mark.chaos)])
def test_a_stopped_server_loses_nothing(tmp_path: Path, away_s: float) -> None:
    """A real one, for longer than its leases last."""
    home = ChaosHarness(tmp_path)
    home.furnish()
    server = home.serve()
    try:
        body = {"use": "crew", "name": "mine", "lifetime": {"with": "kernel", "grace": "5s"}}
        own = server.ask("POST", "executions", body)["id"]
        lease = server.ask("POST", f"executions/{own}/leases", {"kind": "kernel", "ttl_s": 8})["id"]

        def is_running() -> bool:
            """Asked by a kernel that lives: it renews its lease."""
            server.ask("PUT", f"executions/{own}/leases/{lease}")
            return bool(server.ask("GET", f"executions/{own}")["state"] == "running")

        until(is_running, 40.0)

        server.process.send_signal(signal.SIGSTOP)
        with pytest.raises(AssertionError):
            until(lambda: False, away_s)
        server.process.send_signal(signal.SIGCONT)

        until(is_running, 5.0)
        assert home.sleepers()
        assert server.ask("GET", f"executions/{own}")["leases"] == 1
        server.ask("POST", f"executions/{own}/stop")
        until(lambda: server.ask("GET", f"executions/{own}")["state"] == "ended", 20.0)
        until(lambda: not home.run_folders(), 20.0)
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.end()
    home.settle(is_idle=True)
