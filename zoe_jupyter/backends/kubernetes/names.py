"""Labels and annotations of objects, and the names of those that belong to a whole execution. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoe_jupyter.backends.containers.names import slug

PREFIX = "zoe-jupyter"
DEPLOYMENT = f"{PREFIX}/deployment"
EXECUTION = f"{PREFIX}/execution"
SERVICE = f"{PREFIX}/service"
OWNER = f"{PREFIX}/owner"
ATTEMPT = f"{PREFIX}/attempt"
PUBLISHED = f"{PREFIX}/published"
"""A label: pods of which it says ``yes`` are found by their execution's names."""
FACTS = f"{PREFIX}/facts"
"""An annotation: what of the order is needed to judge the pod later, as JSON."""
READY = f"{PREFIX}/ready"
"""An annotation: it has proved that it is ready."""
PROFILE = f"{PREFIX}/profile"
"""An annotation: under which profile of the admin's it runs."""
BOUNDS = f"{PREFIX}/bounds"
"""An annotation of the parent: until when the execution may live without a core, as JSON."""


def execution_name(deployment: str, execution_id: str) -> str:
    """Of the parent, the headless Service and the NetworkPolicy of an execution."""
    return slug(f"{deployment}/{execution_id}", shown=execution_id)


def selector(deployment: str) -> str:
    """The label selector of a deployment's objects."""
    return f"{DEPLOYMENT}={slug(deployment)}"


def shares_of(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Who has a share of what is held of that pod: its execution, and its owner."""
    annotations = pod["metadata"].get("annotations", {})
    execution_id = annotations.get(EXECUTION, "")
    return execution_id, annotations.get(OWNER, execution_id)
