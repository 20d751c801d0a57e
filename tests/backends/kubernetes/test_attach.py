"""The same lines in a notebook, on Kubernetes: a kernel outside the cluster, with no way in but the API server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import cluster
from tests.attach.notebook import notebook
from tests.backends.kubernetes import enforcing
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        yield found


@pytest.fixture
def deployed(rights: Path, namespace: str, tmp_path: Path) -> Iterator[KubernetesWorld]:
    world = KubernetesWorld(rights, namespace, tmp_path)
    world.deployment = f"lab-{uuid.uuid4().hex[:8]}"
    yield world
    world.assert_nothing_is_left()


def settings(world: KubernetesWorld) -> tuple[str, ...]:
    """The backend, beside what keeps tests apart."""
    options = {
        "kubeconfig": str(world.kubeconfig),
        "namespace": world.namespace,
        "image_prefix": cluster.FRAMEWORKS,
        "isolation": "declared",
        **world.options,
    }
    given = (f"--Zoe.backend_options={name}={value}" for name, value in options.items())
    return "--Zoe.backend=kubernetes", f"--Zoe.deployment={world.deployment}", *given


def start(home: JupyterHome, world: KubernetesWorld) -> JupyterServer:
    return home.start(*settings(world), app="server")


@pytest.mark.dask
def test_dask_is_attached_to_a_kernel_outside(home: JupyterHome, deployed: KubernetesWorld) -> None:
    cluster.provide_framework("dask")
    server = start(home, deployed)
    with notebook(home, server) as book:
        book.run("%load_ext zoe_jupyter")
        text = book.run("%zoe attach dask --set scheduler_memory=512MiB --set worker_memory=512MiB").text
        assert "Dask with" in text
        assert book.value("client.submit(sum, [1, 2]).result()") == "3"
        found = home.zoe_json("info", "dask")
        (page,) = [each for each in found["endpoints"] if each["title"] == "Dask dashboard"]
        assert page["url"]
        assert "worker" in home.zoe("logs", "dask").stdout.lower()
        server.kill()
        server = start(home, deployed)
        wait_for("it to be found again", lambda: home.zoe_json("info", "dask")["state"] == "running")
    assert home.zoe("stop", "dask", "--wait").returncode == 0


def test_a_jupyterlab_in_the_cluster_is_opened_through_the_server_outside(
    home: JupyterHome, deployed: KubernetesWorld
) -> None:
    cluster.provide_framework("jupyter")
    server = start(home, deployed)
    assert home.zoe("start", "jupyter", "--set", "memory=1GiB").returncode == 0
    wait_for("JupyterLab", lambda: home.zoe_json("info", "jupyter")["state"] == "running", timeout_s=180)
    (page,) = home.zoe_json("info", "jupyter")["endpoints"]
    assert b"JupyterLab" in server.read(page["url"])
    assert server.ask(page["url"].removesuffix("lab") + "api/contents")["content"] == []
    assert home.zoe("stop", "jupyter", "--wait").returncode == 0


@pytest.mark.spark
@pytest.mark.enforcer
def test_spark_is_attached_where_policies_are_obeyed(home: JupyterHome, deployed: KubernetesWorld) -> None:
    """Where nobody obeys them the browser's story attaches it."""
    deployed.options = {"isolation": "auto"}
    cluster.provide_framework("spark")
    with enforcing.somebody():
        server = start(home, deployed)
        with notebook(home, server) as book:
            book.run("%load_ext zoe_jupyter")
            text = book.run("%zoe attach spark", timeout_s=400).text
            assert "`spark`: Spark 4" in text
            assert book.value("spark.range(100).count()") == "100"
            wait_for("its isolation to be told", lambda: "isolation enforced" in home.zoe("info").stdout)
            assert home.zoe("stop", "spark", "--wait").returncode == 0
