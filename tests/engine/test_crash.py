"""The crash rule: whatever was half done, the next core finds it and repairs it; nothing is lost, doubled or orphaned."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from zoe_jupyter.backends.base import Observation, ServiceOrder, Unreachable
from zoe_jupyter.engine import actions
from zoe_jupyter.engine.observing import compare
from zoe_jupyter.model.errors import Forbidden, NotFound, Retryable, Unavailable
from zoe_jupyter.model.execution import Outcome, ServiceState, State
from zoe_jupyter.store.repository import EventDraft, Store
from zoe_jupyter.testing.house import ADMIN, ALICE, House, running

TWO_WORKERS = ["cluster.head-0", "cluster.worker-0", "cluster.worker-1"]


async def test_a_new_core_adopts_what_runs(house: House) -> None:
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())

    await house.reopen()

    await house.until(lambda now: running(now) == TWO_WORKERS, execution)
    assert len(house.backend.launched) == 3


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("this did not come about")


async def test_an_exit_while_no_core_was_there_is_seen(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.core.close()
    house.backend.exit(execution.id, "job.main-0", 0)

    await house.open()

    assert (await house.until_state(State.ENDED, execution)).outcome is Outcome.SUCCEEDED


async def test_a_launch_that_was_not_confirmed_is_found_again(house: House) -> None:
    """The backend did it, the core died before it could write so: the service is adopted, not started twice."""
    house.backend.auto_ready = False
    execution = await house.submit("job")
    await house.until(lambda now: bool(house.backend.launched), execution)
    await house.core.close()
    _forget_handles(house)

    await house.open()
    house.backend.make_ready(execution.id, "job.main-0")

    await house.until_state(State.RUNNING, execution)
    assert len(house.backend.launched) == 1


async def test_a_launch_that_never_happened_is_made_up_for(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.core.close()
    _forget_handles(house)
    house.backend.world.seen.clear()

    await house.open()

    await house.until_state(State.RUNNING, execution)
    assert len(house.backend.launched) == 2


def _forget_handles(house: House) -> None:
    """Put the store back to the moment before the launch was confirmed."""
    store = Store(f"sqlite:///{house.folder / 'zoe.db'}")
    store.take_over("test", 0.0)
    for execution in store.live():
        services = {
            n: replace(s, handle={}, state=ServiceState.STARTING, ready_at=None) for n, s in execution.services.items()
        }
        store.save([replace(execution, services=services, state=State.STARTING, version=execution.version + 1)], [])
    store.close()


async def test_what_the_store_does_not_know_is_cleaned(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.core.close()
    seen = dict(house.backend.world.seen)
    await house.open()
    await house.core.stop(execution.id, ALICE)
    await house.until_state(State.ENDED, execution)
    await house.core.close()
    house.backend.world.seen.update(seen)
    house.backend.cleaned.clear()

    await house.open()

    await house.until(lambda _: house.backend.cleaned == [execution.id], execution)


def remember(house: House, *ids: str) -> None:
    """Have the store know executions of these ids."""
    store = Store(f"sqlite:///{house.folder / 'zoe.db'}")
    store.take_over("another", 0.0)
    store.save((), [EventDraft("execution.ended", name, "alice", at=time.time()) for name in ids])
    store.close()


async def test_what_is_kept_of_the_dead_is_cleaned_although_it_has_no_service(house: House) -> None:
    gone = await house.until_state(State.RUNNING, await house.submit("job"))
    house.backend.exit(gone.id, "job.main-0", 0)
    await house.until_state(State.ENDED, gone)
    await eventually(lambda: house.backend.cleaned == [gone.id])
    await house.core.close()
    await house.backend.reserve(
        execution_id=gone.id, owner="ada", service="job.main-0", attempt=1, node="local", ports={}, framework_folder=""
    )

    await house.open()

    await eventually(lambda: house.backend.cleaned == [gone.id, gone.id])


async def test_what_the_store_never_heard_of_is_shown_and_left_alone_until_an_admin_stops_it(house: House) -> None:
    """The database was begun anew under a running Zoe's executions."""
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    await house.core.close()
    for file in house.folder.glob("zoe.db*"):
        file.unlink()

    await house.open()
    await eventually(lambda: bool(house.core._loop.quarantine.now))
    assert await house.core.quarantine(ADMIN) == {execution.id: tuple(TWO_WORKERS)}
    assert await house.core.quarantine(ALICE) == {}
    with pytest.raises(Forbidden):
        await house.core.stop_unknown(execution.id, ALICE)
    with pytest.raises(NotFound):
        await house.core.stop_unknown("nothing", ADMIN)
    other = await house.until_state(State.RUNNING, await house.submit("job"))
    assert house.backend.cleaned == []

    await house.core.stop_unknown(execution.id, ADMIN)
    await eventually(lambda: house.backend.cleaned == [execution.id])
    house.core._loop.look_soon()
    await eventually(lambda: not house.core._loop.quarantine.now)
    assert (await house.get(other)).state is State.RUNNING


async def test_what_has_gone_on_beyond_a_restored_store_is_met_again_not_ended(house: House) -> None:
    """The store says attempt 1, the machine has attempt 2: the next attempt of the one is the other."""
    execution = await house.until_state(State.RUNNING, await house.submit())
    backup = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(house.folder / "zoe.db")) as source:
        source.backup(backup)
    house.backend.exit(execution.id, "cluster.worker-0", 1)
    await house.until(
        lambda now: now.services["cluster.worker-0"].attempt == 2 and running(now) == TWO_WORKERS, execution
    )
    await house.core.close()
    stopped = list(house.backend.stopped)
    for file in house.folder.glob("zoe.db*"):
        file.unlink()
    with closing(sqlite3.connect(house.folder / "zoe.db")) as target:
        backup.backup(target)
    backup.close()

    await house.open()

    await house.until(
        lambda now: now.services["cluster.worker-0"].attempt == 2 and running(now) == TWO_WORKERS, execution
    )
    assert house.backend.stopped == stopped


async def test_a_remnant_that_cannot_be_cleaned_holds_nothing_up_and_is_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "AGAIN_S", 0.5)
    await house.core.close()
    remember(house, "bad", "good")
    for name in ("bad", "good"):
        await house.backend.reserve(
            execution_id=name, owner="ada", service="job.main-0", attempt=1, node="local", ports={}, framework_folder=""
        )
    house.backend.fail_clean(Retryable("a process cannot be killed"), execution_id="bad")

    await house.open()

    await house.until_state(State.RUNNING, await house.submit("job"))
    await eventually(lambda: house.backend.cleaned[:1] == ["good"])

    def is_cleaned() -> bool:
        house.core._loop.look_soon()
        return house.backend.cleaned == ["good", "bad"]

    await eventually(is_cleaned)


async def test_a_core_that_was_replaced_cleans_nothing_of_its_successor(house: House) -> None:
    """What it does not know is the other core's."""
    other = Store(f"sqlite:///{house.folder / 'zoe.db'}")
    other.take_over("another", 0.0)
    await house.backend.reserve(
        execution_id="new", owner="ada", service="job.main-0", attempt=1, node="local", ports={}, framework_folder=""
    )

    house.core._loop.look_soon()

    await eventually(lambda: house.core.is_fenced)
    other.close()
    assert house.backend.cleaned == []


async def test_what_an_older_look_saw_is_not_cleaned_again(house: House) -> None:
    """The look began before the cleaning, and came back after it."""
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    house.backend.exit(execution.id, "job.main-0", 0)
    ended = await house.until_state(State.ENDED, execution)
    await house.until(lambda _: house.backend.cleaned == [execution.id], ended)
    doings = house.core._actions
    older = Observation(services=(), kept=frozenset({execution.id, "other"}))

    findings = compare({}, older, doings, looked_at=0.0)
    later = compare({}, older, doings, looked_at=asyncio.get_running_loop().time() + 1.0)

    assert (findings.remnants, later.remnants) == ({"other"}, {execution.id, "other"})


async def test_a_launch_of_which_nobody_knows_is_asked_for_again_and_costs_no_try(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = house.backend.launch
    tries: list[int] = []

    async def launch_in_silence(order: ServiceOrder, node: str) -> Mapping[str, Any]:
        tries.append(order.attempt)
        handle = await launch(order, node) if len(tries) != 1 else {}
        if len(tries) < 3:
            raise Unreachable("its supervisor does not answer")
        return handle

    monkeypatch.setattr(house.backend, "launch", launch_in_silence)

    execution = await house.until_state(State.RUNNING, await house.submit("job"))

    service = execution.services["job.main-0"]
    assert (service.attempt, service.failures) == (1, 0)
    assert set(tries) == {1}
    assert len(house.backend.launched) == 1


async def test_what_needs_a_backend_that_does_not_answer_says_so(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    house.backend.exit(execution.id, "job.main-0", 0)
    await house.until_state(State.ENDED, execution)
    await house.until(lambda _: house.backend.cleaned == [execution.id], execution)
    house.backend.is_reachable = False

    with pytest.raises(Unavailable, match="do not answer"):
        await house.core.forget(execution.id, ALICE)
    house.backend.is_reachable = True
    await house.core.forget(execution.id, ALICE)


async def test_a_core_that_cannot_open_lets_go_of_everything(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.core.close()
    before = asyncio.all_tasks()

    async def fail(loop: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("zoe_jupyter.engine.loop.Loop.start", fail)
        with pytest.raises(ZeroDivisionError):
            await house.open()

    assert asyncio.all_tasks() == before
    assert not house.backend.is_started
    await house.open()


async def test_a_defect_in_a_launch_is_told_once_and_does_not_spin(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    async def fail(order: ServiceOrder, node: str) -> None:
        tries.append(order.service)
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(house.backend, "launch", fail)

    ended = await house.until_state(State.ENDED, await house.submit("job"))

    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert "ZeroDivisionError" in ended.reason.text
    assert "secret" not in ended.reason.text
    assert tries == ["job.main-0"]


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 21])
async def test_a_caller_that_goes_away_in_the_middle_leaves_nothing_half_done(house: House, turns: int) -> None:
    """A change that the store has and memory has not would make the store refuse every later one."""
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    asking = asyncio.create_task(house.core.scale(execution.id, ALICE, counts={"": 4}))
    for _ in range(turns):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    await house.core.stop(execution.id, ALICE)

    assert (await house.until_state(State.ENDED, execution)).outcome is Outcome.STOPPED


async def test_an_unreachable_backend_is_never_dead(house: House) -> None:
    """While nothing is known, nothing changes; requests are taken, and carried out afterwards."""
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    house.backend.is_reachable = False
    house.core._loop.look_soon()
    await house.until(lambda _: not house.core._loop.is_reachable, execution)

    assert running(await house.get(execution)) == TWO_WORKERS
    assert b"zoe_backend_reachable 0.0" in house.core.metrics()
    assert house.core.silence() == "the fake backend was told not to answer"
    house.backend.is_reachable = True
    house.core._loop.look_soon()
    await house.until(lambda now: house.core._loop.is_reachable and running(now) == TWO_WORKERS, execution)
    assert len(house.backend.launched) == 3
    assert house.core.silence() == ""


async def test_one_silent_execution_is_not_dead_either(house: House) -> None:
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    house.backend.unreachable[execution.id] = "its supervisor does not answer"
    house.backend.hint()
    other = await house.submit("job")

    await house.until_state(State.RUNNING, other)

    assert running(await house.get(execution)) == TWO_WORKERS


async def test_an_earlier_attempt_that_still_runs_is_stopped_and_the_newest_is_not(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    (order,) = house.backend.launched
    await house.backend.launch(replace(order, attempt=0), "local")
    house.core._loop.look_soon()

    await eventually(lambda: bool(house.backend.stopped))

    assert {stopped[:3] for stopped in house.backend.stopped} == {(execution.id, "job.main-0", 0)}
    assert (await house.get(execution)).state is State.RUNNING


async def test_a_service_that_vanished_is_started_again(house: House) -> None:
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())

    house.backend.vanish(execution.id, "cluster.worker-1")
    house.clock.ahead_s += 5

    again = await house.until(
        lambda now: (
            "cluster.worker-1" in now.services
            and now.services["cluster.worker-1"].attempt == 2
            and running(now) == TWO_WORKERS
        ),
        execution,
    )
    assert again.services["cluster.worker-1"].failures == 0


async def test_a_list_that_lags_behind_makes_nothing_start_twice(house: House) -> None:
    """A backend said that it started the services, and does not list them yet."""
    house.backend.hidden_looks = 2

    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())

    assert sorted(order.service for order in house.backend.launched) == TWO_WORKERS
    assert not house.backend.stopped
    assert {service.attempt for service in execution.services.values()} == {1}


async def test_a_core_that_was_replaced_acts_no_more(house: House) -> None:
    """Its late writes are refused, and so are its late actions."""
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    other = Store(f"sqlite:///{house.folder / 'zoe.db'}")
    other.take_over("another", 0.0)
    house.backend.exit(execution.id, "job.main-0", 1)
    for _ in range(200):
        if house.core.is_fenced:
            break
        await asyncio.sleep(0.02)
    other.close()

    with pytest.raises(Unavailable, match="taken over"):
        await house.submit("job")
    stored = await house.core.execution(execution.id, ALICE)
    assert stored.state is State.RUNNING


async def test_a_stop_begun_by_a_dead_core_is_finished(house: House) -> None:
    house.backend.auto_exit = False
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    await house.core.stop(execution.id, ALICE)
    await house.until(lambda _: bool(house.backend.stopped), execution)
    await house.core.close()
    house.backend.stopped.clear()
    house.backend.auto_exit = True

    await house.open()

    assert (await house.until_state(State.ENDED, execution)).outcome is Outcome.STOPPED
