"""Where objects are on the API server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Paths:
    """Of each kind; ``namespace`` empty: those of all namespaces, which can only be looked at."""

    def __init__(self, namespace: str) -> None:
        place = f"namespaces/{namespace}/" if namespace else ""
        self.pods = f"/api/v1/{place}pods"
        self.secrets = f"/api/v1/{place}secrets"
        self.services = f"/api/v1/{place}services"
        self.events = f"/api/v1/{place}events"
        self.jobs = f"/apis/batch/v1/{place}jobs"
        self.policies = f"/apis/networking.k8s.io/v1/{place}networkpolicies"
        self.metrics = f"/apis/metrics.k8s.io/v1beta1/{place}pods"

    def pod(self, name: str) -> str:
        return f"{self.pods}/{name}"


def path_of(item: Mapping[str, Any]) -> str:
    """Where a pod is."""
    metadata = item["metadata"]
    return Paths(metadata["namespace"]).pod(metadata["name"])
