"""An image that a node fetches, from a registry that never answers: people are told what is waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.model.execution import PULLING
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def registry() -> Iterator[str]:
    """It takes connections in, and that is all. Where this machine is seen by the nodes."""
    if not cluster.is_ours():
        pytest.skip("this machine is not seen from that cluster's nodes")
    cluster.kubeconfig()
    with socket.create_server((cluster.MACHINE, 0)) as server:
        yield f"{cluster.MACHINE}:{server.getsockname()[1]}"


async def test_what_is_waited_for_is_told_while_a_node_fetches_an_image(world: KubernetesWorld, registry: str) -> None:
    image = f"{registry}/zoe/large:1"
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one", image=image))

    async def is_told() -> bool:
        seen = await runner.seen("one")
        return bool(seen and seen.reason and seen.reason.code == PULLING and image in seen.reason.text)

    await eventually(is_told)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
