"""Quotas: what users and groups hold beside what they may, and what they lend each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from enum import Enum
from functools import reduce

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.snapshot import Counts, Demand, ExecutionId, Job, Limit, Quota, Quotas, Snapshot

Amount = tuple[float, float, float, float]
"""Executions, microcores, bytes of memory, GPUs."""

NOTHING: Amount = (0, 0, 0, 0)
UNLIMITED: Amount = (math.inf, math.inf, math.inf, math.inf)


class Whose(str, Enum):
    """Whose quota it is, or whose unused shares have been given away."""

    USER = "user"
    GROUP = "group"
    LENT_BY_USERS = "lent_by_users"
    LENT_BY_GROUPS = "lent_by_groups"


@dataclass(frozen=True, slots=True)
class Denial:
    """What does not go into which quota."""

    whose: Whose
    name: str
    resource: int
    """The place in an ``Amount``."""
    held: float
    asked: float
    limit: float
    kept: float = 0
    """How much of ``held`` is only kept for others that wait, and stand before it."""

    @property
    def is_for_good(self) -> bool:
        """Whether it would not go in even if nothing else were held."""
        return self.asked > self.limit


class Ledger:
    """What is held now and was given away in this decision."""

    def __init__(self, quotas: Quotas, jobs: Iterable[Job]) -> None:
        self._quotas = quotas
        self._users: dict[str, Amount] = {}
        self._groups: dict[str, Amount] = {}
        self._leaving: dict[str, Amount] = {}
        self._leaving_groups: dict[str, Amount] = {}
        self._kept: dict[str, Amount] = {}
        """Of what users hold, how much is only kept for theirs that wait."""
        self._kept_groups: dict[str, Amount] = {}
        """The same of groups, without what waits for the limit of its own user."""
        self._pending: dict[str, Amount] = {}
        """Of what is kept for users, that which waits for their own limit: it keeps nobody else waiting."""
        self._members: dict[str, set[str]] = {group: set(users) for group, users in quotas.members.items()}
        self._lent: dict[str, Amount] = {}
        """What the shares of a group's members come to."""
        self._bound: set[str] = set()
        """Groups of which nobody goes in front of who waits to borrow, not even for a share of its own; empty: of what groups lend."""
        for job in jobs:
            if job.group:
                self._members.setdefault(job.group, set()).add(job.owner)
            if job.is_admitted:
                self.add(job, held(job))
                if job.leaving:
                    self.expect(job, total(job.demands, [job.leaving]))

    def add(self, job: Job, amount: Amount) -> None:
        """Count what was given."""
        self._users[job.owner] = _sum(self._users.get(job.owner, NOTHING), amount)
        if job.group:
            self._groups[job.group] = _sum(self._groups.get(job.group, NOTHING), amount)

    def keep(self, job: Job, amount: Amount, whose: Whose = Whose.GROUP) -> None:
        """Count what one that still waits will get before all that come after it; who waits for its own limit keeps nothing of its group."""
        self._kept[job.owner] = _sum(self._kept.get(job.owner, NOTHING), amount)
        if whose is Whose.USER:
            self._users[job.owner] = _sum(self._users.get(job.owner, NOTHING), amount)
            self._pending[job.owner] = _sum(self._pending.get(job.owner, NOTHING), amount)
        else:
            self.add(job, amount)
            self._kept_groups[job.group] = _sum(self._kept_groups.get(job.group, NOTHING), amount)

    def bind(self, job: Job, whose: Whose) -> None:
        """Let nobody go in front of one that waits to borrow what users, or groups, leave each other."""
        if whose is Whose.LENT_BY_USERS:
            self._bound.add(job.group)
        elif whose is Whose.LENT_BY_GROUPS:
            self._bound.add("")

    def expect(self, job: Job, amount: Amount) -> None:
        """Count on what its owner, and its group, will give back."""
        self._leaving[job.owner] = _sum(self._leaving.get(job.owner, NOTHING), amount)
        if job.group:
            self._leaving_groups[job.group] = _sum(self._leaving_groups.get(job.group, NOTHING), amount)

    @property
    def is_anything_leaving(self) -> bool:
        return bool(self._leaving)

    def once_left(self) -> Ledger:
        """What will be held once all has left that is on its way out; another ledger."""
        later = copy(self)
        later._users = self._users | {name: _less(self._users[name], gone) for name, gone in self._leaving.items()}
        later._groups = self._groups | {
            name: _less(self._groups[name], gone) for name, gone in self._leaving_groups.items()
        }
        return later

    def denial(self, job: Job, amount: Amount) -> Denial | None:
        """Why its owner may not hold that much more; None: it may."""
        limit = _amount(self._quota(job.owner).limit)
        mine, kept = self._users.get(job.owner, NOTHING), self._kept.get(job.owner, NOTHING)
        found = _beyond(Whose.USER, job.owner, mine, amount, limit, kept)
        return self._group_denial(job, amount) if found is None and job.group else found

    def is_own(self, job: Job, amount: Amount) -> bool:
        """Say whether its owner would still be within its own share, and its group within its."""
        quota = self._quota(job.owner)
        is_users = _is_within(self._users.get(job.owner, NOTHING), amount, _share(quota))
        return is_users and self._is_groups_own(job.group, amount)

    def borrowed(self, owner: str) -> Amount:
        """What an owner holds above its share."""
        mine, share = self._users.get(owner, NOTHING), _share(self._quota(owner))
        return _above(mine, share)

    def has_share(self, owner: str, resource: int) -> bool:
        """Whether there is a share of its own of this resource; the place in an ``Amount``."""
        return _share(self._quota(owner))[resource] < math.inf

    def _quota(self, owner: str) -> Quota:
        return self._quotas.users.get(owner, self._quotas.default)

    def _group_denial(self, job: Job, amount: Amount) -> Denial | None:
        limit = _amount(self._quotas.groups.get(job.group, Quota()).limit)
        ours, kept = self._groups.get(job.group, NOTHING), self._kept_groups.get(job.group, NOTHING)
        found = _beyond(Whose.GROUP, job.group, ours, amount, limit, kept)
        if found is None and (self._bound or not self.is_own(job, amount)):
            found = self._users_lend(job, amount, limit) or self._groups_lend(job, amount)
        return found

    def _users_lend(self, job: Job, amount: Amount, limit: Amount) -> Denial | None:
        """A group without a limit of its own lends no more than its members' shares come to."""
        share = _share(self._quota(job.owner))
        is_free = job.group not in self._bound and _is_within(self._users.get(job.owner, NOTHING), amount, share)
        if is_free or all(there < math.inf or own == math.inf for there, own in zip(limit, share, strict=True)):
            return None
        lent = self._lent_in(job.group)
        most = tuple(
            math.inf if there < math.inf or own == math.inf else all_
            for there, own, all_ in zip(limit, share, lent, strict=True)
        )
        given = kept = NOTHING
        for user in self._members[job.group]:
            if user in self._users:
                own, pending = _share(self._quota(user)), self._pending.get(user, NOTHING)
                given = _sum(given, _only(_less(self._users[user], pending), own))
                kept = _sum(kept, _only(_less(self._kept.get(user, NOTHING), pending), own))
        return _beyond(Whose.LENT_BY_USERS, job.group, given, amount, most, kept)

    def _lent_in(self, group: str) -> Amount:
        if group not in self._lent:
            shares = [_share(self._quota(user)) for user in self._members[group]]
            self._lent[group] = reduce(_sum, (_only(share, share) for share in shares), NOTHING)
        return self._lent[group]

    def _groups_lend(self, job: Job, amount: Amount) -> Denial | None:
        """Nobody lends what the borrower has no share of its own of."""
        group = self._quotas.groups.get(job.group)
        if group is None or ("" not in self._bound and self._is_groups_own(job.group, amount)):
            return None
        lent = given = kept = NOTHING
        for name, quota in self._quotas.groups.items():
            own = _share(quota)
            lent = _sum(lent, _only(own, own))
            given = _sum(given, _only(self._groups.get(name, NOTHING), own))
            kept = _sum(kept, _only(self._kept_groups.get(name, NOTHING), own))
        most = [all_ if own < math.inf else math.inf for all_, own in zip(lent, _share(group), strict=True)]
        return _beyond(Whose.LENT_BY_GROUPS, job.group, given, amount, most, kept)

    def _is_groups_own(self, name: str, amount: Amount) -> bool:
        group = self._quotas.groups.get(name)
        return group is None or _is_within(self._groups.get(name, NOTHING), amount, _share(group))


def is_unlimited(quotas: Quotas) -> bool:
    return not quotas.users and not quotas.groups and quotas.default == Quota()


def needed(demands: Sequence[Demand]) -> Amount:
    """What a start takes."""
    cores = memory = gpus = 0
    for demand in demands:
        resources, count = demand.resources, demand.core
        cores += resources.microcores * count
        memory += resources.memory_bytes * count
        gpus += resources.gpus * count
    return 1, cores, memory, gpus


def held(job: Job) -> Amount:
    """What it holds, services on their way out included."""
    return _sum((1, 0, 0, 0), total(job.demands, [job.core, job.elastic, job.leaving]))


def total(demands: Sequence[Demand], held: Iterable[Counts]) -> Amount:
    """What these services take, and no execution."""
    found = Resources()
    for counts in held:
        for demand in demands if counts else ():
            found += demand.resources * sum(counts.get(demand.process, {}).values())
    return 0, found.microcores, found.memory_bytes, found.gpus


def own_first(
    jobs: Sequence[Job], snapshot: Snapshot, class_of: Callable[[Job], int], firm: Collection[ExecutionId]
) -> list[Job]:
    """In each class those that take of their owner's own share go before those that borrow; else in the given order. ``firm``: who stays
    at the head of its class, borrowing or not."""
    ledger = Ledger(snapshot.quotas, snapshot.jobs)
    borrowing = set()
    for job in jobs:
        amount = needed(job.demands)
        if ledger.is_own(job, amount):
            ledger.add(job, amount)
        elif job.id not in firm:
            borrowing.add(job.id)
    return sorted(jobs, key=lambda job: (-class_of(job), job.id in borrowing))


def has_shares(quotas: Quotas) -> bool:
    return any(each.share for each in (quotas.default, *quotas.users.values(), *quotas.groups.values()))


def never_allowed(demands: Sequence[Demand], quotas: Quotas, *, owner: str, group: str) -> Denial | None:
    """What of a core is above a limit even if nothing else were held."""
    amount = needed(demands)
    quota = quotas.users.get(owner, quotas.default)
    found = _beyond(Whose.USER, owner, NOTHING, amount, _amount(quota.limit))
    if found is None and group in quotas.groups:
        found = _beyond(Whose.GROUP, group, NOTHING, amount, _amount(quotas.groups[group].limit))
    return found


def _amount(limit: Limit) -> Amount:
    return (
        math.inf if limit.executions is None else limit.executions,
        math.inf if limit.microcores is None else limit.microcores,
        math.inf if limit.memory_bytes is None else limit.memory_bytes,
        math.inf if limit.gpus is None else limit.gpus,
    )


def _share(quota: Quota) -> Amount:
    return UNLIMITED if quota.share is None else _amount(quota.share)


def _sum(a: Amount, b: Amount) -> Amount:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]


def _beyond(
    whose: Whose, name: str, mine: Amount, amount: Amount, limit: Sequence[float], kept: Amount = NOTHING
) -> Denial | None:
    for resource, asked in enumerate(amount):
        if asked and mine[resource] + asked > limit[resource]:
            held, waits = mine[resource], min(mine[resource], kept[resource])
            return Denial(whose, name, resource, held, asked, limit[resource], waits)
    return None


def _is_within(mine: Amount, amount: Amount, share: Amount) -> bool:
    return _beyond(Whose.USER, "", mine, amount, share) is None


def _only(amount: Amount, share: Amount) -> Amount:
    """Of the resources that there is a share of."""
    a, b, c, d = (each if own < math.inf else 0.0 for each, own in zip(amount, share, strict=True))
    return a, b, c, d


def _less(a: Amount, b: Amount) -> Amount:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]


def _above(mine: Amount, limit: Amount) -> Amount:
    a, b, c, d = (max(0.0, has - most) for has, most in zip(mine, limit, strict=True))
    return a, b, c, d
