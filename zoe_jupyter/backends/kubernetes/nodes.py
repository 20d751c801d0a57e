"""From the cluster's nodes to what Zoe may give away on each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.model.resources import Node, Resources

_SUFFIXES = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60,
}  # fmt: skip
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkMGTPE]i?|Ki)?")
_HIDDEN = ("node.kubernetes.io/", "beta.kubernetes.io/")
_GPU_MODELS = ("nvidia.com/gpu.product", "amd.com/gpu.product-name")
"""Labels by which those who look after GPUs in clusters tell their model."""
Object = Mapping[str, Any]


def quantity(text: str | float) -> float:
    """A Kubernetes quantity such as ``250m`` or ``2Gi``. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is not a quantity")
    return float(match[1]) * _SUFFIXES[match[2] or ""]


def slim(node: Object) -> dict[str, Any]:
    """What is kept of a node."""
    metadata, spec, status = node["metadata"], node.get("spec", {}), node.get("status", {})
    kept = ("name", "uid", "resourceVersion", "labels", "creationTimestamp")
    return {
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"unschedulable": spec.get("unschedulable", False), "taints": spec.get("taints", [])},
        "status": {
            "allocatable": status.get("allocatable", {}),
            "conditions": [c for c in status.get("conditions", ()) if c["type"] == "Ready"],
        },
    }


def is_ready(node: Object) -> bool:
    return any(condition["status"] == "True" for condition in node["status"]["conditions"])


_NOTHING = Resources()


def zoe_node(site: Site, node: Object, used: Resources, *, pods: int = 0, staying: Resources = _NOTHING) -> Node:
    """``used``: what others than this deployment have been given there; ``pods``: how many are there, anybody's; ``staying``: of ``used``, for ever."""
    metadata = node["metadata"]
    labels = _labels(metadata.get("labels", {}))
    allocatable = amount(node["status"]["allocatable"], site.gpu_resource)
    capacity, whole = _least(allocatable - used), _least(allocatable - staying)
    is_enabled = is_open(site, node) and _takes(node, pods)
    return Node(metadata["name"], capacity, labels, is_enabled, whole=whole if whole != capacity else None)


def _takes(node: Object, pods: int) -> bool:
    """Whether it takes one more than so many."""
    return pods < quantity(node["status"]["allocatable"].get("pods", "1E"))


def is_open(site: Site, node: Object) -> bool:
    """Whether it takes pods of ours."""
    if node["spec"]["unschedulable"] or not site.node_selector.items() <= node["metadata"].get("labels", {}).items():
        return False
    return is_ready(node) and _is_tolerated(site, node["spec"]["taints"])


def _labels(found: Mapping[str, str]) -> dict[str, str]:
    """The model of its GPUs is the label ``gpu``, as everywhere."""
    labels = {key: value for key, value in found.items() if not key.startswith(_HIDDEN)}
    model = next((found[key] for key in _GPU_MODELS if key in found), "")
    return {"gpu": model, **labels} if model else labels


def pooled(name: str, each: Iterable[Node]) -> Node:
    """All that are open, as one."""
    total = whole = Resources()
    for node in each:
        if node.is_enabled:
            total, whole = total + node.capacity, whole + (node.whole or node.capacity)
    return Node(name, total, whole=whole if whole != total else None)


def amount(found: Mapping[str, str], gpu_resource: str) -> Resources:
    return Resources(
        microcores=int(quantity(found.get("cpu", 0)) * 1_000_000),
        memory_bytes=int(quantity(found.get("memory", 0))),
        gpus=int(quantity(found.get(gpu_resource, 0))),
    )


def requested(pod: Object, gpu_resource: str) -> Resources:
    """What a cluster counts a pod for: its containers and sidecars, or what it needs at most while it begins, and its overhead."""
    spec = pod.get("spec", {})
    sidecars = peak = total = Resources()
    for container in spec.get("initContainers", ()):
        wanted = _wanted(container, gpu_resource)
        peak = _most(peak, sidecars + wanted)
        sidecars += wanted if container.get("restartPolicy") == "Always" else Resources()
    for container in spec.get("containers", ()):
        total += _wanted(container, gpu_resource)
    return _most(peak, total + sidecars) + amount(spec.get("overhead", {}), gpu_resource)


def _wanted(container: Object, gpu_resource: str) -> Resources:
    wanted = container.get("resources", {})
    return amount({**wanted.get("limits", {}), **wanted.get("requests", {})}, gpu_resource)


def by_node(pods: Iterable[tuple[str, Resources]]) -> dict[str, Resources]:
    totals: dict[str, Resources] = {}
    for node, resources in pods:
        totals[node] = totals.get(node, Resources()) + resources
    return totals


def _is_tolerated(site: Site, taints: Sequence[Mapping[str, Any]]) -> bool:
    return all(
        taint["effect"] == "PreferNoSchedule" or any(_tolerates(each, taint) for each in site.tolerations)
        for taint in taints
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return bool(toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""))


def _most(one: Resources, other: Resources) -> Resources:
    """Of each the larger amount."""
    return Resources(
        max(one.microcores, other.microcores),
        max(one.memory_bytes, other.memory_bytes),
        max(one.gpus, other.gpus),
    )


def _least(resources: Resources) -> Resources:
    return Resources(max(0, resources.microcores), max(0, resources.memory_bytes), max(0, resources.gpus))
