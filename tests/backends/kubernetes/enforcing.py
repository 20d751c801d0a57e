"""Somebody who obeys NetworkPolicies on the tests' own cluster, whose network does not: kube-router's firewall, and nothing else of it.

It is built once from its Go module, and runs as a process of this machine in each node's network, for as long as a test wants it. Tests that want it,
or want nobody, take turns; other tests may run meanwhile, for pods that no policy names are left alone.
"""

from __future__ import annotations

import fcntl
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import cluster

MODULE, VERSION = "github.com/cloudnativelabs/kube-router/v2", "v2.1.0"
PROGRAM = cluster.STATE / "bin" / f"kube-router-{VERSION}"
GO = "/usr/local/go/bin/go"
"""Where Go's own installation puts it; usually not on the path."""
BUILD_S, START_S, STOP_S = 900.0, 60.0, 10.0
LOCK = Path(tempfile.gettempdir()) / "zoe-test-enforcing.lock"
CHAINS = ("KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-")
"""What the names of its chains begin with."""
ARGUMENTS = (
    "--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--enable-cni=false",
    "--service-cluster-ip-range=10.96.0.0/16", "--health-port=0",
)  # fmt: skip


@functools.cache
def missing() -> str | None:
    """Build it, unless it is there."""
    lacking = cluster.missing() or (None if cluster.is_ours() else "the cluster's nodes are not on this machine")
    lacking = lacking or (None if shutil.which("ipset") else "no ipset")
    if lacking or PROGRAM.exists():
        return lacking
    go = shutil.which("go") or (GO if Path(GO).exists() else None)
    return "no Go to build kube-router with" if go is None else _built(go)


def _built(go: str) -> str | None:
    """Go checks what it downloads against the public checksum database."""
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    with _alone(), tempfile.TemporaryDirectory(dir=PROGRAM.parent) as folder:
        if PROGRAM.exists():
            return None
        package = f"{MODULE}/cmd/kube-router@{VERSION}"
        command = [go, "install", "-trimpath", "-ldflags=-s -w", package]
        environment = {**os.environ, "GOBIN": folder, "CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "auto"}
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_S, check=False
        )
        if done.returncode:
            return f"{' '.join(command)}: {done.stderr.strip()[-500:]}"
        (Path(folder) / "kube-router").replace(PROGRAM)
    return None


@contextmanager
def nobody() -> Iterator[None]:
    """Policies are obeyed by nobody."""
    cluster.kubeconfig()
    with _alone():
        for node in _networks():
            _sweep(node)
        yield


@contextmanager
def somebody() -> Iterator[None]:
    """Policies are obeyed on all nodes."""
    with nobody(), ExitStack() as stack:
        for node in _networks():
            stack.enter_context(_obeyed(node))
        yield


@contextmanager
def _alone() -> Iterator[None]:
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _networks() -> list[str]:
    """Numbers of the nodes, each of which is a network namespace."""
    return sorted(path.name.removeprefix("zoe-k8s-") for path in Path("/run/netns").glob("zoe-k8s-*"))


def _inside(node: str) -> tuple[str, ...]:
    return "nsenter", f"--net=/run/netns/zoe-k8s-{node}"


@contextmanager
def _obeyed(node: str) -> Iterator[None]:
    command = (
        "setpriv", "--pdeathsig", "KILL", *_inside(node), PROGRAM, *ARGUMENTS,
        f"--kubeconfig={cluster.kubeconfig()}", f"--hostname-override=node{node}",
    )  # fmt: skip
    environment = {**os.environ, "NODE_NAME": f"node{node}"}
    log = cluster.STATE / "log" / f"kube-router-{node}.log"
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            _wait(lambda: "KUBE-ROUTER-FORWARD" in _rules(node), process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _sweep(node)


def _wait(is_there: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while not is_there():
        if process.poll() is not None or time.monotonic() > end:
            raise AssertionError(log.read_text()[-2000:])
        time.sleep(0.1)


def _rules(node: str) -> str:
    return _run(*_inside(node), "iptables-save", "-t", "filter")


def _sweep(node: str) -> None:
    """Remove its chains, and what leads there, at once; and its sets."""
    lines = [line for line in _rules(node).splitlines() if any(chain in line for chain in CHAINS)]
    chains = [line.split()[0] for line in lines if line.startswith(":")]
    jumps = [line for line in lines if re.match(r"-A (INPUT|FORWARD|OUTPUT) ", line)]
    if chains:
        gone = [f"{chain} - [0:0]" for chain in chains]
        gone += [line.replace("-A", "-D", 1) for line in jumps]
        gone += [f"-X {chain[1:]}" for chain in chains]
        _run(*_inside(node), "iptables-restore", "--noflush", given="\n".join(["*filter", *gone, "COMMIT", ""]))
    if shutil.which("ipset"):
        _run(*_inside(node), "ipset", "destroy")


def _run(*command: str, given: str | None = None) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{given or ''}\n{done.stdout}{done.stderr}"
    return done.stdout
