"""GPUs as a cluster counts them: a node says how many it has, who asks for one gets it, who comes late is told that there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = pytest.mark.kubernetes

GPU = "zoe.test/gpu"
"""No cluster has any of these: what a test says of its node concerns nobody else."""


@pytest.fixture
def node() -> Iterator[str]:
    """One that says that it has a GPU. Kubelets leave alone what no device plug-in of theirs looks after."""
    found = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    name = next(
        each["metadata"]["name"] for each in found if "kwok.x-k8s.io/node" not in each["metadata"]["annotations"]
    )
    path = f"/status/capacity/{GPU.replace('/', '~1')}"
    _patch(name, {"op": "add", "path": path, "value": "1"})
    yield name
    _patch(name, {"op": "remove", "path": path})


def _patch(node: str, change: dict[str, str]) -> None:
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=json", "-p", json.dumps([change]))


async def test_a_gpu_belongs_to_one_service_at_a_time(world: KubernetesWorld, node: str) -> None:
    world.options = {"gpu_resource": GPU}
    runner = Runner(world, await world.open())

    async def has_gpu() -> bool:
        return {each.name: each.capacity.gpus for each in await runner.backend.nodes()}[node] == 1

    async def says_why() -> bool:
        seen = await runner.seen("two")
        return seen is not None and seen.reason is not None

    await eventually(has_gpu)
    wanted = Resources(gpus=1)
    await runner.backend.launch(runner.order("one", resources=wanted), node)
    await runner.until("one", "app.main-0", SeenState.READY)
    await runner.backend.launch(runner.order("two", resources=wanted), node)
    await eventually(says_why)

    waiting = await runner.seen("two")
    assert waiting is not None
    assert waiting.reason is not None
    assert (waiting.reason.code, GPU in waiting.reason.text) == ("unscheduled", True)
    await runner.backend.clean("one", keep_logs=False)
    await runner.until("two", "app.main-0", SeenState.READY)
    await runner.backend.clean("two", keep_logs=False)
    await runner.backend.close()
