"""From a short name to a class, by entry points: ``load("zoe_jupyter.backends", "local")``. A dotted path ``module:Name`` works too."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from zoe_jupyter.model.errors import NotFound


def names(group: str) -> list[str]:
    """The short names that are installed, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The object of that short name or ``module:Name``; raises NotFound that lists what is installed."""
    if ":" in name:
        module, _, attribute = name.partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    raise NotFound(
        f"there is no {name!r} among {group.rpartition('.')[2]}; installed: {', '.join(names(group)) or 'none'}"
    )
