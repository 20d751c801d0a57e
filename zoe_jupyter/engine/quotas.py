"""The book of quotas: who may hold how much, what is held of it, and what can never fit it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from zoe_jupyter.engine import views
from zoe_jupyter.engine.door import Caller, QuotaUse
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.outlook import DEFAULT, GROUP
from zoe_jupyter.engine.supposing import with_limit
from zoe_jupyter.model.errors import Forbidden, InvalidDescription, NotFound, Problem, QuotaExceeded
from zoe_jupyter.model.execution import Execution
from zoe_jupyter.model.quota import Limit, Quota, Supposed
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.model.units import format_bytes, format_cores, format_duration

OWNER_LENGTH = 200
MOST_NAMED = 20
"""Users that are known, in one sentence."""


class Book:
    """``groups``: the quota group of each user who is in one."""

    def __init__(self, ledger: Ledger, groups: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._groups = groups

    @property
    def now(self) -> Mapping[str, Quota]:
        return self._ledger.settled.quotas

    def admit(self, execution: Execution, *, has_own_end: bool) -> Execution:
        """With the end that its owner's run time quota sets it. Raises QuotaExceeded for what can never fit.

        ``has_own_end``: whoever asked chose the lifetime, and is told when it is too long.
        """
        core = views.core(execution)
        for whose, limit in self._limits(execution.owner):
            over = _first_over(core, limit)
            if over is not None:
                raise _never(execution, whose, over)
            execution = _ended_in_time(execution, whose, limit, has_own_end=has_own_end)
        return execution

    def uses(self, caller: Caller) -> Sequence[QuotaUse]:
        """The caller's own and their group's; for admins everyone's."""
        if not caller.is_admin:
            group = self._groups.get(caller.name)
            return [self.use(name) for name in (caller.name, *([f"{GROUP}{group}"] if group else ()))]
        owners = {execution.owner for execution in self._ledger.executions.values()} | {caller.name}
        names = owners | set(self.now) | {f"{GROUP}{group}" for group in self._groups.values()} | {DEFAULT}
        return [self.use(name) for name in sorted(names)]

    def use(self, owner: str) -> QuotaUse:
        """What it may hold, and what it holds."""
        is_group, group = owner.startswith(GROUP), owner.removeprefix(GROUP)
        members = self._members(group) if is_group else {owner}
        held = [e for e in self._ledger.executions.values() if e.owner in members]
        return QuotaUse(
            owner=owner,
            quota=self._today(owner),
            is_own=owner in self.now,
            group="" if is_group else self._groups.get(owner, ""),
            executions=sum(e.state in views.ADMITTED for e in held),
            held=sum((views.reserved(e) for e in held), Resources()),
        )

    async def put(self, owner: str, quota: Quota | None, caller: Caller) -> QuotaUse:
        """For admins. None: nothing of its own any more. Raises Forbidden, InvalidDescription, NotFound."""
        if not caller.is_admin:
            raise Forbidden("only an admin may set quotas")
        if not 0 < len(owner) <= OWNER_LENGTH or "\0" in owner or owner == GROUP:
            raise InvalidDescription([Problem("name a user, group:NAME, or default", "owner")])
        self._refuse_unknown_group(owner)
        if quota is not None:
            _refuse_nonsense(quota)
        await self._ledger.put_quota(owner, quota, by=caller.name)
        return self.use(owner)

    def supposed(self, limits: Mapping[str, Supposed]) -> Mapping[str, Quota]:
        """Today's quotas with these limits in their place. Raises InvalidDescription for what decides nothing now, and NotFound for who is
        not known: a quota may be set for somebody who is to come, but of nobody there is nothing to decide."""
        quotas = dict(self.now)
        for owner, supposed in limits.items():
            self._refuse_unknown_group(owner)
            self._refuse_unknown_user(owner)
            quotas[owner] = with_limit(self._today(owner), supposed, f"quotas.{owner[:40]}")
            _refuse_nonsense(quotas[owner])
        return quotas

    def _today(self, owner: str) -> Quota:
        is_users = owner != DEFAULT and not owner.startswith(GROUP)
        return self.now.get(owner) or (self.now.get(DEFAULT, Quota()) if is_users else Quota())

    def _refuse_unknown_group(self, owner: str) -> None:
        if owner.startswith(GROUP) and owner.removeprefix(GROUP) not in self._groups.values():
            known = ", ".join(sorted(set(self._groups.values()))) or "none"
            raise NotFound(f"there is no group {owner.removeprefix(GROUP)[:80]!r} in c.Zoe.groups; there is {known}")

    def _refuse_unknown_user(self, owner: str) -> None:
        known = {execution.owner for execution in self._ledger.executions.values()} | {*self._groups, *self.now}
        if owner == DEFAULT or owner.startswith(GROUP) or owner in known:
            return
        users = sorted(name for name in known if name != DEFAULT and not name.startswith(GROUP))
        more = f" and {len(users) - MOST_NAMED} more" if len(users) > MOST_NAMED else ""
        there = f"there is {', '.join(users[:MOST_NAMED])}{more}" if users else "nobody has anything"
        raise NotFound(f"nothing of {owner[:80]!r} is here, so that its limit decides nothing; {there}")

    def _limits(self, owner: str) -> list[tuple[str, Limit]]:
        """Those that hold for the user, and whose they are."""
        found = [("your quota", self.now.get(owner, self.now.get(DEFAULT, Quota())).limit)]
        group = self._groups.get(owner)
        if group is not None and (quota := self.now.get(f"{GROUP}{group}")) is not None:
            found.append((f"the quota of your group {group}", quota.limit))
        return found

    def _members(self, group: str) -> set[str]:
        return {user for user, name in self._groups.items() if name == group}


@dataclass(frozen=True, slots=True)
class _Over:
    resource: str
    said: str
    needed: float
    most: float


def _first_over(core: Resources, limit: Limit) -> _Over | None:
    """What such a core needs more of than the limit allows."""
    if limit.executions == 0:
        return _Over("executions", "1 execution, and none is allowed", 1, 0)
    if limit.memory_bytes is not None and core.memory_bytes > limit.memory_bytes:
        said = f"{format_bytes(core.memory_bytes)} of memory, at most {format_bytes(limit.memory_bytes)} are allowed"
        return _Over("memory", said, core.memory_bytes, limit.memory_bytes)
    if limit.microcores is not None and core.microcores > limit.microcores:
        said = f"{format_cores(core.microcores)} cores, at most {format_cores(limit.microcores)} are allowed"
        return _Over("cores", said, core.microcores, limit.microcores)
    if limit.gpus is not None and core.gpus > limit.gpus:
        return _Over("gpu", f"{core.gpus} GPUs, at most {limit.gpus} are allowed", core.gpus, limit.gpus)
    return None


def _never(execution: Execution, whose: str, over: _Over) -> QuotaExceeded:
    text = f"{execution.application.name} needs {over.said} by {whose}; ask for less, or ask the admin"
    return QuotaExceeded(text, details={"resource": over.resource, "needed": over.needed, "most": over.most})


def _ended_in_time(execution: Execution, whose: str, limit: Limit, *, has_own_end: bool) -> Execution:
    most_s, after_s = limit.run_s, execution.lifetime.after_s
    if most_s is None:
        return execution
    wished = [after_s] if has_own_end else []
    wished += [] if execution.is_assumed else [execution.estimate_s]
    too_long = max((s for s in wished if s is not None), default=0.0)
    if too_long > most_s:
        said = f"{format_duration(too_long)}, at most {format_duration(most_s)} are allowed"
        raise _never(execution, whose, _Over("run", said, too_long, most_s))
    if after_s is not None and after_s <= most_s:
        return execution
    return replace(execution, lifetime=replace(execution.lifetime, after_s=most_s))


def _refuse_nonsense(quota: Quota) -> None:
    problems = [
        Problem("is not negative", f"{part}.{name}")
        for part, limit in (("share", quota.share), ("limit", quota.limit))
        for name, value in _amounts(limit)
        if value is not None and value < 0
    ]
    if quota.share is not None:
        most = dict(_amounts(quota.limit))
        problems += [
            Problem(f"is at most the limit of {most[name]:g}", f"share.{name}")
            for name, value in _amounts(quota.share)
            if value is not None and (above := most[name]) is not None and value > above
        ]
    if problems:
        raise InvalidDescription(problems)


def _amounts(limit: Limit | None) -> Iterable[tuple[str, float | None]]:
    if limit is None:
        return ()
    return (
        ("executions", limit.executions),
        ("cores", limit.microcores),
        ("memory", limit.memory_bytes),
        ("gpus", limit.gpus),
        ("run", limit.run_s),
    )
