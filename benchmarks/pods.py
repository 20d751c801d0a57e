"""Both sides of the figures on Kubernetes: a core with the Kubernetes backend, and what one would write with ``kubectl``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks import house
from benchmarks.house import Zoe, in_parallel
from tests import cluster
from zoe_jupyter.backends.kubernetes import names, objects

KINDS = "pods,jobs,services,secrets,networkpolicies"
MADE_BY_THE_CLUSTER = "endpointslices,endpoints,configmaps,persistentvolumeclaims"
"""What carries the labels of a Service, or would be a volume."""
NAMESPACE = "default"
BY_HAND = "by-hand"
Manifest = Mapping[str, Any]


@contextmanager
def zoe() -> Iterator[Zoe]:
    """As the cluster's admin, in its default namespace."""
    options = {"kubeconfig": str(cluster.kubeconfig()), "namespace": NAMESPACE, "isolation": "declared"}
    with house.zoe("kubernetes", {**options, "image_prefix": cluster.FRAMEWORKS}) as found:
        yield found


def record(found: Zoe, use: str, parameters: Mapping[str, Any]) -> list[Manifest]:
    """What one launch through Zoe makes on the cluster, as one would have written it: without an owner, and with labels of its own."""
    recorded: list[Manifest] = []
    made = objects.Objects._made

    async def remember(self: objects.Objects, path: str, manifest: dict[str, Any]) -> Any:
        recorded.append(_as_written(manifest))
        return await made(self, path, manifest)

    objects.Objects._made = remember  # type: ignore[method-assign]
    try:
        found.stop(found.start(use, parameters))
    finally:
        objects.Objects._made = made  # type: ignore[method-assign]
    return [each for each in recorded if each["kind"] != "Job"]


def _as_written(manifest: Mapping[str, Any]) -> Manifest:
    written: dict[str, Any] = json.loads(json.dumps(manifest).replace(f"{names.PREFIX}/", f"{BY_HAND}/"))
    written["metadata"].pop("ownerReferences", None)
    return written


def launch(recorded: Sequence[Manifest]) -> None:
    """The names and the first pods; once those are ready all others at once."""
    pods = [each for each in recorded if each["kind"] == "Pod"]
    first = [pod for pod in pods if ".master" in _service(pod)]
    rest = [pod for pod in pods if pod not in first]
    apply([each for each in recorded if each["kind"] != "Pod"] + first)
    for some in (first, rest):
        if some is rest:
            apply(rest)
        in_parallel(_wait, some)


def apply(manifests: Sequence[Manifest]) -> None:
    cluster.kubectl("apply", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": manifests})


def remove(*options: str) -> None:
    """One ``kubectl delete`` of everything, which returns when it is gone."""
    label = f"{BY_HAND}/deployment"
    cluster.kubectl("delete", KINDS, "-n", NAMESPACE, "-l", label, "--ignore-not-found", *options)


def left(deployment: str) -> int:
    """What of a deployment the cluster still has, of all kinds."""
    kinds = f"{KINDS},{MADE_BY_THE_CLUSTER}"
    found = cluster.kubectl("get", kinds, "-n", NAMESPACE, "-l", names.selector(deployment), "-o", "name")
    return len(found.split())


def _service(pod: Manifest) -> str:
    return str(pod["metadata"]["annotations"][f"{BY_HAND}/service"])


def _wait(pod: Manifest) -> None:
    """Until a line of its log says that it is ready, or the kubelet does."""
    name, pattern = pod["metadata"]["name"], json.loads(pod["metadata"]["annotations"][f"{BY_HAND}/facts"]).get("log")
    cluster.kubectl("wait", "-n", NAMESPACE, "--for=condition=Ready", f"pod/{name}", "--timeout=300s")
    if not pattern:
        return
    with cluster.kubectl_output("logs", "-n", NAMESPACE, "-f", name) as lines:
        if not any(re.search(pattern, line) for line in lines):
            raise RuntimeError(f"{name} has ended before it said {pattern!r}")
