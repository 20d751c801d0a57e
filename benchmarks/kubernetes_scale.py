"""What it takes to follow a cluster of 1,000 nodes on which a deployment has 5,000 pods: start, memory, one change. The nodes are simulated.

Needs the scripts of ``ZOE_TEST_INFRA`` (kwok's nodes accept pods, say that they run, and run nothing).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.running import Effort, Report, note
from tests import cluster
from tests.backends.kubernetes import counting
from zoe_jupyter.backends.base import Bounds, ServiceOrder
from zoe_jupyter.backends.containers.names import slug
from zoe_jupyter.backends.kubernetes import KubernetesBackend, manifests, names
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.paths import Paths
from zoe_jupyter.backends.kubernetes.site import Site

NODES, PODS, QUICK_PART = 1000, 5000, 20
SERVICES = 10
"""Of each execution."""
CHANGES = 20
AT_ONCE = 32
LIMIT_S = 600.0
SIMULATED = ({"key": "kwok.x-k8s.io/node", "operator": "Exists"},)
_KWOK = "type=kwok"


def measure(effort: Effort) -> Report:
    """In a process of its own, which has nothing else in it. What ran before runs on: beside simulated nodes others do not find a cluster as they need it."""
    was_up = _found(effort)
    part = QUICK_PART if effort.is_quick else 1
    kubeconfig = cluster.kubeconfig()
    try:
        cluster.cluster("up", "--nodes", "2", "--fake-nodes", str(NODES // part))
        return _measure(effort, str(kubeconfig), PODS // part)
    finally:
        if was_up:
            _tidy(f"scale-{PODS // part}")
        else:
            cluster.cluster("down", "--keep-images")


def _found(effort: Effort) -> bool:
    """Whether there is a cluster already. Raises RuntimeError where it is not for this."""
    if not cluster.is_ours():
        raise RuntimeError("KUBECONFIG names a cluster of its own; this one simulates its nodes: unset it")
    was_up = cluster.is_up()
    if was_up and not effort.is_quick:
        raise RuntimeError("a cluster runs already, and is not made for so many nodes: take it down (`cluster down`)")
    if was_up and cluster.kubectl("get", "nodes", "-l", _KWOK, "-o", "name"):
        raise RuntimeError(
            "the cluster that runs has simulated nodes already, and somebody may need them: take it down"
        )
    return was_up


def _tidy(deployment: str) -> None:
    """Remove what was made in a cluster that goes on. The program that simulates stays, with nothing to do."""
    labels = names.selector(deployment)
    cluster.kubectl("delete", "pods,jobs", "-l", labels, "--force", "--grace-period=0", "--ignore-not-found")
    cluster.kubectl("delete", "nodes", "-l", _KWOK)


def _measure(effort: Effort, kubeconfig: str, pods: int) -> Report:
    site = Site(deployment=f"scale-{pods}", tolerations=SIMULATED, node_selector={"type": "kwok"})
    asyncio.run(_make(kubeconfig, site, pods))
    report = Report()
    for _ in range(effort.pairs):
        command = [sys.executable, "-m", "benchmarks.kubernetes_scale", kubeconfig, site.deployment]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        report.runs.append(json.loads(done.stdout))
        note(done.stdout.strip())
    for name in report.runs[0]:
        report.figures[name] = round(statistics.median(run[name] for run in report.runs), 3)
    return report


async def _make(kubeconfig: str, site: Site, count: int) -> None:
    """See that the deployment has so many pods, and that they run."""
    server, paths, turns = await ApiServer.connect(kubeconfig, ""), Paths(site.namespace), asyncio.Semaphore(AT_ONCE)

    async def make(path: str, manifest: Any) -> Any:
        async with turns:
            try:
                return await server.create(path, manifest, site.manager)
            except ApiError as error:
                if error.status != 409:
                    raise
                return await server.get(f"{path}/{manifest['metadata']['name']}")

    async def make_execution(number: int) -> None:
        bounds = Bounds(silence_s=86400.0)
        await make(paths.jobs, manifests.parent(site, f"x{number}", bounds, time.time()))
        # Without an owner: kwok ends the pods of a Job.
        pods = [manifests.pod(site, _order(site, f"x{number}", service), "", []) for service in range(SERVICES)]
        await asyncio.gather(*(make(paths.pods, pod) for pod in pods))

    await asyncio.gather(*(make_execution(number) for number in range(count // SERVICES)))
    end = time.monotonic() + LIMIT_S
    while (running := await _running(server, paths, site)) < count:
        note(f"{running} of {count} pods run")
        if time.monotonic() > end:
            raise RuntimeError("the simulated pods do not all run")
        await asyncio.sleep(2)
    await server.close()


async def _running(server: ApiServer, paths: Paths, site: Site) -> int:
    query = {"labelSelector": names.selector(site.deployment), "resourceVersion": "0"}
    page = await server.get(paths.pods, query, limit_s=LIMIT_S)
    return sum(pod["status"]["phase"] == "Running" for pod in page["items"])


def _order(site: Site, execution_id: str, number: int) -> ServiceOrder:
    return ServiceOrder(
        deployment=site.deployment,
        execution_id=execution_id,
        owner="ada",
        service=f"dask.worker-{number}",
        attempt=1,
        command=("dask-worker",),
        image="zoe/dask:1",
        ports={},
        port_numbers={"comm": 20000},
    )


async def _look(kubeconfig: str, deployment: str) -> dict[str, float]:
    """``lists``: how often anything was listed, at the start and until all changes were looked at."""
    with tempfile.TemporaryDirectory() as folder:
        backend = KubernetesBackend(deployment=deployment, data_dir=Path(folder), kubeconfig=kubeconfig)
        with counting.lists() as lists:
            began, cpu = time.monotonic(), time.process_time()
            await backend.start()
            seen = await backend.observe()
            await backend.nodes()
            start_s, start_cpu_s = time.monotonic() - began, time.process_time() - cpu
            taken = [await _change(backend, kubeconfig, deployment, f"{time.time()}-{turn}") for turn in range(CHANGES)]
        memory = psutil.Process().memory_info().rss / 2**20
        await backend.close()
    change_ms, change_cpu_ms = (1000 * statistics.median(each) for each in zip(*taken, strict=True))
    return {
        "start_s": start_s, "start_cpu_s": start_cpu_s, "memory_mib": memory, "change_ms": change_ms,
        "change_cpu_ms": change_cpu_ms, "pods": len(seen.services), "lists": max(lists.values()),
    }  # fmt: skip


async def _change(backend: KubernetesBackend, kubeconfig: str, deployment: str, value: str) -> tuple[float, float]:
    """From the API server's answer to a change of a pod until it has been looked at; with the CPU time of all of it."""
    server, hints = await ApiServer.connect(kubeconfig, ""), backend.changes()
    news = asyncio.ensure_future(hints.__anext__())
    await asyncio.sleep(0)
    pod = _order(Site(deployment=deployment), "x0", 0)
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {f"{names.PREFIX}/bench": slug(value)}}}
    path = f"{Paths('default').pods}/{manifests.attempt_of(pod).name}"
    cpu = time.process_time()
    await server.apply(path, body, "bench")
    began = time.monotonic()
    await asyncio.wait_for(news, LIMIT_S)
    await backend.observe()
    taken = time.monotonic() - began, time.process_time() - cpu
    await server.close()
    return taken


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_look(*sys.argv[1:]))))
