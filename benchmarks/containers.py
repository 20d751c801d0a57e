"""Both sides of the figures on Docker: a core with the Docker backend, and what one would write with the ``docker`` package."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.types import IPAMConfig, IPAMPool

from benchmarks.running import Taken
from tests.backends.docker import kernel_image
from zoe_jupyter.backends.docker.archive import folder_archive
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Execution, State

IMAGE = "zoe-test/base"
ADA = Caller("ada", is_admin=True)
POOL, OUR_POOL = "10.215.0.0/16", "10.216.{}.{}/28"
AT_ONCE = 16
"""Threads by hand: as many as Zoe launches at once."""
LIMIT_S = 600.0
USER = "1000:1000"
SLEEPERS = """
zoe: 1
kind: framework
name: sleepers
version: "1"
title: Sleepers
parameters:
  type: object
  properties: {{count: {{type: integer, default: 1, title: Count}}}}
processes:
  main:
    image: {image}
    count: {{core: "{{{{ parameters.count }}}}"}}
    command: [sleep, "600"]
    resources: {{cores: 0.01, memory: 32MiB}}
    stop: {{grace_s: 10}}
"""


class Zoe:
    """A core of its own deployment, on a loop that runs only while it is asked something."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        shop = folder / "shop" / "sleepers"
        shop.mkdir(parents=True)
        (shop / "framework.yaml").write_text(SLEEPERS.format(image=IMAGE))
        (folder / "state").mkdir(mode=0o700)
        self.deployment = f"bench-{uuid.uuid4().hex[:8]}"
        client = docker.from_env(timeout=600)
        kernel_image.ensure_base(client.api)
        client.close()
        self._loop = loop
        self.core: Core = loop.run_until_complete(
            open_core(
                Settings(
                    data_dir=folder / "state",
                    backend="docker",
                    backend_options={"network_pool": POOL, "overcommit": 100.0, **options},
                    shop_sources=(str(folder / "shop"),),
                    deployment=self.deployment,
                )
            )
        )

    def start(self, use: str, parameters: Mapping[str, Any], *, times: int = 1) -> list[Execution]:
        """Submit at once and wait until all run."""
        return self._loop.run_until_complete(self._start(use, parameters, times))

    async def _start(self, use: str, parameters: Mapping[str, Any], times: int) -> list[Execution]:
        wanted = Submission(use=use, parameters=parameters)
        stored = await asyncio.gather(*(self.core.submit(wanted, ADA, key=None) for _ in range(times)))
        return [await self._until(execution, State.RUNNING) for execution, _ in stored]

    def stop(self, executions: list[Execution]) -> None:
        """Stop them and wait until nothing of them is left."""
        self._loop.run_until_complete(self._stop(executions))

    async def _stop(self, executions: list[Execution]) -> None:
        await asyncio.gather(*(self.core.stop(each.id, ADA) for each in executions))
        for each in executions:
            await self._until(each, State.ENDED)
            await self.core._actions.settle(each.id)

    async def _until(self, wanted: Execution, state: State) -> Execution:
        end = time.monotonic() + LIMIT_S
        while (found := await self.core.execution(wanted.id, ADA)).state is not state:
            if found.is_ended or time.monotonic() > end:
                raise RuntimeError(f"{found.name} is {found.state.value}: {found.reason}")
            await asyncio.sleep(0.01)
        return found


@contextmanager
def zoe(**options: Any) -> Iterator[Zoe]:
    with tempfile.TemporaryDirectory(prefix="zoe-docker-") as folder:
        loop = asyncio.new_event_loop()
        found = Zoe(Path(folder), loop, **options)
        try:
            yield found
        finally:
            loop.run_until_complete(found.core.close())
            loop.close()


class ByHand:
    """Containers, each with a network where it is the first of its execution; started in as many threads as Zoe has."""

    def __init__(self) -> None:
        self._client = docker.APIClient(version="auto", timeout=120, num_pools=AT_ONCE)
        self._numbers = itertools.count()
        self._made: list[str] = []
        self._networks: list[str] = []

    def network(self) -> str:
        number = next(self._numbers)
        subnet = OUR_POOL.format(number // 16 % 256, number % 16 * 16)
        name = f"by-hand-{uuid.uuid4().hex[:8]}"
        self._client.create_network(name, driver="bridge", ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]))
        self._networks.append(name)
        return name

    def run(self, config: Mapping[str, Any], files: Mapping[str, str], network: str) -> str:
        """Make and start one container; its id."""
        made = self._client.create_container_from_config(
            {**config, "HostConfig": {**config["HostConfig"], "NetworkMode": network}},
            f"by-hand-{uuid.uuid4().hex[:8]}",
        )
        self._made.append(made["Id"])
        self._client.put_archive(made["Id"], "/", folder_archive(files, USER))
        self._client.start(made["Id"])
        return str(made["Id"])

    def said(self, container_id: str) -> str:
        return str(self._client.logs(container_id).decode(errors="replace"))

    def address(self, container_id: str) -> str:
        (network,) = self._client.inspect_container(container_id)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def stop(self, grace_s: int) -> None:
        """As ``docker stop`` and ``docker rm`` of all at once, then the networks."""
        in_parallel(lambda each: self._client.stop(each, timeout=grace_s), self._made)
        in_parallel(lambda each: self._client.remove_container(each, force=True, v=True), self._made)
        in_parallel(self._client.remove_network, self._networks)
        self._made.clear()
        self._networks.clear()


def in_parallel(work: Callable[[Any], Any], items: Any) -> list[Any]:
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(work, list(items)))


def sleeper() -> dict[str, Any]:
    """The container that ``sleepers`` runs, as one would write it."""
    return {
        "Image": IMAGE,
        "Cmd": ["sleep", "600"],
        "User": USER,
        "HostConfig": {
            "Memory": 32 * 1024**2,
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
        },
    }


def taken(work: Callable[[], Any]) -> Taken:
    """Wall time, and CPU of this process; the engine's own is the same for both sides but for what is asked of it."""
    wall, cpu = time.monotonic(), sum(os.times()[:2])
    work()
    return Taken(time.monotonic() - wall, max(1e-3, sum(os.times()[:2]) - cpu))


def left(deployment: str) -> int:
    """Containers and networks of a deployment that the engine still has."""
    client = docker.APIClient(version="auto", timeout=120)
    wanted = {"label": f"jupyter.zoe.deployment={deployment}"}
    count = len(client.containers(all=True, filters=wanted)) + len(client.networks(filters=wanted))
    client.close()
    return count
