"""A whole core on a real cluster, one of whose nodes is cut off while its pods run on, loses its power, or is drained."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.site import Placement
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Execution, Service, ServiceState, State
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.backend_contract import Runner
from zoe_jupyter.testing.house import ADMIN, ALICE

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(300)]

LOST_AFTER_S = 8.0
NOTICED_S = 60.0
"""The cluster itself needs some 20 s to see that a node does not answer."""
ENTRY = """
zoe: 1
kind: framework
name: {name}
title: Something that goes on
summary: It does nothing, for long
on_lost: {on_lost}
processes:
  main:
    image: zoe-test/base
    command: [python3, -u, -c, "import time; print('here'); time.sleep(3600)"]
    resources: {{cores: 0.1, memory: 64MiB}}
    stop: {{grace_s: 1}}
"""
PROVING = ENTRY + "    ready: {{log: ^here}}\n"


@pytest.fixture
def two_nodes() -> Iterator[None]:
    if cluster.infra() is None:
        pytest.skip("cutting nodes off needs the scripts of ZOE_TEST_INFRA")
    yield
    cluster.cluster("mend-node", "2")
    cluster.cluster("start-node", "2")


@pytest.fixture
def placement() -> Placement:
    """Unless a test says otherwise."""
    return Placement.ZOE


@pytest.fixture
async def core(world: KubernetesWorld, tmp_path: Path, two_nodes: None, placement: Placement) -> AsyncIterator[Core]:
    for name, on_lost, entry in (("restart", "restart", ENTRY), ("wait", "wait", ENTRY), ("proving", "wait", PROVING)):
        folder = tmp_path / "shop" / name
        folder.mkdir(parents=True)
        (folder / "framework.yaml").write_text(entry.format(name=name, on_lost=on_lost))
    world.options = {"lost_after_s": LOST_AFTER_S, "placement": placement}
    settings = Settings(data_dir=tmp_path, shop_sources=(str(tmp_path / "shop"),), deployment=world.deployment)
    core = Core(settings=settings, backend=world.closed(), store=Store(f"sqlite:///{tmp_path / 'zoe.db'}"))
    await core.open()
    yield core
    for execution in (await core.executions(ADMIN)).items:
        await core.stop(execution.id, ADMIN)
        await _until(core, execution, lambda now: now.is_ended, 90)
        await core.forget(execution.id, ADMIN)
    await core.close()


async def _until(core: Core, execution: Execution, condition: Callable[[Execution], bool], limit_s: float) -> Execution:
    end = time.monotonic() + limit_s
    while not condition(now := await core.execution(execution.id, ADMIN)):
        assert time.monotonic() < end, f"not within {limit_s} s: {now.services}"
        await asyncio.sleep(0.1)
    return now


def _main(execution: Execution) -> Service:
    return next(iter(execution.services.values()))


def _runs(attempt: int) -> Callable[[Execution], bool]:
    def condition(execution: Execution) -> bool:
        services = list(execution.services.values())
        return bool(services) and (services[0].attempt, services[0].state) == (attempt, ServiceState.RUNNING)

    return condition


async def _start_on_node2(core: Core, world: KubernetesWorld, use: str) -> Execution:
    async with _without_node1(core, world):
        execution, _ = await core.submit(Submission(use=use), ALICE, key=None)
        running = await _until(core, execution, _runs(1), 60)
    assert _places(world, running) == {"1": "node2"}
    return running


@asynccontextmanager
async def _without_node1(core: Core, world: KubernetesWorld) -> AsyncIterator[None]:
    """Nothing new is begun there; it is told to whoever chooses the nodes."""
    if world.options["placement"] is Placement.ZOE:
        await core.set_node_enabled("node1", ADMIN, is_enabled=False)
        yield
        await core.set_node_enabled("node1", ADMIN, is_enabled=True)
        return
    cluster.kubectl("cordon", "node1")
    try:
        yield
    finally:
        cluster.kubectl("uncordon", "node1")


def _found(world: KubernetesWorld, execution: Execution) -> dict[str, Any]:
    """``{attempt: pod}`` of those that the cluster still has."""
    found = json.loads(cluster.kubectl("get", "pods", "-n", world.namespace, "-o", "json"))["items"]
    return {
        pod["metadata"]["annotations"][names.ATTEMPT]: pod
        for pod in found
        if pod["metadata"].get("annotations", {}).get(names.EXECUTION) == execution.id
    }


def _pods(world: KubernetesWorld, execution: Execution) -> dict[str, str]:
    """``{attempt: uid}``"""
    return {attempt: pod["metadata"]["uid"] for attempt, pod in _found(world, execution).items()}


def _places(world: KubernetesWorld, execution: Execution) -> dict[str, str]:
    """``{attempt: node}``"""
    return {attempt: pod["spec"].get("nodeName", "") for attempt, pod in _found(world, execution).items()}


def _published(world: KubernetesWorld, execution: Execution) -> list[str]:
    """Names of the pods that are found by the execution's names."""
    service = names.execution_name(world.deployment, execution.id)
    selector = f"kubernetes.io/service-name={service}"
    slices = json.loads(cluster.kubectl("get", "endpointslices", "-n", world.namespace, "-l", selector, "-o", "json"))
    return [each["targetRef"]["name"] for found in slices["items"] for each in found["endpoints"] or ()]


@pytest.mark.parametrize("placement", list(Placement))
async def test_a_node_that_is_cut_off_loses_its_services_to_another_and_is_tidied_when_it_returns(
    core: Core, world: KubernetesWorld
) -> None:
    moving, waiting = [await _start_on_node2(core, world, use) for use in ("restart", "wait")]
    before = _pods(world, waiting)

    cut_at = time.monotonic()
    cluster.cluster("cut-node", "2")
    moved = await _until(core, moving, _runs(2), NOTICED_S + LOST_AFTER_S + 30)

    assert time.monotonic() - cut_at > LOST_AFTER_S
    assert _published(world, moving) == [_main(moved).handle["pod"]]
    assert _places(world, moving) == {"1": "node2", "2": "node1"}
    assert _runs(1)(await core.execution(waiting.id, ADMIN))

    cluster.cluster("mend-node", "2")
    mended_at = time.monotonic()
    while set(_pods(world, moving)) != {"2"}:
        assert time.monotonic() - mended_at < 30, "the old one still runs"
        await asyncio.sleep(0.5)

    assert _runs(2)(await core.execution(moving.id, ADMIN))
    assert _runs(1)(await core.execution(waiting.id, ADMIN))
    assert _pods(world, waiting) == before


@pytest.mark.parametrize("placement", [Placement.CLUSTER])
async def test_what_is_waited_for_is_started_nowhere_else_and_only_a_stop_does_not_wait(
    core: Core, world: KubernetesWorld
) -> None:
    """Whether it was ready by a line in its log long ago, or is suspended, where the cluster has chosen the node."""
    kept, suspended, stopped = [await _start_on_node2(core, world, "proving") for _ in range(3)]
    before = _pods(world, kept)

    cluster.cluster("cut-node", "2")
    await core.suspend(suspended.id, ADMIN)
    await core.stop(stopped.id, ADMIN)
    await _until(core, stopped, lambda now: now.is_ended, NOTICED_S)
    held = await _until(core, suspended, _is_held, NOTICED_S)
    await asyncio.to_thread(cluster.kubectl, "wait", "node/node2", "--for=condition=Ready=Unknown", "--timeout=60s")
    lost_at = time.monotonic() + LOST_AFTER_S + 2
    while time.monotonic() < lost_at:
        assert _runs(1)(await core.execution(kept.id, ADMIN))
        await asyncio.sleep(0.5)

    assert held.state is State.STOPPING
    assert (_pods(world, kept), set(_pods(world, suspended))) == (before, {"1"})
    cluster.cluster("mend-node", "2")
    await _until(core, suspended, lambda now: now.state is State.SUSPENDED, 60)
    assert _runs(1)(await core.execution(kept.id, ADMIN))
    assert _pods(world, kept) == before
    await core.resume(suspended.id, ADMIN)
    await _until(core, suspended, _runs(2), 60)


def _is_held(execution: Execution) -> bool:
    """Whether it says that it may still run where nobody can tell."""
    reason = _main(execution).reason
    return reason is not None and reason.code == "lost" and "may still run" in reason.text


@pytest.mark.parametrize("placement", list(Placement))
async def test_a_node_without_power_loses_its_services_to_another(core: Core, world: KubernetesWorld) -> None:
    moving, waiting = [await _start_on_node2(core, world, use) for use in ("restart", "wait")]
    before = _pods(world, waiting)

    cluster.cluster("kill-node", "2")
    await _until(core, moving, _runs(2), NOTICED_S + LOST_AFTER_S + 30)
    assert _places(world, moving)["2"] == "node1"
    assert _pods(world, waiting) == before
    cluster.cluster("start-node", "2")

    await _until(core, waiting, _runs(2), 90)
    started_at = time.monotonic()
    while set(_pods(world, moving)) != {"2"}:
        assert time.monotonic() - started_at < 60, "the old one is still there"
        await asyncio.sleep(0.5)
    assert _runs(2)(await core.execution(moving.id, ADMIN))


async def test_a_node_that_is_drained_gives_its_services_to_another_at_once(core: Core, world: KubernetesWorld) -> None:
    moving = await _start_on_node2(core, world, "restart")
    ours = ("--force", "--delete-emptydir-data", f"--pod-selector={names.selector(world.deployment)}")
    try:
        await asyncio.to_thread(cluster.kubectl, "drain", "node2", *ours, "--timeout=60s")
        moved = await _until(core, moving, _runs(2), 60)
    finally:
        cluster.kubectl("uncordon", "node2")

    assert _main(moved).node == "node1"
    assert set(_pods(world, moving)) == {"2"}


async def test_who_was_to_go_to_a_node_that_is_drained_just_then_goes_elsewhere(
    world: KubernetesWorld, two_nodes: None
) -> None:
    runner = Runner(world, await world.open())
    cluster.kubectl("cordon", "node2")
    try:
        await runner.backend.launch(runner.order("one"), "node2")
        seen = await runner.ended("one")
    finally:
        cluster.kubectl("uncordon", "node2")

    assert seen.reason is not None
    assert (seen.reason.code, dict(seen.reason.numbers), seen.is_blameless) == ("lost", {"node": "node2"}, True)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
