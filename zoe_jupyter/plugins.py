"""From a short name to a class, by entry points: ``load("zoe_jupyter.backends", "local")``. A dotted path ``module:Name`` works too."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from zoe_jupyter.model.errors import NotFound

POLICY = "name one that is installed, or a class with order(waiting, snapshot, now) as zoe_jupyter.scheduler.policies.base says"


def names(group: str) -> list[str]:
    """The short names that are installed, sorted."""
    return sorted({point.name for point in entry_points(group=group)})


def load(group: str, name: str) -> Any:
    """The class of that short name or ``module:Name``; raises NotFound that lists what is installed, or says what the path leads to."""
    if ":" in name:
        return _class_at(name)
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    raise NotFound(
        f"there is no {name!r} among {group.rpartition('.')[2]}; installed: {', '.join(names(group)) or 'none'}"
    )


def policy(name: str) -> Any:
    """The policy of that short name or ``module:Name``, made; raises NotFound that says what it lacks."""
    kind = load("zoe_jupyter.policies", name)
    try:
        made = kind()
    except Exception as error:  # whatever somebody's class does
        raise NotFound(f"{name!r} is no policy: it cannot be made without arguments ({error}); {POLICY}") from error
    if not callable(getattr(made, "order", None)):
        raise NotFound(f"{name!r} is no policy: it has no method order; {POLICY}")
    return made


def _class_at(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotFound(f"there is no class {path!r}: {error}") from error
    if not isinstance(found, type):
        raise NotFound(f"{path!r} is no class")
    return found
