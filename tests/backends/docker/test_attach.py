"""The same lines in a notebook, on a Docker Engine: a kernel outside the containers, and one setting."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.attach.notebook import notebook
from tests.backends.docker import framework_images
from tests.backends.docker.remote_engine import lacks, remote_engine
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(600)]
Start = Callable[..., JupyterServer]


@pytest.fixture
def deployment(engine: Any) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    wanted = {"label": f"jupyter.zoe.deployment={name}"}
    yield name
    try:
        wait_for(
            "Zoe to clean up",
            lambda: not (engine.containers(all=True, filters=wanted) or engine.networks(filters=wanted)),
        )
    finally:
        for each in engine.containers(all=True, filters=wanted):
            engine.remove_container(each["Id"], force=True)
        for each in engine.networks(filters=wanted):
            engine.remove_network(each["Id"])


@pytest.fixture
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        yield found


def start(home: JupyterHome, deployment: str) -> JupyterServer:
    """A server whose only setting is the backend, beside what keeps tests apart."""
    apart = (f"--Zoe.deployment={deployment}", f"--Zoe.backend_options=image_prefix={framework_images.PREFIX}")
    return home.start("--Zoe.backend=docker", *apart, app="server")


@pytest.mark.dask
def test_dask_is_attached_to_a_kernel_outside(home: JupyterHome, deployment: str, engine: Any) -> None:
    framework_images.ensure(engine, "dask")
    server = start(home, deployment)
    with notebook(home, server) as book:
        book.run("%load_ext zoe_jupyter")
        text = book.run("%zoe attach dask --set scheduler_memory=512MiB --set worker_memory=512MiB").text
        assert "Dask with" in text
        assert book.value("client.submit(sum, [1, 2]).result()") == "3"
        assert book.value("client.map(abs, range(-3, 0))[0].result()") == "3"
        check_nothing_is_told(engine, deployment, "-----BEGIN")
        found = home.zoe_json("info", "dask")
        (page,) = [each for each in found["endpoints"] if each["title"] == "Dask dashboard"]
        assert "worker" in home.zoe("logs", "dask").stdout.lower()
        assert page["url"]
        server.kill()
        server = start(home, deployment)
        wait_for("it to be found again", lambda: home.zoe_json("info", "dask")["state"] == "running")
    assert home.zoe("stop", "dask", "--wait").returncode == 0


@pytest.mark.dask
@pytest.mark.skipif(bool(lacks()), reason=lacks())
def test_dask_is_attached_to_a_kernel_here_and_runs_on_a_machine_behind_ssh(
    home: JupyterHome, deployment: str, engine: Any, tmp_path: Path
) -> None:
    framework_images.ensure(engine, "dask")
    with remote_engine(tmp_path, f"{framework_images.PREFIX}dask:1", engine) as far:
        place = {"name": "far", "url": far.ssh_url, "ssh_config": far.ssh_config()}
        options = {"image_prefix": framework_images.PREFIX, "engines": [place]}
        apart = (f"--Zoe.deployment={deployment}", f"--Zoe.backend_options={options}")
        server = home.start("--Zoe.backend=docker", *apart, app="server")
        with notebook(home, server) as book:
            book.run("%load_ext zoe_jupyter")
            book.run("%zoe attach dask --set scheduler_memory=512MiB --set worker_memory=512MiB")
            assert book.value("client.submit(sum, [1, 2]).result()") == "3"
            assert {each["node"] for each in home.zoe_json("info", "dask")["services"]} == {"far"}
        assert home.zoe("stop", "dask", "--wait").returncode == 0


def check_nothing_is_told(engine: Any, deployment: str, secret: str) -> None:
    """A secret is in no answer of the engine about a container, and in no log."""
    assert secret
    for each in engine.containers(filters={"label": f"jupyter.zoe.deployment={deployment}"}):
        assert secret not in str(engine.inspect_container(each["Id"]))
        assert secret not in engine.logs(each["Id"]).decode(errors="replace")
        assert secret not in str(engine.top(each["Id"]))
