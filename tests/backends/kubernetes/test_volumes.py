"""Claims that the site shares with all services: read by everybody, written only where the settings say so, and missed in words."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.kubernetes.site import Volume
from zoe_jupyter.model.application import Probe
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = pytest.mark.kubernetes

WRITE = """
print(open("/srv/data/told").read(), flush=True)
for place in ("/srv/data", "/scratch"):
    try:
        open(place + "/mine", "w").close()
        print(place, "written", flush=True)
    except OSError as error:
        print(place, error.strerror, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with a file in it, of this machine, as those of the nodes are."""
    if not cluster.is_ours():
        pytest.skip("a folder of this machine is none of that cluster's nodes")
    folder = tmp_path / "site"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "told").write_text("as data")
    return folder


@pytest.fixture
def claim(namespace: str, folder: Path) -> Iterator[str]:
    """Of a volume that is that folder, and nothing while it is not there."""
    name = f"zoe-test-{uuid.uuid4().hex[:8]}"
    shared = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {**shared, "capacity": {"storage": "1Mi"}, "hostPath": {"path": str(folder), "type": "Directory"}},
    }  # fmt: skip
    claim = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": namespace},
        "spec": {**shared, "volumeName": name, "resources": {"requests": {"storage": "1Mi"}}},
    }  # fmt: skip
    for manifest in (volume, claim):
        cluster.kubectl("create", "-f", "-", given=manifest)
    yield name
    cluster.kubectl("delete", "pvc", name, "-n", namespace, "--wait=false")
    cluster.kubectl("delete", "pv", name, "--wait=false")


async def test_a_claim_is_read_by_all_and_written_where_the_settings_say_so(world: KubernetesWorld, claim: str) -> None:
    world.options = {"volumes": [Volume(claim, "/srv/data"), Volume(claim, "/scratch", is_writable=True)]}
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one", code=WRITE))
    await runner.ended("one")

    assert (await runner.output("one")).decode().splitlines() == [
        "as data",
        "/srv/data Read-only file system",
        "/scratch written",
    ]
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_a_claim_that_is_not_there_is_named(world: KubernetesWorld) -> None:
    world.options = {"volumes": [Volume("nowhere", "/srv/data")]}
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one"))

    async def says_why() -> bool:
        seen = await runner.seen("one")
        return bool(seen and seen.reason and seen.reason.code == "no_folder" and "nowhere" in seen.reason.text)

    await eventually(says_why)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_who_waits_for_a_volume_that_no_node_can_mount_says_so_and_ends_when_its_time_is_over(
    world: KubernetesWorld, claim: str, folder: Path
) -> None:
    shutil.rmtree(folder)
    world.options = {"volumes": [Volume(claim, "/srv/data")]}
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one", ready=Probe(command=("true",), timeout_s=8.0)))

    async def says_why() -> bool:
        seen = await runner.seen("one")
        return bool(seen and seen.reason and seen.reason.code == "cannot_start" and "FailedMount" in seen.reason.text)

    await eventually(says_why)
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "not_ready"
    assert "FailedMount" in seen.reason.text
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
