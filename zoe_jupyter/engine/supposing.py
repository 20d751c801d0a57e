"""What would start, wait and shrink now under another policy or other quotas: the same decision, and nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from zoe_jupyter import plugins
from zoe_jupyter.engine.configured import GROUPS
from zoe_jupyter.engine.outlook import DEFAULT, by_kind, sorted_quotas
from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.quota import Limit, Quota
from zoe_jupyter.scheduler.decide import decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.scheduler.snapshot import Snapshot


def suppose(
    snapshot: Snapshot, policy: Policy, limits: Mapping[str, Limit], *, quotas: Mapping[str, Quota], now: float
) -> Plan:
    """``limits``: by user, ``group:NAME`` or ``default``; fields that are not None replace those of ``quotas``."""
    changed = {owner: _changed(owner, limit, quotas) for owner, limit in limits.items()}
    return decide(replace(snapshot, quotas=by_kind(sorted_quotas({**quotas, **changed}))), policy, now)


def installed_policy(name: str) -> Policy:
    """By short name only. Raises InvalidDescription for one that there is not."""
    installed = plugins.names(GROUPS["policy"])
    if name not in installed:
        raise InvalidDescription(
            [Problem(f"there is no policy {name[:40]!r}; installed: {', '.join(installed)}", "policy")]
        )
    policy: Policy = plugins.load(GROUPS["policy"], name)()
    return policy


def _changed(owner: str, limit: Limit, quotas: Mapping[str, Quota]) -> Quota:
    today = quotas.get(owner) or quotas.get(DEFAULT, Quota())
    given = {f.name: value for f in fields(limit) if (value := getattr(limit, f.name)) is not None}
    return replace(today, limit=replace(today.limit, **given))
