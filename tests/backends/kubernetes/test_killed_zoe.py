"""Wherever a Zoe on a cluster is killed, no pod is lost and none is there twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import cluster
from tests.backends.containers.killed_zoe import LIVES, furnish, survive
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.testing.chaos import ChaosHarness

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("life", LIVES)
def test_a_zoe_that_is_killed_loses_and_doubles_no_pod(world: KubernetesWorld, tmp_path: Path, life: str) -> None:
    home = ChaosHarness(tmp_path)
    options = {"kubeconfig": str(world.kubeconfig), "namespace": world.namespace, "isolation": "declared"}
    furnish(home, "kubernetes", world.deployment, options)
    survive(home, LIVES[life], running=lambda: pods(world), left=world.objects)


def pods(world: KubernetesWorld) -> set[tuple[str, str]]:
    """Service and uid of each pod that the cluster has."""
    labels = names.selector(world.deployment)
    found = json.loads(cluster.kubectl("get", "pods", "-n", world.namespace, "-l", labels, "-o", "json"))["items"]
    return {(pod["metadata"]["annotations"][names.SERVICE], pod["metadata"]["uid"]) for pod in found}
