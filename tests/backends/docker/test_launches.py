"""What others do between two tries, clocks that differ, and names that are taken."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from docker.types import DeviceRequest

from tests.backends.docker.conftest import BASE, DockerWorld
from zoe_jupyter.backends.base import SeenState, ServiceOrder, Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import DockerBackend, launching, stopping, translate
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import BackendError, Busy, Fatal, Retryable
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = pytest.mark.docker
REMOVE_SHELL = ["python3", "-c", "import os; os.remove('/bin/sh')"]
SAYS = "import time; print('begun', flush=True); time.sleep(600)"
SLOW = "import time; time.sleep(2); print('ready', flush=True); time.sleep(600)"


async def test_a_network_that_was_removed_between_two_attempts_is_made_anew(
    runner: Runner, world: DockerWorld, engine: Any
) -> None:
    await runner.launch(runner.order("one", code="raise SystemExit(1)"))
    await runner.ended("one")
    (network,) = engine.networks(filters={"label": f"jupyter.zoe.deployment={world.deployment}"})
    engine.remove_network(network["Id"])
    with pytest.raises(Retryable, match="network"):
        await runner.launch(runner.order("one", attempt=2))
    await runner.start("one", attempt=2)


@pytest.mark.parametrize("behind_s", [120.0, -120.0])
async def test_whatever_an_engines_clock_says_a_service_has_its_time_to_become_ready(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, behind_s: float
) -> None:
    moment = translate.moment
    monkeypatch.setattr(translate, "moment", lambda text: max(0.0, moment(text) - behind_s))
    await runner.start("one", code=SLOW, ready=Probe(log="^ready", timeout_s=60))
    await runner.launch(runner.order("two", ready=Probe(log="never", timeout_s=2)))
    late = await runner.ended("two")
    assert late.reason is not None
    assert late.reason.code == "not_ready"


async def test_a_container_of_somebody_else_is_not_taken_over(runner: Runner, world: DockerWorld, engine: Any) -> None:
    name = Attempt(world.deployment, "one", "app.main-0", 1).name
    others = engine.create_container(BASE, ["sleep", "600"], name=name)["Id"]
    try:
        engine.start(others)
        with pytest.raises(Fatal, match=f"another's container has the name {name}"):
            await runner.launch(runner.order("one"))
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0)
        await runner.backend.clean("one", keep_logs=False)
        assert not (await runner.backend.observe()).services
        assert engine.inspect_container(others)["State"]["Running"]
    finally:
        engine.remove_container(others, force=True)


async def test_a_container_that_the_engine_is_still_making_is_waited_for(
    runner: Runner, world: DockerWorld, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a connection that broke: the engine goes on, and has given the name away already."""
    create, makers = launching._create, list[threading.Timer]()

    def refuse(client: Any, config: dict[str, Any], name: str) -> str:
        if not makers:
            makers.append(threading.Timer(2.0, create, (client, config, name)))
            makers[0].start()
        raise Fatal(
            f'the engine refused: Conflict. The container name "/{name}" is already in use by container "c0ffee"'
        )

    monkeypatch.setattr(launching, "_create", refuse)
    monkeypatch.setattr(launching, "_MAKING_LOOKS", 1)
    monkeypatch.setattr(launching, "_LONG_S", 0.4)
    monkeypatch.setattr(launching, "_TRY_S", 0.1)
    with pytest.raises(Unreachable, match="is still making the container of "):
        await runner.launch(runner.order("one"))
    assert not (await runner.backend.observe()).services, "the next look begins the next try"
    monkeypatch.setattr(launching, "_MAKING_LOOKS", 20)
    starting = asyncio.create_task(runner.start("one"))
    seen = await runner.until("one", "app.main-0", SeenState.STARTING)
    assert seen.reason is not None
    assert seen.reason.text.startswith("its launch takes more than ")
    assert "has not made its container: much in the image's VOLUME takes long" in seen.reason.text
    assert (await starting).reason is None
    assert len(world.left(engine)) == 2, "one container in one network"


async def test_a_launch_that_takes_long_is_told_with_what_it_waits_for(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for its container where that is there."""
    fill, may_go_on = launching._fill, threading.Event()

    def fill_late(*arguments: Any) -> None:
        may_go_on.wait(30)
        fill(*arguments)

    monkeypatch.setattr(launching, "_fill", fill_late)
    monkeypatch.setattr(launching, "_LONG_S", 0.4)
    monkeypatch.setattr(launching, "_TRY_S", 0.1)
    starting = asyncio.create_task(runner.start("one"))
    try:
        await eventually(lambda: _is_told(runner, "the engine docker has not taken its files; "))
    finally:
        may_go_on.set()
    assert (await starting).reason is None


async def _is_told(runner: Runner, words: str) -> bool:
    told = [each.reason for each in (await runner.backend.observe()).services]
    return any(reason is not None and words in reason.text for reason in told)


@pytest.mark.parametrize("takes_s", [0.0, 2.0])
async def test_what_is_made_by_a_launch_whose_answer_was_lost_goes_with_its_stop(
    runner: Runner, world: DockerWorld, engine: Any, monkeypatch: pytest.MonkeyPatch, takes_s: float
) -> None:
    """Also where the engine has not made it by then; it tells when it has."""
    create = launching._create

    def lose(client: Any, config: dict[str, Any], name: str) -> str:
        maker = threading.Timer(takes_s, create, (client, config, name))
        maker.start()
        if not takes_s:
            maker.join()
        raise Unreachable("the connection broke")

    monkeypatch.setattr(launching, "_create", lose)
    with pytest.raises(Unreachable):
        await runner.launch(runner.order("one"))
    await runner.backend.stop("one", "app.main-0", 1, grace_s=1)
    if takes_s:
        await eventually(lambda: _has_container(world, engine))
        await eventually(lambda: _is_gone_after_a_look(runner, world, engine))
    await eventually(lambda: _has_no_container(world, engine))


async def test_what_was_made_for_an_earlier_attempt_and_never_started_goes_with_the_next(
    runner: Runner, world: DockerWorld, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that cannot start, for want of its GPU say."""
    with monkeypatch.context() as patch:
        patch.setattr(launching, "_fill", lambda *_, **__: _lose())
        with pytest.raises(Unreachable):
            await runner.launch(runner.order("one"))
    assert await _has_container(world, engine)
    monkeypatch.setattr(launching, "_create", lambda *_, **__: _lose())
    with pytest.raises(Unreachable):
        await runner.launch(runner.order("one", attempt=2))
    await runner.backend.observe()
    await eventually(lambda: _has_no_container(world, engine))


def _lose() -> str:
    raise Unreachable("the connection broke")


async def _has_container(world: DockerWorld, engine: Any) -> bool:
    return len(world.left(engine)) == 2


async def _is_gone_after_a_look(runner: Runner, world: DockerWorld, engine: Any) -> bool:
    await runner.backend.observe()
    return await _has_no_container(world, engine)


async def _has_no_container(world: DockerWorld, engine: Any) -> bool:
    return len(world.left(engine)) == 1


async def test_a_start_that_an_engine_in_trouble_does_not_own_up_to_is_no_failure(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt would run the program twice; as where a proxy answers with 502 what the engine has done, and then for a while."""
    begin, troubled = launching._begin, Busy("the engine refused: bad gateway")
    place = next(iter(runner.backend._site.places.values()))  # type: ignore[attr-defined]
    inspect, is_troubled = place.engine.inspect, False

    def lie(client: Any, container_id: str) -> None:
        nonlocal is_troubled
        begin(client, container_id)
        is_troubled = True
        raise troubled

    async def answer(name: str) -> Container | None:
        if is_troubled:
            raise troubled
        found: Container | None = await inspect(name)
        return found

    monkeypatch.setattr(launching, "_begin", lie)
    monkeypatch.setattr(place.engine, "inspect", answer)
    for _ in range(2):
        with pytest.raises(Unreachable, match=r"whether .* runs is not told"):
            await runner.launch(runner.order("one", code=SAYS))
    is_troubled = False
    await runner.start("one", code=SAYS)
    await runner.said("one", "app.main-0", b"begun")
    assert (await runner.output("one")).count(b"begun") == 1


async def test_a_start_that_is_answered_with_an_error_and_was_done_counts(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = launching._begin

    def lie(client: Any, container_id: str) -> None:
        begin(client, container_id)
        raise Busy("the engine refused: bad gateway")

    monkeypatch.setattr(launching, "_begin", lie)
    await runner.start("one", code=SAYS)
    await runner.said("one", "app.main-0", b"begun")


async def test_what_an_image_begins_with_stays_and_gets_the_command(runner: Runner, engine: Any) -> None:
    name, made = f"zoe-test/entered-{uuid.uuid4().hex[:8]}:1", engine.create_container(BASE, ["true"])
    entry = 'ENTRYPOINT ["sh", "-c", "echo entered; exec \\"$@\\"", "--"]'
    engine.commit(made["Id"], repository=name, changes=[entry])
    engine.remove_container(made["Id"])
    try:
        await runner.launch(runner.order("one", code="print('commanded')", image=name))
        await runner.ended("one")
        assert await runner.output("one") == b"entered\ncommanded\n"
        await runner.backend.clean("one", keep_logs=False)
    finally:
        engine.remove_image(name, force=True)


async def test_an_entrypoint_that_is_the_program_gets_its_arguments_and_has_the_variables(
    runner: Runner, engine: Any
) -> None:
    name, made = f"zoe-test/program-{uuid.uuid4().hex[:8]}:1", engine.create_container(BASE, ["true"])
    changes = ['ENTRYPOINT ["python3"]', """CMD ["-c", "import os; print('own', os.environ['A'])"]"""]
    engine.commit(made["Id"], repository=name, changes=changes)
    engine.remove_container(made["Id"])
    try:
        given = ("-c", "import os; print('given', os.environ['A'])")
        await runner.launch(runner.order("one", image=name, command=given, environment={"A": "1"}))
        await runner.launch(runner.order("two", image=name, command=(), environment={"A": "2"}))
        for each, said in (("one", b"given 1\n"), ("two", b"own 2\n")):
            assert (await runner.ended(each)).exit_code == 0
            assert await runner.output(each) == said
            await runner.backend.clean(each, keep_logs=False)
    finally:
        engine.remove_image(name, force=True)


async def test_variables_reach_the_service_and_its_commands_and_no_answer_of_the_engine(
    runner: Runner, engine: Any
) -> None:
    is_there = ("sh", "-c", 'test "$HOME" = /tmp')
    code = "import os, time; print(os.environ['GREETING'], os.environ['HOME'], flush=True); time.sleep(600)"
    variables = {"GREETING": "it's\n$HOME", "HOME": "/tmp"}
    seen = await runner.start("one", code=code, environment=variables, ready=Probe(command=is_there, timeout_s=10))
    await runner.said("one", "app.main-0", b"it's\n$HOME /tmp")
    assert await runner.backend.run("one", "app.main-0", 1, is_there, environment={}, timeout_s=20) == 0
    told = engine.inspect_container(seen.handle["container_id"])
    assert told["Config"]["Env"][0] == "HOME=/zoe"
    assert "it's" not in json.dumps(told)


async def why_not(runner: Runner, order: ServiceOrder) -> str:
    """Told at once, or as the reason why it ended."""
    try:
        await runner.launch(order)
    except Fatal as error:
        return error.message
    reason = (await runner.ended(order.execution_id)).reason
    return reason.text if reason else ""


async def test_an_image_without_a_shell_runs_what_has_no_variables(runner: Runner, engine: Any) -> None:
    name, made = (
        f"zoe-test/shellless-{uuid.uuid4().hex[:8]}:1",
        engine.create_container(BASE, REMOVE_SHELL, user="root"),
    )
    engine.start(made["Id"])
    assert engine.wait(made["Id"])["StatusCode"] == 0
    engine.commit(made["Id"], repository=name, changes=['ENTRYPOINT ["env"]'])
    engine.remove_container(made["Id"])
    try:
        await runner.start("one", image=name, command=("sleep", "600"))
        told = await why_not(runner, runner.order("two", image=name, command=("sleep", "600"), environment={"A": "1"}))
        assert "wants a shell" in told
        for each in ("one", "two"):
            await runner.backend.clean(each, keep_logs=False)
    finally:
        engine.remove_image(name, force=True)


async def test_who_is_asked_to_end_by_a_signal_that_there_is_not_ends(runner: Runner) -> None:
    """As an image may name one."""
    await runner.start("one")
    assert isinstance(runner.backend, DockerBackend)
    ((engine, found),) = runner.backend._site.attempts("one", "app.main-0")
    engine.containers[found.id] = replace(found, stop_signal="SIGNONSENSE")
    await runner.backend.stop("one", "app.main-0", 1, grace_s=60)
    assert (await runner.ended("one")).exit_code == 143


async def test_who_cannot_be_asked_to_end_is_killed(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    await runner.start("one")
    monkeypatch.setattr(stopping, "_ask", AsyncMock(side_effect=Retryable("the engine refused: it is busy")))
    with pytest.raises(Retryable):
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0.5)
    assert (await runner.ended("one")).exit_code == 137


def holds(engine: Any, gpu: str) -> str:
    """A container of another deployment that has this GPU."""
    request = DeviceRequest(device_ids=[gpu], capabilities=[["gpu"]])
    host = engine.create_host_config(device_requests=[request])
    labels = {"jupyter.zoe.deployment": "another", "jupyter.zoe.gpus": gpu}
    return str(engine.create_container(BASE, ["sleep", "600"], labels=labels, host_config=host)["Id"])


async def test_two_deployments_on_one_engine_never_give_the_same_gpu(
    world: DockerWorld, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where both choose in one moment. This engine has no GPU: what is made with one does not start."""
    world.options["engines"] = (EngineSettings(gpus=2),)
    runner = Runner(world, await world.open())
    order = replace(runner.order("one"), resources=Resources(memory_bytes=64 * 1024**2, gpus=1))
    others, chosen, create = [holds(engine, "0")], list[str](), launching._create

    def made(client: Any, config: dict[str, Any], name: str) -> str:
        chosen.extend(config["HostConfig"]["DeviceRequests"][0]["DeviceIDs"])
        if is_contended:
            others.append(holds(engine, chosen[-1]))
        return create(client, config, name)

    monkeypatch.setattr(launching, "_create", made)
    try:
        is_contended = False
        with pytest.raises(BackendError, match="device driver") as unable:
            await runner.launch(order)
        assert not getattr(unable.value, "is_blameless", False), "it would be tried without end"
        is_contended = True
        with pytest.raises(Retryable, match="just taken") as yielding:
            await runner.launch(order)
        with pytest.raises(Retryable, match="1 wanted, 0 free") as waiting:
            await runner.launch(order)
        assert yielding.value.is_blameless
        assert waiting.value.is_blameless
        assert chosen == ["1", "1"]
    finally:
        for each in others:
            engine.remove_container(each)
        await runner.backend.clean("one", keep_logs=False)
        await world.close(runner.backend)


@pytest.mark.parametrize("is_first", [True, False])
async def test_who_was_made_later_gives_way_also_when_both_have_just_been_started(
    world: DockerWorld, engine: Any, monkeypatch: pytest.MonkeyPatch, is_first: bool
) -> None:
    """The other was not listed before. This engine has no GPU: ours is made without, and listed as if it had one."""
    world.options["engines"] = (EngineSettings(gpus=1),)
    runner = Runner(world, await world.open())
    order = replace(runner.order("one"), resources=Resources(memory_bytes=64 * 1024**2, gpus=1))
    own, create = {"label": f"jupyter.zoe.deployment={world.deployment}"}, launching._create

    def made(client: Any, config: dict[str, Any], name: str) -> str:
        config["HostConfig"].pop("DeviceRequests")
        return create(client, config, name)

    def holders(client: Any) -> list[translate.Holder]:
        found = [(each["State"] == "running", each["Id"]) for each in client.containers(all=True, filters=own)]
        other = translate.Holder(True, 0.0 if is_first else 2.0, "other", frozenset("0"))
        ours = [translate.Holder(is_running, 1.0, name, other.gpus) for is_running, name in found]
        return [*ours, *([other] if any(each.is_running for each in ours) else [])]

    monkeypatch.setattr(launching, "_create", made)
    monkeypatch.setattr(launching, "_holders", holders)
    if is_first:
        with pytest.raises(Retryable, match="just taken"):
            await runner.launch(order)
    else:
        await runner.launch(order)
    assert len(engine.containers(filters=own)) == (0 if is_first else 1)
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


async def test_who_runs_since_a_try_that_could_not_look_at_others_gives_way_in_the_next(
    world: DockerWorld, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This engine has no GPU: ours is made without, and another's is listed that was made before."""
    world.options["engines"] = (EngineSettings(gpus=1),)
    runner = Runner(world, await world.open())
    order = replace(runner.order("one"), resources=Resources(memory_bytes=64 * 1024**2, gpus=1))
    own, create, is_troubled = {"label": f"jupyter.zoe.deployment={world.deployment}"}, launching._create, True

    def made(client: Any, config: dict[str, Any], name: str) -> str:
        config["HostConfig"].pop("DeviceRequests")
        return create(client, config, name)

    def holders(client: Any) -> list[translate.Holder]:
        running = client.containers(filters=own)
        if running and is_troubled:
            raise Busy("the engine refused: its lock is held")
        ours = [translate.Holder(True, 1.0, each["Id"], frozenset("0")) for each in running]
        return [*ours, translate.Holder(True, 0.0, "other", frozenset("0"))] if ours else []

    monkeypatch.setattr(launching, "_create", made)
    monkeypatch.setattr(launching, "_holders", holders)
    with pytest.raises(Unreachable, match=r"whether .* runs is not told"):
        await runner.launch(order)
    assert len(engine.containers(filters=own)) == 1
    is_troubled = False
    with pytest.raises(Retryable, match="just taken"):
        await runner.launch(order)
    assert not engine.containers(filters=own)
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


async def test_what_only_bears_some_labels_of_zoes_is_passed_over(
    runner: Runner, world: DockerWorld, engine: Any
) -> None:
    """Zoe begins beside it, and neither shows nor removes it."""
    mine = {"jupyter.zoe.deployment": world.deployment}
    posing = {**mine, "jupyter.zoe.execution": "x9", "jupyter.zoe.service": "a", "jupyter.zoe.attempt": "nine"}
    network = engine.create_network(f"posing-{world.deployment}", labels=mine)["Id"]
    made = [
        engine.create_container("zoe-test/base", ["true"], labels=labels)["Id"]
        for labels in (mine, posing, {**posing, "jupyter.zoe.attempt": "9"})
    ]
    try:
        await runner.start("one")
        await world.close(runner.backend)
        runner.backend = await world.open()
        seen = (await runner.backend.observe()).services
        assert [each.execution_id for each in seen] == ["one"]
        assert {each["Id"] for each in engine.containers(all=True)} >= set(made)
    finally:
        for each in made:
            engine.remove_container(each, force=True)
        engine.remove_network(network)
