"""What others do between two tries, clocks that differ, and names that are taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backends.docker.conftest import BASE, DockerWorld
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import translate
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import Fatal, Retryable
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
