"""Programs and a JupyterLab in containers: what they see of the notebook's folder, and what they say where they see nothing of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker import framework_images
from tests.backends.docker.test_attach import deployment, home
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, wait_for

__all__ = ["deployment", "home"]

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]


def start(home: JupyterHome, deployment: str, shared: Path | None = None) -> JupyterServer:
    options = {"image_prefix": framework_images.PREFIX, "folders": [{"path": str(shared)}] if shared else []}
    apart = (f"--Zoe.deployment={deployment}", f"--Zoe.backend_options={options}")
    return home.start("--Zoe.backend=docker", *apart, app="server")


def test_a_script_runs_where_the_site_shares_its_folder_and_else_the_job_says_the_way_out(
    home: JupyterHome, deployment: str, engine: Any
) -> None:
    framework_images.ensure(engine, "python-job")
    (home.work / "train.py").write_text("import os; print('trained in', os.getcwd())")
    for folder in (home.work, *home.work.parents[:1]):
        folder.chmod(0o755)
    server = start(home, deployment, shared=home.work)
    done = home.zoe("start", "python-job", "--set", "script=train.py", "--name", "seen", "--wait")
    assert f"trained in {home.work}" in home.zoe("logs", "seen").stdout, done.stdout + done.stderr
    server.stop()

    start(home, deployment)
    assert home.zoe("start", "python-job", "--set", "script=train.py", "--name", "unseen", "--wait").returncode != 0
    told = home.zoe("logs", "unseen").stdout
    assert "there is no script train.py: this job does not see the notebook's folder. Give `code` instead" in told
    assert home.zoe("start", "python-job", "--set", "code=print(6 * 7)", "--name", "code", "--wait").returncode == 0
    assert "42" in home.zoe("logs", "code").stdout


@pytest.mark.slow
def test_a_jupyterlab_in_a_container_shows_a_folder_of_its_own(home: JupyterHome, deployment: str, engine: Any) -> None:
    framework_images.ensure(engine, "jupyter")
    server = start(home, deployment)
    assert home.zoe("start", "jupyter", "--set", "memory=1GiB").returncode == 0
    wait_for("JupyterLab", lambda: home.zoe_json("info", "jupyter")["state"] == "running", timeout_s=120)
    (page,) = home.zoe_json("info", "jupyter")["endpoints"]
    assert b"JupyterLab" in server.read(page["url"])
    assert server.ask(page["url"].removesuffix("lab") + "api/contents")["content"] == []
    assert home.zoe("stop", "jupyter", "--wait").returncode == 0
