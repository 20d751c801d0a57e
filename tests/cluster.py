"""The Kubernetes that tests use: the one of ``KUBECONFIG``, else one that the scripts in ``ZOE_TEST_INFRA`` start on this machine."""

from __future__ import annotations

import functools
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INFRA_VARIABLE = "ZOE_TEST_INFRA"
STATE = Path(os.environ.get("KUBE_DIR", "/var/lib/zoe-test-kubernetes"))
FRAMEWORKS = "zoe-test/framework-"
"""Prefix of the frameworks' images that ``tests/backends/docker/framework_images.py`` builds."""
TAGS = {"dask": "dask:1", "jupyter": "jupyter:4", "spark": "spark:4"}
MACHINE = "10.246.0.254"
"""This machine, as the nodes of its own cluster see it."""
NETWORKS = "10.246.0.0/24,10.244.0.0/16,10.96.0.0/16"


def infra() -> Path | None:
    """The folder with the scripts."""
    root = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get(INFRA_VARIABLE) or root.parent / "shared" / "infra")
    return folder if (folder / "kubernetes" / "cluster").exists() and os.geteuid() == 0 else None


def missing() -> str | None:
    if os.environ.get("KUBECONFIG") or infra() is not None:
        return None
    return f"no cluster: KUBECONFIG is not set, and {INFRA_VARIABLE} names no scripts that could start one (as root)"


def is_ours() -> bool:
    """Whether it is the one of the scripts."""
    return "KUBECONFIG" not in os.environ


def is_up() -> bool:
    """Whether the one of the scripts runs, whoever started it."""
    scripts = infra()
    told = _run(str(scripts / "kubernetes" / "cluster"), "status") if scripts else ""
    return any(line.split()[:2] == ["kube-apiserver", "pid"] for line in told.splitlines())


@functools.cache
def kubeconfig() -> Path:
    """Of an admin of the cluster; starts it, with two nodes and the base image, when it is ours to start."""
    given = os.environ.get("KUBECONFIG")
    if given:
        return Path(given)
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), NETWORKS]))
    cluster("up", "--nodes", "2")
    provide("base")
    return STATE / "admin.conf"


def provide(*images: str) -> None:
    """See that the test images are on every node."""
    lacking = [name for name in images if not _is_loaded(f"zoe-test/{name}")]
    scripts = infra()
    if not lacking or scripts is None:
        return
    start_engine()
    _run(str(scripts / "docker" / "build-test-images"), *lacking)
    cluster("load", *(f"zoe-test/{name}" for name in lacking))


def start_engine() -> None:
    """See that there is a Docker Engine, which makes images."""
    scripts = infra()
    assert scripts is not None, missing()
    _run(str(scripts / "docker" / "start-docker"))


def inside(number: int) -> list[str]:
    """Prefix that runs a command in the network of that node of the cluster of this machine."""
    return ["nsenter", f"--net=/run/netns/zoe-k8s-{number}"]


def unload(image: str) -> None:
    """Have no node keep the image."""
    for socket in Path("/run/zoe-test-kubernetes").glob("*/containerd.sock"):
        subprocess.run(
            ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images", "rm", "--sync", image],
            capture_output=True,
            timeout=60,
        )


def provide_framework(name: str) -> None:
    """See that the framework's image is on every node, built by Zoe's own command."""
    image = f"{FRAMEWORKS}{TAGS[name]}"
    if _is_loaded(image):
        return
    import docker

    from tests.backends.docker import framework_images

    framework_images.ensure(docker.APIClient(), name)
    cluster("load", image)


def cluster(*arguments: str) -> None:
    """Run the script that keeps the cluster: ``cut-node 2``, for one."""
    scripts = infra()
    assert scripts is not None, missing()
    _run(str(scripts / "kubernetes" / "cluster"), *arguments)


def kubectl(*arguments: str, given: object = None) -> str:
    """As the cluster's admin; ``given`` is an object for ``-f -``."""
    return _run(*_kubectl(), *arguments, given=None if given is None else json.dumps(given))


@contextmanager
def kubectl_output(*arguments: str) -> Iterator[Iterator[str]]:
    """Its lines as they come; whoever has seen enough ends it."""
    with subprocess.Popen([*_kubectl(), *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()


def _kubectl() -> tuple[str, str]:
    program = STATE / "bin" / "kubectl"
    return str(program) if program.exists() else "kubectl", f"--kubeconfig={kubeconfig()}"


def kubeconfig_of(account: str, namespace: str, file: Path) -> Path:
    """Write one with which a client is that service account and nobody else."""
    found = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    token = kubectl("create", "token", account, "-n", namespace, "--duration", "10h").strip()
    found["users"] = [{"name": account, "user": {"token": token}}]
    found["contexts"][0]["context"]["user"] = account
    file.write_text(json.dumps(found))
    return file


def _is_loaded(image: str) -> bool:
    program = STATE / "bin" / "kubectl"
    found = json.loads(_run(str(program), f"--kubeconfig={STATE}/admin.conf", "get", "nodes", "-o", "json"))
    wanted = f"docker.io/{image if ':' in image else f'{image}:latest'}"
    return all(
        any(wanted in (each.get("names") or ()) for each in node["status"].get("images", ()))
        for node in found["items"]
        if "kwok.x-k8s.io/node" not in node["metadata"].get("annotations", {})
    )


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout
