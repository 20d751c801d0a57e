"""Several engines are nodes; one that is silent is not dead, and lost only after a time."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.transport.unixconn import UnixHTTPConnection

from tests.backends.docker.conftest import BASE, DockerWorld
from tests.backends.docker.second_engine import SecondEngine, second_engine
from tests.backends.docker.test_hanging_registry import HangingRegistry, registry
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.application import Health, Probe
from zoe_jupyter.model.execution import Execution, Outcome, Service, State
from zoe_jupyter.testing.backend_contract import Runner, eventually

__all__ = ["registry"]

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ADA = Caller("ada", is_admin=True)
LOST_S = 4.0
SERVICE = """
zoe: 1
kind: framework
name: sleeper
version: "1"
title: Sleeper
processes:
  main:
    image: zoe-test/base
    command: [python3, -m, http.server, "{{ ports.page }}"]
    ports: {page: {protocol: http, title: Page}}
    ready: {tcp: page, timeout_s: 30}
    resources: {cores: 0.1, memory: 64MiB}
    restart: {when: on-failure, delay_s: 0.1}
    stop: {grace_s: 0}
"""

DEAF = """
zoe: 1
kind: framework
name: deaf
version: "1"
title: Deaf
processes:
  main:
    image: {image}
    command: [python3, -c, "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"]
    resources: {{cores: 0.1, memory: 64MiB}}
    stop: {{grace_s: 0}}
"""

PEACEFUL = """
zoe: 1
kind: framework
name: peaceful
version: "1"
title: Peaceful
ends_with: main
processes:
  main:
    image: zoe-test/base
    command:
      - python3
      - -c
      - 'import signal, time; signal.signal(15, lambda *_: exit()); print("works", flush=True); time.sleep(600)'
    ready: {log: works}
    resources: {cores: 0.1, memory: 64MiB}
    restart: {when: never}
"""


@pytest.fixture(scope="module")
def second(engine: Any) -> Iterator[SecondEngine]:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "dockerd", "ip"))):
        pytest.skip("a second Docker Engine needs root, unshare, dockerd and ip")
    with second_engine((BASE,), engine) as found:
        yield found


@pytest.fixture
def engines(second: SecondEngine) -> tuple[EngineSettings, ...]:
    far = EngineSettings(name="far", url=second.url, labels={"rack": "b"}, probes="exec")
    return (EngineSettings(name="near"), far)


@pytest.fixture
async def runner(world: DockerWorld, engines: tuple[EngineSettings, ...]) -> AsyncIterator[Runner]:
    world.options.update(engines=engines, lost_after_s=LOST_S)
    runner = Runner(world, await world.open())
    yield runner
    for execution_id in ("one", "two"):
        await runner.backend.clean(execution_id, keep_logs=False)
    await world.close(runner.backend)


async def test_each_engine_is_a_node_with_its_labels(runner: Runner) -> None:
    nodes = {node.name: node for node in await runner.backend.nodes()}
    assert set(nodes) == {"near", "far"}
    assert nodes["far"].labels["rack"] == "b"
    for execution_id, node in {"one": "near", "two": "far"}.items():
        await runner.backend.launch(runner.order(execution_id, code="print('here', flush=True); input()"), node)
    seen = {each.execution_id: each.handle["node"] for each in (await runner.backend.observe()).services}
    assert seen == {"one": "near", "two": "far"}
    await runner.said("two", "app.main-0", b"here")


async def test_a_silent_engine_is_not_dead_and_lost_only_after_a_time(runner: Runner, second: SecondEngine) -> None:
    await runner.backend.launch(runner.order("one"), "near")
    health = Health(Probe(command=("true",), timeout_s=4), every_s=0.2, failures=2)
    await runner.backend.launch(runner.order("two", health=health), "far")
    await runner.until("two", "app.main-0", SeenState.READY)
    second.pause()
    try:
        await eventually(lambda: _is_silent(runner, is_lost=False))
        observation = await runner.backend.observe()
        assert {each.execution_id for each in observation.services} == {"one"}
        assert not {node.name: node for node in await runner.backend.nodes()}["far"].is_enabled
        began = time.monotonic()
        await runner.start("one", "app.other-0")
        assert time.monotonic() - began < 10, "the silent engine holds up the other one"
        with pytest.raises(Unreachable):
            await runner.backend.stop("two", "app.unknown-0", 1, grace_s=0)
        await eventually(lambda: _is_silent(runner, is_lost=True))
    finally:
        second.go_on()
    seen = await runner.until("two", "app.main-0", SeenState.READY)
    assert seen.exit_code is None
    assert not (await runner.backend.observe()).unreachable


async def _is_silent(runner: Runner, *, is_lost: bool) -> bool:
    observation = await runner.backend.observe()
    return "far" in (observation.lost if is_lost else observation.unreachable)


@pytest.fixture
async def core(
    world: DockerWorld, engines: tuple[EngineSettings, ...], registry: HangingRegistry, tmp_path: Path
) -> AsyncIterator[Core]:
    texts = {"sleeper": SERVICE, "deaf": DEAF.format(image=rare(registry)), "peaceful": PEACEFUL}
    for name, text in texts.items():
        folder = tmp_path / "shop" / name
        folder.mkdir(parents=True)
        (folder / "framework.yaml").write_text(text)
    world.data_dir.mkdir(mode=0o700)
    core = await open_core(
        Settings(
            data_dir=world.data_dir,
            backend="docker",
            backend_options={"engines": engines, "lost_after_s": LOST_S},
            shop_sources=(str(tmp_path / "shop"),),
            deployment=world.deployment,
        )
    )
    yield core
    page = await core.executions(ADA, states=[state for state in State if state is not State.ENDED])
    for execution in page.items:
        await core.stop(execution.id, ADA)
        await until(core, execution.id, State.ENDED)
    await eventually(lambda: _has_nothing(core))
    await core.close()


def rare(registry: HangingRegistry) -> str:
    """An image that its registry never gives."""
    return f"{registry.name}/rare:1"


async def _has_nothing(core: Core) -> bool:
    return not (await core._backend.observe()).kept


async def until(core: Core, execution_id: str, state: State) -> Execution:
    async def is_there() -> bool:
        return (await core.execution(execution_id, ADA)).state is state

    await eventually(is_there, deadline_s=60)
    return await core.execution(execution_id, ADA)


async def test_what_a_lost_engine_ran_goes_on_elsewhere_and_never_twice(
    core: Core, second: SecondEngine, engine: Any
) -> None:
    await core.set_node_enabled("near", ADA, is_enabled=False)
    restarting, _ = await core.submit(Submission(use="sleeper"), ADA, key=None)
    zapp = {"zoe": 1, "kind": "zapp", "name": "waiter", "on_lost": "wait", "frameworks": [{"use": "sleeper"}]}
    waiting, _ = await core.submit(Submission(zapp=zapp), ADA, key=None)
    for execution in (restarting, waiting):
        await until(core, execution.id, State.RUNNING)
    await core.set_node_enabled("near", ADA, is_enabled=True)
    second.pause()
    try:
        await eventually(lambda: _runs_on(core, restarting.id, "near"), deadline_s=60)
        (service,) = (await core.execution(waiting.id, ADA)).services.values()
        assert (service.node, service.attempt) == ("far", 1)
        page = await _page(core, restarting.id)
        assert page == await _published_by(core, restarting.id, engine)
    finally:
        second.go_on()

    async def is_alone() -> bool:
        assert await _page(core, restarting.id) == page
        return await _is_alone(core, restarting.id)

    await eventually(is_alone, deadline_s=30)
    with await asyncio.to_thread(urllib.request.urlopen, page, timeout=5) as answer:
        assert answer.status == 200
    (service,) = (await core.execution(waiting.id, ADA)).services.values()
    assert (service.node, service.attempt, service.state.value) == ("far", 1, "running")


async def test_what_a_lost_engine_still_runs_is_ended_while_its_successor_waits_for_an_image(
    core: Core, second: SecondEngine, registry: HangingRegistry
) -> None:
    """Though it is deaf: asked to end by each look, it would never be killed if each began its grace anew."""
    far = second.client()
    far.tag(BASE, *rare(registry).rsplit(":", 1))
    await core.set_node_enabled("near", ADA, is_enabled=False)
    execution, _ = await core.submit(Submission(use="deaf"), ADA, key=None)
    await until(core, execution.id, State.RUNNING)
    await core.set_node_enabled("near", ADA, is_enabled=True)
    second.pause()
    try:
        assert await asyncio.to_thread(registry.asked.wait, 60)
    finally:
        second.go_on()

    async def has_ended() -> bool:
        return not far.containers(filters={"label": f"jupyter.zoe.execution={execution.id}"})

    await eventually(has_ended, deadline_s=30)
    far.close()
    (service,) = (await core.execution(execution.id, ADA)).services.values()
    assert (service.node, service.attempt, service.state.value) == ("near", 2, "starting")


@pytest.fixture
def tidy_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver closes what it could not connect; it leaves that to whoever collects it, who complains."""

    def connect(connection: Any) -> None:
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(connection.timeout)
            connection.sock.connect(connection.unix_socket)
        except OSError:
            connection.sock.close()
            raise

    monkeypatch.setattr(UnixHTTPConnection, "connect", connect)


async def test_what_an_engine_ran_that_restarts_is_started_again_once(
    core: Core, second: SecondEngine, tidy_driver: None
) -> None:
    """It ends its containers, for it does not keep them (``live-restore``). That is nobody's failure, and no job's success."""
    await core.set_node_enabled("near", ADA, is_enabled=False)
    restarting, _ = await core.submit(Submission(use="sleeper"), ADA, key=None)
    zapp = {"zoe": 1, "kind": "zapp", "name": "waiter", "on_lost": "wait", "frameworks": [{"use": "sleeper"}]}
    waiting, _ = await core.submit(Submission(zapp=zapp), ADA, key=None)
    job, _ = await core.submit(Submission(use="peaceful"), ADA, key=None)
    for execution in (restarting, waiting, job):
        await until(core, execution.id, State.RUNNING)
    await asyncio.to_thread(second.restart)

    async def run_again() -> bool:
        """Where none is placed there is no service for a moment."""
        found = [(await core.execution(each.id, ADA)).services.values() for each in (restarting, waiting)]
        services = [service for some in found for service in some]
        return len(services) == 2 and all(each.attempt > 1 and each.state.value == "running" for each in services)

    await eventually(run_again, deadline_s=60)
    assert [(await _main(core, each.id)).attempt for each in (restarting, waiting)] == [2, 2]
    assert [(await _main(core, each.id)).failures for each in (restarting, waiting)] == [0, 0]
    await until(core, job.id, State.ENDED)
    assert (await core.execution(job.id, ADA)).outcome is Outcome.LOST
    far = second.client()
    told = list(far.events(since=1, until=int(time.time()) + 1, filters={"event": "start"}, decode=True))
    begun = [event["Actor"]["Attributes"]["jupyter.zoe.execution"] for event in told]
    assert sorted(begun) == sorted([restarting.id, waiting.id])
    for execution in (restarting, waiting):
        assert len(far.containers(filters={"label": f"jupyter.zoe.execution={execution.id}"})) == 1
        assert await _is_alone(core, execution.id)
    far.close()


async def _main(core: Core, execution_id: str) -> Service:
    (service,) = (await core.execution(execution_id, ADA)).services.values()
    return service


async def _runs_on(core: Core, execution_id: str, node: str) -> bool:
    execution = await core.execution(execution_id, ADA)
    return execution.state is State.RUNNING and [each.node for each in execution.services.values()] == [node]


async def _page(core: Core, execution_id: str) -> str:
    """The one page that people are led to now."""
    (found,) = (await core.endpoints(execution_id, ADA)).values()
    return f"http://{found.host}:{found.port}/"


async def _published_by(core: Core, execution_id: str, engine: Any) -> str:
    """Where the first engine publishes what it runs of it."""
    (service,) = (await core.execution(execution_id, ADA)).services.values()
    ports = engine.inspect_container(service.handle["container_id"])["NetworkSettings"]["Ports"]
    ((published,),) = [each for each in ports.values() if each]
    return f"http://{published['HostIp']}:{published['HostPort']}/"


async def _is_alone(core: Core, execution_id: str) -> bool:
    """Whether one container of it runs, and the others are known to have ended."""
    observation = await core._backend.observe()
    living = [
        each
        for each in observation.services
        if each.execution_id == execution_id and each.state is not SeenState.EXITED
    ]
    return not observation.unreachable and len(living) == 1
