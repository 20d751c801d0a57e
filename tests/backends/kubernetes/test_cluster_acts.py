"""What the cluster does by itself: it chooses the node where the settings say so, and removes all of an execution with its parent."""

from __future__ import annotations

import json

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.site import Placement
from zoe_jupyter.testing.backend_contract import Runner

pytestmark = pytest.mark.kubernetes


async def test_the_cluster_chooses_the_node_where_the_settings_say_so(world: KubernetesWorld) -> None:
    world.options = {"placement": Placement.CLUSTER}
    runner = Runner(world, await world.open())
    (whole,) = await runner.backend.nodes()
    assert whole.name == "cluster"
    await runner.start("one")

    pods = cluster.kubectl("get", "pods", "-n", world.namespace, "-l", names.selector(world.deployment), "-o", "json")
    (pod,) = json.loads(pods)["items"]
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity")
    assert (pod["spec"].get("nodeSelector"), affinity) == (None, None)
    assert pod["spec"]["nodeName"]
    await runner.backend.stop("one", "app.main-0", 1, grace_s=1.0)
    assert not (await runner.ended("one")).is_blameless
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_whoever_deletes_the_parent_deletes_all(world: KubernetesWorld) -> None:
    runner = Runner(world, await world.open())
    await runner.start("one")
    await runner.start("one", "app.main-1")

    cluster.kubectl("delete", "jobs", "-n", world.namespace, "-l", names.selector(world.deployment))
    world.assert_nothing_is_left()
    seen = await runner.ended("one")
    assert (seen.state, seen.is_blameless) == (SeenState.EXITED, True)

    await runner.start("one", attempt=2)
    kinds = {each.partition(" ")[0] for each in world.objects()}
    assert kinds == {"Pod", "Job", "Service", "Secret", "NetworkPolicy"}, (
        "what starts again has names and is kept apart"
    )
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
