"""What a user sees of the core: executions go through their life, and requests do what they say."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from zoe_jupyter.backends.base import Address, Environment
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.model.errors import Conflict, Fatal, InvalidDescription, NotFound, Retryable, Unfit
from zoe_jupyter.model.execution import Client, Goal, Outcome, Reason, ServiceState, State
from zoe_jupyter.server.present import endpoint_bodies
from zoe_jupyter.testing.house import ADMIN, ALICE, BOB, House, running

CORE_OF_TWO = ["cluster.head-0", "cluster.worker-0", "cluster.worker-1"]


async def test_an_execution_runs_once_all_of_it_is_ready(house: House) -> None:
    """From submit to running, in the order that `after` says, with addresses of the head in the workers' commands."""
    execution = await house.submit()

    await house.until(lambda now: running(now) == CORE_OF_TWO, execution)

    head, *workers = house.backend.launched
    assert head.service == "cluster.head-0"
    assert {order.service for order in workers} == {"cluster.worker-0", "cluster.worker-1"}
    assert workers[0].command == ("worker", f"127.0.0.1:{head.port_numbers['rpc']}")
    assert len(head.command[-1]) > 30


async def test_an_order_names_its_framework_as_the_shop_does(house: House) -> None:
    """So that nobody gets what an admin gives another framework by calling theirs so."""
    use = {"use": "cluster", "as": "trusted"}
    execution = await house.submit(use="", zapp={"zoe": 1, "kind": "zapp", "name": "sly", "frameworks": [use]})
    await house.until(lambda now: bool(running(now)), execution)
    assert {(order.service.partition(".")[0], order.framework) for order in house.backend.launched} == {
        ("trusted", "cluster")
    }


async def test_a_mistyped_name_is_met_with_a_close_one_of_ones_own(house: House) -> None:
    execution = await house.submit()

    with pytest.raises(NotFound, match=f"did you mean {execution.name}?"):
        await house.core.execution(f"{execution.name[:-1]}x", ALICE)
    with pytest.raises(NotFound, match=r"of yours$"):
        await house.core.execution(f"{execution.name[:-1]}x", BOB)


async def test_workers_wait_until_the_head_is_ready(house: House) -> None:
    house.backend.auto_ready = False
    execution = await house.submit()
    await house.until(lambda now: len(house.backend.launched) == 1, execution)

    waiting = await house.get(execution)
    assert {s.state for s in waiting.services.values() if s.process == "cluster.worker"} == {ServiceState.WAITING}

    house.backend.make_ready(execution.id, "cluster.head-0")
    await house.until(lambda now: len(house.backend.launched) == 3, execution)


async def test_stop_ends_every_service_and_cleans(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit())

    await house.core.stop(execution.id, ALICE)
    ended = await house.until_state(State.ENDED, execution)

    assert ended.outcome is Outcome.STOPPED
    assert house.backend.alive() == []
    await house.until(lambda _: house.backend.cleaned == [execution.id], execution)
    assert await house.core.stop(execution.id, ALICE) == ended


async def test_a_job_ends_with_its_exit_code(house: House) -> None:
    good = await house.until_state(State.RUNNING, await house.submit("job"))
    house.backend.exit(good.id, "job.main-0", 0)
    bad = await house.until_state(State.RUNNING, await house.submit("job"))
    house.backend.exit(bad.id, "job.main-0", 3)

    assert (await house.until_state(State.ENDED, good)).outcome is Outcome.SUCCEEDED
    failed = await house.until_state(State.ENDED, bad)
    assert failed.outcome is Outcome.FAILED
    assert failed.services["job.main-0"].exit_code == 3


async def test_a_dead_worker_is_started_again_and_gives_up_with_the_reason(house: House) -> None:
    """Attempts count up; when they are used up, a core service's death fails the execution and says why."""
    execution = await house.until_state(State.RUNNING, await house.submit(parameters={"workers": 1}))
    for attempt in (1, 2, 3):
        await house.until(
            lambda now, n=attempt: (
                (s := now.services["cluster.worker-0"]).attempt == n and s.state is ServiceState.RUNNING
            ),
            execution,
        )
        house.backend.exit(
            execution.id, "cluster.worker-0", 137, Reason("out_of_memory", "out of memory: used 2.1 GiB of 2 GiB")
        )
        house.clock.ahead_s += 10

    ended = await house.until_state(State.ENDED, execution)
    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert "out of memory" in ended.reason.text


async def test_scaling_grows_and_shrinks_with_drain(house: House) -> None:
    execution = await house.until(lambda now: running(now) == CORE_OF_TWO, await house.submit())

    await house.core.scale(execution.id, ALICE, counts={"": 4})
    await house.until(lambda now: len(running(now)) == 5, execution)
    await house.core.scale(execution.id, ALICE, counts={"worker": 1})
    shrunk = await house.until(lambda now: sorted(now.services) == ["cluster.head-0", "cluster.worker-0"], execution)

    assert {command for _, command in house.backend.ran} == {("drain", f"cluster.worker-{n}") for n in (1, 2, 3)}
    assert shrunk.state is State.RUNNING
    with pytest.raises(InvalidDescription, match="1 to"):
        await house.core.scale(execution.id, ALICE, counts={"worker": 0})


async def test_restart_brings_all_services_back(house: House) -> None:
    execution = await house.until(lambda now: running(now) == CORE_OF_TWO, await house.submit())

    await house.core.restart(execution.id, ALICE)
    await house.until(lambda now: len(house.backend.launched) == 6 and running(now) == CORE_OF_TWO, execution)

    assert len({(order.service, order.attempt) for order in house.backend.launched}) == 6


async def test_suspend_takes_the_services_and_resume_brings_them_back(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit())

    await house.core.suspend(execution.id, ALICE)
    suspended = await house.until_state(State.SUSPENDED, execution)
    assert (house.backend.alive(), suspended.target.goal) == ([], Goal.SUSPEND)
    await house.core.resume(execution.id, ALICE)

    await house.until_state(State.RUNNING, execution)


async def test_what_does_not_fit_waits_with_numbers_and_starts_when_there_is_room(house: House) -> None:
    first = await house.until_state(State.RUNNING, await house.submit(parameters={"memory": "10GiB", "workers": 1}))
    second = await house.submit(parameters={"memory": "10GiB", "workers": 1})
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)

    waiting = house.core.waiting(second.id)
    assert waiting is not None
    assert waiting.position == 1
    assert "10 GiB" in waiting.reason.text
    assert [place.execution_id for place in await house.core.queue(ALICE)] == [second.id]

    await house.core.stop(first.id, ALICE)
    await house.until_state(State.RUNNING, second)


async def test_what_can_never_fit_is_refused_at_submit(house: House) -> None:
    with pytest.raises(Unfit, match="64 GiB"):
        await house.submit(parameters={"memory": "64GiB"})


async def test_a_missing_package_is_told_before_anything_starts(house: House) -> None:
    house.backend.environment = Environment(problems=("pyspark is not installed",))

    with pytest.raises(Unfit, match="pyspark is not installed"):
        await house.submit()
    assert house.backend.launched == []


async def test_one_idempotency_key_is_one_execution(house: House) -> None:
    answers = await asyncio.gather(*(house.submit(key="k", name="only") for _ in range(20)))

    assert len({execution.id for execution in answers}) == 1
    assert (await house.submit(caller=BOB, key="k", name="only")).id != answers[0].id
    with pytest.raises(Conflict):
        await house.submit(key="k", name="other")


async def test_a_live_name_is_not_given_twice(house: House) -> None:
    await house.submit(name="mine")

    with pytest.raises(Conflict, match="lives already"):
        await house.submit(name="mine")
    assert [(await house.submit()).name for _ in range(2)] == ["cluster", "cluster-2"]


async def test_other_users_see_nothing_of_it(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit(name="secret"))

    for call in (
        house.core.execution(execution.id, BOB),
        house.core.stop(execution.id, BOB),
        house.core.connection(execution.id, "cluster", BOB),
        house.core.scale(execution.id, BOB, counts={"": 3}),
        house.core.endpoints(execution.id, BOB),
        house.core.usage(execution.id, BOB),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await house.core.executions(BOB, owner="alice")).items == []
    assert (await house.core.execution(execution.id, ADMIN)).id == execution.id


async def test_a_connection_has_address_and_secret_for_its_owner_only(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit())

    connection = await house.core.connection(execution.id, "cluster", ALICE)

    head = next(order for order in house.backend.launched if order.service == "cluster.head-0")
    assert connection["values"]["address"] == f"tcp://127.0.0.1:{head.port_numbers['rpc']}"
    assert connection["secrets"] == {"key": head.files["key"]}
    with pytest.raises(NotFound):
        await house.core.connection(execution.id, "cluster", ADMIN)


async def test_launch_failures_are_tried_again_or_told(house: House) -> None:
    house.backend.fail_launch(Retryable("busy", delay_s=0.01))
    await house.until_state(State.RUNNING, await house.submit("job"))

    house.backend.fail_launch(Fatal("there is no command 'job'"))
    ended = await house.until_state(State.ENDED, await house.submit("job"))

    assert ended.outcome is Outcome.FAILED
    assert ended.reason is not None
    assert "no command" in ended.reason.text


async def test_only_ended_executions_can_be_forgotten(house: House) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit())
    with pytest.raises(Conflict, match="stop it first"):
        await house.core.forget(execution.id, ALICE)
    await house.core.stop(execution.id, ALICE)
    await house.until_state(State.ENDED, execution)

    await house.core.forget(execution.id, ALICE)

    with pytest.raises(NotFound):
        await house.core.execution(execution.id, ALICE)


async def test_forgetting_waits_for_the_cleaning_that_is_under_way(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that remove one folder at the same time would stumble over each other, or put logs back."""
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    may_go_on, order, really = asyncio.Event(), [], house.backend.clean

    async def clean(execution_id: str, *, keep_logs: bool) -> None:
        if keep_logs:
            await may_go_on.wait()
        order.append(keep_logs)
        await really(execution_id, keep_logs=keep_logs)

    monkeypatch.setattr(house.backend, "clean", clean)
    await house.core.stop(execution.id, ALICE)
    await house.until_state(State.ENDED, execution)
    forgetting = asyncio.create_task(house.core.forget(execution.id, ALICE))
    await asyncio.sleep(0.05)
    assert order == []
    may_go_on.set()
    await forgetting

    assert order == [True, False]


async def test_an_execution_with_its_kernel_goes_after_the_grace_and_not_before(house: House) -> None:
    lifetime = {"with": "kernel", "grace": "10m"}
    execution = await house.submit(lifetime=lifetime, client=Client(kernel_id="k1", server="s1"), lease="kernel")
    await house.until_state(State.RUNNING, execution)
    await house.core.kernels_alive("s1", ["k1"])
    assert (await house.get(execution)).unleased_since is None

    await house.core.kernels_alive("s1", [])
    alone = await house.until(lambda now: now.unleased_since is not None, execution)
    house.clock.ahead_s += 590
    await house.core._loop.let_time_pass()
    assert (await house.get(alone)).state is State.RUNNING
    house.clock.ahead_s += 20
    await house.core._loop.let_time_pass()

    ended = await house.until_state(State.ENDED, execution)
    assert ended.outcome is Outcome.EXPIRED


async def test_a_new_lease_within_the_grace_keeps_it(house: House) -> None:
    lifetime = {"with": "kernel", "grace": "10m"}
    execution = await house.submit(lifetime=lifetime, client=Client(kernel_id="k1", server="s1"), lease="kernel")
    await house.core.kernels_alive("s1", [])

    await house.core.take_lease(
        execution.id, ALICE, kind="kernel", client=Client(kernel_id="k2", server="s2"), ttl_s=None
    )

    assert (await house.get(execution)).unleased_since is None
    assert len(house.core.leases(execution.id)) == 1


async def test_the_event_stream_misses_and_repeats_nothing(house: House) -> None:
    seen: list[int] = []

    async def read() -> None:
        async for event in house.core.events(ALICE, since=0, follow=True):
            seen.extend([event.seq])

    reader = asyncio.create_task(read())
    execution = await house.until_state(State.RUNNING, await house.submit())
    await house.core.stop(execution.id, ALICE)
    await house.until_state(State.ENDED, execution)
    await house.until(lambda _: bool(seen) and seen[-1] == house.core.last_seq(), execution)
    reader.cancel()

    assert seen == [event.seq async for event in house.core.events(ALICE, since=0, follow=False)]
    assert seen == sorted(set(seen))
    assert [event async for event in house.core.events(BOB, since=0, follow=False)] == []


async def test_check_tells_what_would_be_reserved_and_changes_nothing(house: House) -> None:
    check = await house.core.check(Submission(use="cluster", parameters={"workers": 3}), ALICE)

    assert (check.core.microcores, check.elastic.microcores) == (1_500_000, 2_000_000)
    assert check.fits_now
    assert check.nodes == ("local",)
    assert check.environment["python_version"] == "3.11.7"
    assert (await house.core.executions(ALICE)).items == []


async def test_check_refuses_a_name_that_submit_would_refuse(house: House) -> None:
    with pytest.raises(InvalidDescription, match="'My Dask!' is not a name"):
        await house.core.check(Submission(use="cluster", name="My Dask!"), ALICE)


async def test_usage_endpoints_cluster_and_metrics_tell_what_runs(house: House) -> None:
    execution = await house.until(lambda now: running(now) == CORE_OF_TWO, await house.submit())
    await house.core._sampler.sample()

    assert {sample.usage.service for sample in await house.core.usage(execution.id, ALICE)} == set(CORE_OF_TWO)
    assert [target.title for target in (await house.core.endpoints(execution.id, ALICE)).values()] == ["Head"]
    (use,) = await house.core.cluster()
    assert (use.services, use.reserved.microcores) == (3, 2_500_000)
    assert b'zoe_executions{state="running"} 1.0' in house.core.metrics()
    assert (await house.core.owners(ALICE))["alice"][0] == 1


async def test_a_service_that_cannot_be_reached_hides_no_pages_of_others(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who has no page is not asked where it is."""
    execution = await house.until(lambda now: running(now) == CORE_OF_TWO, await house.submit())
    asked: list[str] = []
    lost: set[str] = set()

    async def reach(execution_id: str, service: str, attempt: int, inside: Address) -> Address:
        asked.append(service)
        if service in lost:
            raise Retryable("its node does not answer")
        return inside

    monkeypatch.setattr(house.backend, "reach", reach)
    assert set(await house.core.endpoints(execution.id, ALICE)) == {"cluster.head.ui"}
    assert asked == ["cluster.head-0"]

    believed = house.core._ledger.executions[execution.id]
    head = believed.services["cluster.head-0"]
    twin = replace(head, name="cluster.head-1")
    house.core._ledger.executions[execution.id] = replace(believed, services={**believed.services, twin.name: twin})
    lost.add(head.name)
    assert set(await house.core.endpoints(execution.id, ALICE)) == {"cluster.head-1.ui"}
    lost.add(twin.name)
    with pytest.raises(Retryable):
        await house.core.endpoints(execution.id, ALICE)


async def test_a_page_of_somebody_else_is_trusted_by_nobody_also_not_by_an_admin(house: House) -> None:
    """However much the entry is trusted: it could act as the one who looks at it."""
    execution = await house.until(lambda now: running(now) == CORE_OF_TWO, await house.submit())
    house.core._ledger.executions[execution.id] = believed = replace(
        execution, application=replace(execution.application, is_trusted=True)
    )

    for caller, is_trusted in ((ALICE, True), (ADMIN, False)):
        (target,) = (await house.core.endpoints(execution.id, caller)).values()
        (shown,) = endpoint_bodies(believed, caller)
        assert (target.is_trusted, shown.is_trusted) == (is_trusted, is_trusted)
