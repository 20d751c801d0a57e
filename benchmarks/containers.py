"""Both sides of the figures on Docker: a core with the Docker backend, and what one would write with the ``docker`` package."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
from docker.types import IPAMConfig, IPAMPool

from benchmarks import house
from benchmarks.house import AT_ONCE, IMAGE, Zoe, in_parallel
from tests.backends.docker import kernel_image
from zoe_jupyter.backends.docker.archive import folder_archive

POOL, OUR_POOL = "10.215.0.0/16", "10.216.{}.{}/28"
USER = "1000:1000"


@contextmanager
def zoe(**options: Any) -> Iterator[Zoe]:
    client = docker.from_env(timeout=600)
    kernel_image.ensure_base(client.api)
    client.close()
    with house.zoe("docker", {"network_pool": POOL, "overcommit": 100.0, **options}) as found:
        yield found


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


def sleeper(image: str = IMAGE) -> dict[str, Any]:
    """The container that ``sleepers`` runs, as one would write it."""
    return {
        "Image": image,
        "Cmd": ["sleep", "600"],
        "User": USER,
        "HostConfig": {
            "Memory": 32 * 1024**2,
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
        },
    }


@contextmanager
def image_with_volume() -> Iterator[str]:
    """An image whose containers have a volume each, which nobody has named."""
    with _engine() as client:
        name = f"zoe-test/volume:{uuid.uuid4().hex[:8]}"
        made = client.create_container(kernel_image.ensure_base(client), command=["true"])
        client.commit(made["Id"], repository=name, changes=["VOLUME /scratch"])
        client.remove_container(made["Id"])
        try:
            yield name
        finally:
            client.remove_image(name, force=True)


def volumes(deployment: str) -> frozenset[str]:
    """Those of the containers of a deployment."""
    with _engine() as client:
        found = client.containers(all=True, filters=_of(deployment))
        mounts = itertools.chain.from_iterable(each["Mounts"] for each in found)
        return frozenset(mount["Name"] for mount in mounts if mount["Type"] == "volume")


def left(deployment: str, known: Collection[str]) -> int:
    """Containers and networks of a deployment that the engine still has, and of the volumes those it knew."""
    with _engine() as client:
        wanted = _of(deployment)
        there = {each["Name"] for each in client.volumes()["Volumes"] or ()}
        labelled = client.volumes(filters=wanted)["Volumes"] or ()
        count = len(client.containers(all=True, filters=wanted)) + len(client.networks(filters=wanted))
        return count + len(there & {*known, *(each["Name"] for each in labelled)})


def _of(deployment: str) -> dict[str, str]:
    return {"label": f"jupyter.zoe.deployment={deployment}"}


@contextmanager
def _engine() -> Iterator[Any]:
    client = docker.APIClient(version="auto", timeout=120)
    try:
        yield client
    finally:
        client.close()
