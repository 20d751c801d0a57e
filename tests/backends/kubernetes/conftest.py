"""A namespace for the session, a deployment of its own for each test, and the proof that nothing of it is left at the end."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import cluster
from zoe_jupyter.backends.base import Backend
from zoe_jupyter.backends.kubernetes import KubernetesBackend, names
from zoe_jupyter.backends.kubernetes.site import Isolation
from zoe_jupyter.testing.backend_contract import World

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "kubernetes"
KINDS = "pods,jobs,services,secrets,networkpolicies,deployments,statefulsets"


class KubernetesWorld(World):
    image = "zoe-test/base"

    def __init__(self, kubeconfig: Path, namespace: str, data_dir: Path) -> None:
        self.deployment = f"test-{uuid.uuid4().hex[:12]}"
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.data_dir = data_dir
        self.options: dict[str, object] = {}
        """Its ``isolation`` is not tried in each test, unless one says so."""

    async def open(self) -> Backend:
        backend = self.closed()
        await backend.start()
        return backend

    def closed(self) -> KubernetesBackend:
        """Not started yet."""
        return KubernetesBackend(
            deployment=self.deployment,
            data_dir=self.data_dir,
            kubeconfig=str(self.kubeconfig),
            namespace=self.namespace,
            **{"isolation": Isolation.DECLARED, **self.options},
        )

    def assert_nothing_is_left(self) -> None:
        end = time.monotonic() + 30
        while (left := self.objects()) and time.monotonic() < end:
            time.sleep(0.5)
        assert not left

    def objects(self) -> list[str]:
        """What of this deployment is there, as the cluster's admin sees it."""
        labels = names.selector(self.deployment)
        found = cluster.kubectl("get", KINDS, "-n", self.namespace, "-l", labels, "-o", "json")
        return [f"{item['kind']} {item['metadata']['name']}" for item in json.loads(found)["items"]]


@contextlib.contextmanager
def settled() -> Iterator[str]:
    """A namespace as ``deploy/kubernetes`` makes it; Pod Security is as strict as it can be there."""
    name = f"zoe-test-{uuid.uuid4().hex[:8]}"
    manifest = yaml.safe_load((DEPLOY / "namespace.yaml").read_text())
    manifest["metadata"]["name"] = name
    cluster.kubectl("create", "-f", "-", given=manifest)
    for file in ("role.yaml", "network.yaml"):
        cluster.kubectl("apply", "-n", name, "-f", str(DEPLOY / file))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def namespace() -> Iterator[str]:
    with settled() as name:
        yield name


@pytest.fixture(scope="session")
def rights(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a Zoe that has the Role, and may see nodes and what is used."""
    bindings = []
    for name in ("nodes", "usage"):
        role, binding = yaml.safe_load_all((DEPLOY / f"{name}.yaml").read_text().replace("NAMESPACE", namespace))
        cluster.kubectl("apply", "-f", "-", given=role)
        binding["metadata"]["name"] += f"-{namespace}"
        cluster.kubectl("apply", "-f", "-", given=binding)
        bindings.append(binding["metadata"]["name"])
    yield cluster.kubeconfig_of("zoe", namespace, tmp_path_factory.mktemp("rights") / "kubeconfig")
    cluster.kubectl("delete", "clusterrolebinding", *bindings)


@pytest.fixture
def few_rights(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The kubeconfig of a Zoe that has the Role only, and its namespace."""
    with settled() as namespace:
        yield cluster.kubeconfig_of("zoe", namespace, tmp_path / "kubeconfig"), namespace


@pytest.fixture
def world(rights: Path, namespace: str, tmp_path: Path) -> Iterator[KubernetesWorld]:
    world = KubernetesWorld(rights, namespace, tmp_path / "data")
    yield world
    world.assert_nothing_is_left()
