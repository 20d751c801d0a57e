"""A deployment of its own for each test on a real engine, and the proof that nothing of it is left at the end."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.backends.docker import kernel_image
from zoe_jupyter.backends.base import Backend
from zoe_jupyter.backends.docker import DockerBackend
from zoe_jupyter.testing.backend_contract import Runner, World

BASE = kernel_image.BASE


class DockerWorld(World):
    image = BASE
    keeps_reservations = False

    def __init__(self, data_dir: Path) -> None:
        self.deployment = f"test-{uuid.uuid4().hex[:12]}"
        self.data_dir = data_dir
        self.options: dict[str, Any] = {}
        self.opened: list[Backend] = []

    async def open(self) -> DockerBackend:
        backend = DockerBackend(deployment=self.deployment, data_dir=self.data_dir, **self.options)
        await backend.start()
        self.opened.append(backend)
        return backend

    def left(self, client: Any) -> list[str]:
        """Names of what the engine still has of this world."""
        wanted = {"label": f"jupyter.zoe.deployment={self.deployment}"}
        containers = [each["Names"][0] for each in client.containers(all=True, filters=wanted)]
        return [*containers, *(each["Name"] for each in client.networks(filters=wanted))]

    def remove(self, client: Any) -> None:
        wanted = {"label": f"jupyter.zoe.deployment={self.deployment}"}
        for each in client.containers(all=True, filters=wanted):
            client.remove_container(each["Id"], force=True, v=True)
        for each in client.networks(filters=wanted):
            client.remove_network(each["Id"])
        claims = {"label": f"jupyter.zoe.claim={self.deployment}"}
        for each in client.volumes(filters=claims)["Volumes"] or ():
            client.remove_volume(each["Name"])


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """The engine's own client, with the image that the tests run."""
    client = docker.from_env(timeout=60)
    kernel_image.ensure_base(client.api)
    yield client.api
    client.close()


@pytest.fixture
def world(tmp_path: Path, engine: Any) -> Iterator[DockerWorld]:
    world = DockerWorld(tmp_path / "data")
    yield world
    left = world.left(engine)
    world.remove(engine)
    assert not left, "something is left"


@pytest.fixture
async def runner(world: DockerWorld) -> AsyncIterator[Runner]:
    runner = Runner(world, await world.open())
    yield runner
    for execution_id in {"one", "two", *(await runner.backend.observe()).kept}:
        await runner.backend.clean(execution_id, keep_logs=False)
    for backend in world.opened:
        await backend.close()
