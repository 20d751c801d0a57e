"""What others do between two tries, clocks that differ, and names that are taken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from docker.types import DeviceRequest

from tests.backends.docker.conftest import BASE, DockerWorld
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import launching, translate
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import BackendError, Fatal, Retryable
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner

pytestmark = pytest.mark.docker
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


def holds(engine: Any, gpu: str) -> str:
    """A container of another deployment that has this GPU."""
    request = DeviceRequest(device_ids=[gpu], capabilities=[["gpu"]])
    host = engine.create_host_config(device_requests=[request])
    labels = {"jupyter.zoe.deployment": "another"}
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
        with pytest.raises(BackendError, match="device driver"):
            await runner.launch(order)
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
