"""What somebody supposes: another policy, other limits. The same decision is asked, and nothing is changed."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from zoe_jupyter import plugins
from zoe_jupyter.engine.configured import GROUPS
from zoe_jupyter.engine.fallback import WithFallback
from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.quota import Limit, Quota, Supposed
from zoe_jupyter.scheduler.policies.base import Policy


def installed_policy(name: str) -> Policy:
    """By short name only; as the engine would ask it. Raises InvalidDescription for one that there is not."""
    installed = plugins.names(GROUPS["policy"])
    if name not in installed:
        raise InvalidDescription(
            [Problem(f"there is no policy {name[:40]!r}; installed: {', '.join(installed)}", "policy")]
        )
    return WithFallback(name, plugins.policy(name))


def with_limit(today: Quota, supposed: Supposed, path: str) -> Quota:
    """Today's quota with what is supposed in its place. Raises InvalidDescription for what no decision looks at."""
    if supposed.limit.run_s is not None or "run_s" in supposed.unlimited:
        said = "decides nothing about what waits now: it becomes an end of the lifetime of what is submitted later; leave it out"
        raise InvalidDescription([Problem(said, f"{path}.run")])
    given: dict[str, Any] = dict.fromkeys(supposed.unlimited)
    given |= {f.name: value for f in fields(Limit) if (value := getattr(supposed.limit, f.name)) is not None}
    return replace(today, limit=replace(today.limit, **given))
