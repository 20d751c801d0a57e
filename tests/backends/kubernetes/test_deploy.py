"""``deploy/kubernetes`` as it is: its rights and its settings, with the lines of the docs and nothing else, let a job run."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import yaml

from tests import cluster
from tests.backends.docker import kernel_image
from tests.backends.kubernetes.conftest import DEPLOY, KubernetesWorld
from zoe_jupyter.testing.jupyter_home import JupyterHome, jupyter_home

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not cluster.is_ours(), reason="it makes the namespace `zoe`"),
]
ROOT = DEPLOY.parents[1]
SETTINGS = DEPLOY / "jupyter_zoe_config.py"
NAMESPACE = "zoe"
IMAGE = "registry.example.org/zoe/python-job"


@pytest.fixture
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        yield found


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    """Of the account in the namespace that the lines of the docs make."""
    cluster.kubectl("create", "-f", str(DEPLOY / "namespace.yaml"))
    for name in ("role", "network"):
        cluster.kubectl("apply", "-n", NAMESPACE, "-f", str(DEPLOY / f"{name}.yaml"))
    for manifest in yaml.safe_load_all((DEPLOY / "nodes.yaml").read_text().replace("NAMESPACE", NAMESPACE)):
        cluster.kubectl("apply", "-f", "-", given=manifest)
    yield cluster.kubeconfig_of("zoe", NAMESPACE, tmp_path / "kubeconfig")
    cluster.kubectl("delete", "clusterrolebinding", "zoe-nodes")
    cluster.kubectl("delete", "namespace", NAMESPACE)


@pytest.fixture
def image() -> str:
    """On the nodes, under the name that it has by the settings: there is no such registry."""
    client, program = docker.APIClient(), ROOT / "frameworks" / "python-job" / "run.py"
    made = client.create_container(kernel_image.ensure_base(client), command=["true"])
    client.put_archive(made["Id"], "/", packed(program, "opt/zoe/python-job/run.py"))
    client.commit(made["Id"], repository=IMAGE, tag="1")
    client.remove_container(made["Id"])
    cluster.cluster("load", f"{IMAGE}:1")
    client.remove_image(f"{IMAGE}:1")
    client.close()
    return f"{IMAGE}:1"


def packed(file: Path, name: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(str(file), name)
    return buffer.getvalue()


def test_what_the_docs_say_to_apply_and_to_set_lets_a_job_run(
    home: JupyterHome, kubeconfig: Path, image: str, tmp_path: Path
) -> None:
    shutil.copy(SETTINGS, home.folder / "config")
    server = home.start(app="server", variables={"KUBECONFIG": str(kubeconfig)})
    told = home.zoe(
        "start", "python-job", "--set", "code=print(6 * 7)", "--set", "memory=128MiB", "--name", "job", "--wait"
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert home.zoe("logs", "job").stdout.splitlines()[-1] == "42"
    about = home.zoe("info").stdout
    assert "kubernetes" in about
    assert {node["name"] for node in home.zoe_json("nodes")} >= {"node1", "node2"}
    (service,) = home.zoe_json("info", "job")["services"]
    assert service["node"] in ("node1", "node2")
    server.stop()
    world = KubernetesWorld(kubeconfig, NAMESPACE, tmp_path)
    world.deployment = "zoe"
    world.assert_nothing_is_left()
