"""What the cluster does by itself: it chooses the node where the settings say so, and removes all of an execution with its parent."""

from __future__ import annotations

import ast
import json
import uuid

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KINDS, KubernetesWorld
from zoe_jupyter.backends.base import Bounds, Seen, SeenState
from zoe_jupyter.backends.kubernetes import manifests, names, upkeep
from zoe_jupyter.backends.kubernetes.site import Placement, Site
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import FOREVER, Runner, eventually

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


async def test_pods_have_the_priority_that_the_admin_gives_them(world: KubernetesWorld) -> None:
    name = f"zoe-test-{uuid.uuid4().hex[:8]}"
    given = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": 7}
    cluster.kubectl("create", "-f", "-", given=given)
    try:
        world.options = {"priority_class": name}
        runner = Runner(world, await world.open())
        await runner.start("one")
        selector = names.selector(world.deployment)
        (pod,) = json.loads(cluster.kubectl("get", "pods", "-n", world.namespace, "-l", selector, "-o", "json"))[
            "items"
        ]
        assert (pod["spec"]["priorityClassName"], pod["spec"]["priority"]) == (name, 7)
        await runner.backend.clean("one", keep_logs=False)
        await runner.backend.close()
    finally:
        cluster.kubectl("delete", "priorityclass", name)


async def test_pods_have_users_of_their_own_where_nodes_can_and_else_the_reason_is_told(world: KubernetesWorld) -> None:
    world.options = {"has_user_namespaces": True}
    runner = Runner(world, await world.open())
    code = f"print(open('/proc/self/uid_map').read().split(), flush=True); {FOREVER}"
    await runner.launch(runner.order("one", code=code))
    seen: list[Seen] = []

    async def is_told() -> bool:
        seen[:] = [found] if (found := await runner.seen("one")) else []
        return bool(seen) and (seen[0].state is SeenState.READY or seen[0].reason is not None)

    await eventually(is_told)
    if seen[0].state is SeenState.READY:
        await runner.said("one", "app.main-0", b"]")
        first, outside, _ = ast.literal_eval((await runner.output("one")).decode())
        assert (first, outside == "0") == ("0", False)
    else:
        assert seen[0].reason is not None
        assert seen[0].reason.code == "cannot_start"
        assert "runtime does not support user namespaces" in seen[0].reason.text
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_who_finds_no_room_on_the_node_that_zoe_has_chosen_goes_elsewhere(
    world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "ROOM_S", 1.0)
    runner = Runner(world, await world.open())
    await runner.backend.launch(runner.order("one", resources=Resources(microcores=10**9)), "node1")
    seen = await runner.ended("one")

    assert seen.reason is not None
    assert (seen.reason.code, dict(seen.reason.numbers), seen.is_blameless) == ("lost", {"node": "node1"}, True)
    enabled = {node.name: node.is_enabled for node in await runner.backend.nodes()}
    assert {"node1": False, "node2": True}.items() <= enabled.items()
    await eventually(lambda: _are_gone(world, "Pod", "Secret"))
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_what_the_cluster_removed_since_it_heard_of_no_zoe_has_expired(
    world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifests, "SLACK_S", 1)
    runner = Runner(world, await world.open())
    await runner.start("one", bounds=Bounds(silence_s=2.0))
    await runner.backend.close()
    world.assert_nothing_is_left()

    runner.backend = await world.open()
    observation = await runner.backend.observe()
    assert (observation.services, set(observation.expired), observation.kept) == ([], {"one"}, {"one"})
    await runner.backend.clean("one", keep_logs=False)
    observation = await runner.backend.observe()
    assert (observation.expired, observation.kept) == ({}, frozenset())
    await runner.backend.close()


async def _are_gone(world: KubernetesWorld, *kinds: str) -> bool:
    return not [each for each in world.objects() if each.startswith(kinds)]


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


async def test_what_starts_has_names_and_is_kept_apart_though_its_parent_was_deleted_before(
    world: KubernetesWorld,
) -> None:
    runner = Runner(world, await world.open())
    await runner.reserve("one")
    cluster.kubectl("delete", "jobs", "-n", world.namespace, "-l", names.selector(world.deployment))
    world.assert_nothing_is_left()
    await eventually(lambda: _knows_none(runner))

    await runner.start("one")
    assert _owned(world) == {"Pod", "Service", "Secret", "NetworkPolicy"}
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def _knows_none(runner: Runner) -> bool:
    return not (await runner.backend.observe()).kept


async def test_what_a_former_parent_left_is_replaced_and_not_used(world: KubernetesWorld) -> None:
    """The cluster would remove it, sooner or later; or it would stay, if its owner was taken from it."""
    site = Site(deployment=world.deployment, namespace=world.namespace)
    for left in (manifests.network(site, "one", []), manifests.isolation(site, "one", [])):
        cluster.kubectl("create", "-f", "-", given=left)
    runner = Runner(world, await world.open())
    await runner.start("one")
    assert _owned(world) == {"Pod", "Service", "Secret", "NetworkPolicy"}
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


def _owned(world: KubernetesWorld) -> set[str]:
    """Kinds of what the one parent owns; all of it does."""
    labels = names.selector(world.deployment)
    found = json.loads(cluster.kubectl("get", KINDS, "-n", world.namespace, "-l", labels, "-o", "json"))["items"]
    (parent,) = [each for each in found if each["kind"] == "Job"]
    rest = [each for each in found if each is not parent]
    for each in rest:
        assert [owner["uid"] for owner in each["metadata"].get("ownerReferences", ())] == [parent["metadata"]["uid"]]
    return {each["kind"] for each in rest}
