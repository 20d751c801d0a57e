"""What Zoe may do and must not need, and that two deployments in one namespace leave each other alone; by real calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import cluster
from tests.backends.containers import shared_memory
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.kubernetes import KubernetesBackend, names
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.testing.backend_contract import Runner, World, eventually

pytestmark = pytest.mark.kubernetes


@pytest.fixture
async def runner(world: KubernetesWorld) -> AsyncIterator[Runner]:
    runner = Runner(world, await world.open())
    yield runner
    await _clean(runner)


async def _clean(runner: Runner) -> None:
    for execution_id in (await runner.backend.observe()).kept:
        await runner.backend.clean(execution_id, keep_logs=False)
    await runner.backend.close()


async def test_without_a_look_at_nodes_one_stands_for_all(few_rights: tuple[Path, str], tmp_path: Path) -> None:
    """Its size is a setting; services start all the same, and nobody takes their nodes for lost."""
    world = KubernetesWorld(*few_rights, tmp_path)
    world.options = {"capacity": {"cpu": "3", "memory": "5Gi"}, "lost_after_s": 0.5}
    runner = Runner(world, await world.open())

    assert await runner.backend.nodes() == [Node("cluster", Resources(3_000_000, 5 * 2**30))]
    await runner.start("one", code="import time; time.sleep(3); print('goes on', flush=True); time.sleep(600)")
    await runner.said("one", "app.main-0", b"goes on")
    await runner.until("one", "app.main-0", SeenState.READY)

    await _clean(runner)
    world.assert_nothing_is_left()


async def test_the_role_lets_zoe_do_nothing_else(few_rights: tuple[Path, str]) -> None:
    kubeconfig, namespace = few_rights
    for path in (
        "/api/v1/namespaces/kube-system/secrets",
        "/api/v1/namespaces/kube-system/pods",
        f"/api/v1/namespaces/{namespace}/secrets",
        f"/api/v1/namespaces/{namespace}/serviceaccounts",
        f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    ):
        assert await _is_forbidden(kubeconfig, path), path


async def test_who_may_do_nothing_is_told_where_the_rights_are(namespace: str, tmp_path: Path) -> None:
    nobody = cluster.kubeconfig_of("default", namespace, tmp_path / "nobody")
    backend = KubernetesBackend(deployment="nobody", data_dir=tmp_path, kubeconfig=str(nobody), namespace=namespace)

    with pytest.raises(Fatal, match="deploy/kubernetes"):
        await backend.start()
    await backend.close()


async def test_a_missing_namespace_is_told_when_zoe_opens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    backend = KubernetesBackend(
        deployment="homeless", data_dir=tmp_path, kubeconfig=str(cluster.kubeconfig()), namespace="nu-homeless"
    )
    await backend.start()
    assert 'namespaces "nu-homeless" not found; make it by' in caplog.text

    async def is_told() -> bool:
        with pytest.raises(Unreachable) as silent:
            await backend.observe()
        return 'namespaces "nu-homeless" not found; make it by' in str(silent.value)

    await eventually(is_told)
    await backend.close()


async def test_a_pod_gets_no_token_and_no_rights_of_its_own(runner: Runner) -> None:
    code = "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'), os.getuid(), open('/proc/self/status').read())"
    await runner.launch(runner.order("one", code=code))
    await runner.ended("one")

    said = (await runner.output("one")).decode()

    assert said.startswith("False 1000 ")
    assert "CapEff:\t0000000000000000" in said
    assert "NoNewPrivs:\t1" in said
    assert "Seccomp:\t2" in said


async def test_shared_memory_is_as_large_as_the_settings_say(world: KubernetesWorld) -> None:
    world.options["shared_memory_bytes"] = shared_memory.SIZE
    runner = Runner(world, await world.open())

    await shared_memory.expect_as_asked_for(runner)

    await _clean(runner)


async def test_secrets_are_nowhere_but_in_a_secret(runner: Runner, namespace: str) -> None:
    """Not in the pod as the cluster shows it, nor in what happened to it."""
    await runner.start("one", environment={"TOKEN": "wh1sper"}, files={"key": "wh1sper"})

    told = cluster.kubectl("get", "pods,events,jobs,services", "-n", namespace, "-o", "json")

    assert "wh1sper" not in told
    assert runner.world.deployment in told


async def test_two_deployments_do_not_touch_each_other(
    runner: Runner, rights: Path, namespace: str, tmp_path: Path
) -> None:
    """Though they name their executions and services alike."""
    world = KubernetesWorld(rights, namespace, tmp_path / "other")
    other = Runner(world, await world.open())
    await runner.start("one", code="print('mine', flush=True); import time; time.sleep(600)")
    theirs = await other.start("one", code="print('theirs', flush=True); import time; time.sleep(600)")
    await other.said("one", "app.main-0", b"theirs")

    await runner.backend.stop("one", "app.main-0", 1, grace_s=1)
    await runner.ended("one")
    await runner.backend.clean("one", keep_logs=False)

    assert await other.seen("one") == theirs
    assert await other.output("one") == b"theirs\n"
    await _clean(other)
    world.assert_nothing_is_left()


async def test_what_is_not_zoes_is_not_taken_over(runner: Runner, namespace: str) -> None:
    name = names.execution_name(runner.world.deployment, "one")
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"clusterIP": "None"}}
    cluster.kubectl("create", "-n", namespace, "-f", "-", given=service)

    with pytest.raises(Fatal, match="not Zoe's"):
        await runner.launch(runner.order("one"))

    cluster.kubectl("delete", "service", name, "-n", namespace)


async def test_objects_say_which_deployment_has_changed_them(runner: Runner, world: World, namespace: str) -> None:
    await runner.start("one")

    jobs = cluster.kubectl(
        "get", "jobs", "-n", namespace, "-l", names.selector(world.deployment), "-o", "json", "--show-managed-fields"
    )

    managers = {field["manager"] for job in json.loads(jobs)["items"] for field in job["metadata"]["managedFields"]}
    assert f"zoe-{world.deployment}" in managers


async def _is_forbidden(kubeconfig: Path, path: str) -> bool:
    server = await ApiServer.connect(str(kubeconfig), "")
    try:
        await server.get(path)
    except ApiError as error:
        return error.status == 403
    finally:
        await server.close()
    return False


async def test_a_job_that_only_bears_the_label_is_nobodys_parent(world: KubernetesWorld) -> None:
    """Neither one without what Zoe writes in it, nor a copy of a parent under another name."""
    runner = Runner(world, await world.open())
    await runner.start("one")
    label = names.selector(world.deployment)
    (parent,) = json.loads(cluster.kubectl("get", "jobs", "-n", world.namespace, "-l", label, "-o", "json"))["items"]
    key, _, value = label.partition("=")
    plain = {"name": "zoe-test-plain", "namespace": world.namespace, "labels": {key: value}}
    copied = {**plain, "name": "zoe-test-copied", "annotations": parent["metadata"]["annotations"]}
    spec = {name: parent["spec"][name] for name in ("parallelism", "completions", "template")}
    spec["template"]["metadata"].pop("labels", None)
    for metadata in (plain, copied):
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        cluster.kubectl("create", "-f", "-", given=job)
    try:
        again = Runner(world, await world.open())
        assert {seen.execution_id for seen in (await again.backend.observe()).services} == {"one"}
        assert (await again.backend.observe()).kept == {"one"}
        await again.backend.clean("one", keep_logs=False)
        assert (await runner.backend.observe()).kept == frozenset()
        await again.backend.close()
        await runner.backend.close()
    finally:
        cluster.kubectl("delete", "jobs", "zoe-test-plain", "zoe-test-copied", "-n", world.namespace)
