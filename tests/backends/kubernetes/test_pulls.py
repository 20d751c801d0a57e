"""What people are told of images: which one a node fetches, which cannot be had, and which one runs. Registries are one that never answers, and a real one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import cluster
from tests.backends.docker.registry import PROGRAM, START_S, Registry, is_there, registry
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.execution import PULLING, Outcome
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.backend_contract import Runner, eventually
from zoe_jupyter.testing.chaos import until
from zoe_jupyter.testing.house import ALICE

pytestmark = pytest.mark.kubernetes
ENTRY = """
zoe: 1
kind: framework
name: nowhere
title: Nowhere
processes:
  main:
    image: zoe-test/nowhere
    command: [sleep, "600"]
    resources: {cores: 0.1, memory: 64MiB}
    restart: {when: always, attempts: 5, delay_s: 1}
"""
BASE = "zoe-test/base:latest"
ENTERED = 'ENTRYPOINT ["sh", "-c", "echo entered; exec \\"$@\\"", "--"]'
LISTENS = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2)"


@pytest.fixture
def engine() -> Iterator[Any]:
    """One that makes images for the cluster of this machine."""
    if not cluster.is_ours():
        pytest.skip("images are made for the cluster of this machine only")
    cluster.start_engine()
    client = docker.APIClient()
    yield client
    client.close()


@pytest.fixture
def shelf(tmp_path: Path, engine: Any) -> Iterator[Registry]:
    """A registry at the same address of each node's loopback, which containerd believes without TLS, and of this machine's."""
    if not is_there():
        pytest.skip("no registry here: apt-get install docker-registry")
    cluster.kubeconfig()
    with registry(tmp_path) as found:
        command = [PROGRAM, "serve", str(found.folder / "config.yml")]
        nodes = [cluster.inside(number) for number in (1, 2)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [subprocess.Popen([*inside, *command], **quiet) for inside in nodes]  # type: ignore[call-overload]
        try:
            for inside in nodes:
                asked = [*inside, sys.executable, "-c", LISTENS, str(found.port)]
                until(lambda asked=asked: subprocess.run(asked, **quiet).returncode == 0, START_S)
            yield found
        finally:
            for each in running:
                each.kill()
                each.wait()


@pytest.fixture
def silent_registry() -> Iterator[str]:
    """It takes connections in, and that is all. Where this machine is seen by the nodes."""
    if not cluster.is_ours():
        pytest.skip("this machine is not seen from that cluster's nodes")
    cluster.kubeconfig()
    with socket.create_server((cluster.MACHINE, 0)) as server:
        yield f"{cluster.MACHINE}:{server.getsockname()[1]}"


async def test_what_is_waited_for_is_told_while_a_node_fetches_an_image(
    world: KubernetesWorld, silent_registry: str
) -> None:
    image = f"{silent_registry}/zoe/large:1"
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one", image=image))

    async def is_told() -> bool:
        seen = await runner.seen("one")
        return bool(seen and seen.reason and seen.reason.code == PULLING and image in seen.reason.text)

    await eventually(is_told)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


@pytest.mark.parametrize(
    ("image", "options", "why"),
    [
        ("zoe-test/nowhere", {"pull_policy": "Never"}, "ErrImageNeverPull"),
        ("Not/an/image", {}, "invalid reference"),
    ],
)
async def test_who_asks_for_an_image_that_is_nowhere_ends(
    world: KubernetesWorld, image: str, options: dict[str, object], why: str
) -> None:
    world.options |= options
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one", image=image))

    seen = await runner.ended("one")

    assert seen.reason is not None
    assert (seen.reason.code, seen.exit_code, seen.is_blameless) == ("image_missing", None, False)
    assert why in seen.reason.text
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_a_registry_that_is_down_is_waited_for_no_longer_than_to_become_ready(world: KubernetesWorld) -> None:
    runner = Runner(world, await world.open())
    ready = Probe(tcp="web", timeout_s=2.0)
    image = "127.0.0.1:9/zoe/nothing:1"
    await runner.launch(runner.order("one", image=image, ready=ready, port_numbers={"web": 20000}))

    seen = await runner.ended("one")

    assert seen.reason is not None
    assert (seen.reason.code, seen.is_blameless) == ("not_ready", False)
    assert seen.reason.text.startswith("not ready after 2 s: its image cannot be had (")
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_what_runs_is_told_by_digest(world: KubernetesWorld) -> None:
    runner = Runner(world, await world.open())
    seen = await runner.start("one")

    found = cluster.kubectl("get", "pod", seen.handle["pod"], "-n", world.namespace, "-o", "json")
    (status,) = json.loads(found)["status"]["containerStatuses"]
    assert seen.image == status["imageID"]
    assert "sha256:" in seen.image
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_what_an_image_begins_with_stays_and_gets_the_command(world: KubernetesWorld, engine: Any) -> None:
    image, made = f"zoe-test/entered-{uuid.uuid4().hex[:8]}:1", engine.create_container(BASE, ["true"])
    repository, _, tag = image.rpartition(":")
    engine.commit(made["Id"], repository=repository, tag=tag, changes=[ENTERED])
    engine.remove_container(made["Id"])
    try:
        cluster.cluster("load", image)
        runner = Runner(world, await world.open())
        await runner.launch(runner.order("one", code="print('commanded')", image=image))
        await runner.ended("one")
        assert await runner.output("one") == b"entered\ncommanded\n"
        await runner.backend.clean("one", keep_logs=False)
        await runner.backend.close()
    finally:
        engine.remove_image(image, force=True)
        cluster.unload(f"docker.io/{image}")


async def test_an_image_is_pulled_by_its_tag_and_told_by_its_digest(
    world: KubernetesWorld, shelf: Registry, engine: Any
) -> None:
    digest = shelf.push(engine, BASE, "zoe/small:1", content=os.urandom(1 << 20))
    image = shelf.name("zoe/small:1")
    runner = Runner(world, await world.open())
    try:
        await runner.launch(runner.order("one", command=("sha256sum", "/content"), image=image))
        seen = await runner.ended("one")
        assert seen.exit_code == 0
        assert seen.image == f"{image.rpartition(':')[0]}@{digest}"
        assert await runner.output("one")
        await runner.backend.clean("one", keep_logs=False)
        await runner.backend.close()
    finally:
        cluster.unload(image)


@pytest.mark.parametrize("name", ["zoe/nothing:1", "zoe/small:2"])
async def test_what_a_registry_does_not_have_is_told_in_its_words(
    world: KubernetesWorld, shelf: Registry, engine: Any, name: str
) -> None:
    shelf.push(engine, BASE, "zoe/small:1", content=b"1")
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one", image=shelf.name(name)))
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert (seen.reason.code, seen.exit_code, seen.is_blameless) == ("image_missing", None, False)
    assert f"{shelf.name(name)}: not found" in seen.reason.text
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_an_execution_without_its_image_fails_with_the_reason(world: KubernetesWorld, tmp_path: Path) -> None:
    (tmp_path / "shop" / "nowhere").mkdir(parents=True)
    (tmp_path / "shop" / "nowhere" / "framework.yaml").write_text(ENTRY)
    world.options["pull_policy"] = "Never"
    settings = Settings(data_dir=tmp_path, shop_sources=(str(tmp_path / "shop"),), deployment=world.deployment)
    core = Core(settings=settings, backend=world.closed(), store=Store(f"sqlite:///{tmp_path / 'zoe.db'}"))
    await core.open()
    submitted, _ = await core.submit(Submission(use="nowhere"), ALICE, key=None)

    async def has_ended() -> bool:
        return (await core.execution(submitted.id, ALICE)).is_ended

    await eventually(has_ended)

    execution = await core.execution(submitted.id, ALICE)
    assert execution.outcome is Outcome.FAILED
    assert execution.reason is not None
    assert execution.reason.code == "image_missing"
    assert "could not be started: its image cannot be had (ErrImageNeverPull)" in execution.reason.text
    assert execution.services["nowhere.main-0"].attempt == 1
    await core.close()
