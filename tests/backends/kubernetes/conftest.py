"""A namespace for the session, a deployment of its own for each test, and the proof that nothing of it is left at the end."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import cluster
from zoe_jupyter.backends.base import Backend
from zoe_jupyter.backends.kubernetes import KubernetesBackend, names
from zoe_jupyter.testing.backend_contract import World

KINDS = "pods,jobs,services,secrets,networkpolicies,deployments,statefulsets"


class KubernetesWorld(World):
    image = "zoe-test/base"

    def __init__(self, kubeconfig: Path, namespace: str, data_dir: Path) -> None:
        self.deployment = f"test-{uuid.uuid4().hex[:12]}"
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.data_dir = data_dir
        self.options: dict[str, object] = {}

    async def open(self) -> Backend:
        backend = KubernetesBackend(
            deployment=self.deployment,
            data_dir=self.data_dir,
            kubeconfig=str(self.kubeconfig),
            namespace=self.namespace,
            **self.options,
        )
        await backend.start()
        return backend

    def objects(self) -> list[str]:
        """What of this deployment is there, as the cluster's admin sees it."""
        labels = names.selector(self.deployment)
        found = cluster.kubectl("get", KINDS, "-n", self.namespace, "-l", labels, "-o", "json")
        return [f"{item['kind']} {item['metadata']['name']}" for item in json.loads(found)["items"]]


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    """Pod Security is as strict as it can be there."""
    name = f"zoe-test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.kubectl(
        "create",
        "-f",
        "-",
        given={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
    )
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def world(namespace: str, tmp_path: Path) -> Iterator[KubernetesWorld]:
    world = KubernetesWorld(cluster.kubeconfig(), namespace, tmp_path / "data")
    yield world
    end = time.monotonic() + 30
    while (left := world.objects()) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left
