"""What a decision looks at beside the executions themselves: rules, quotas, what was used lately, the reservation of the one before."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache

from zoe_jupyter.engine import views
from zoe_jupyter.engine.living import Living
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.engine.together import Together, never_fits
from zoe_jupyter.model.execution import Execution, Reason, State
from zoe_jupyter.model.quota import Quota
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Demand, Job, Quotas, Reservation, Rules, Snapshot

logger = logging.getLogger(__name__)

GROUP = "group:"
DEFAULT = "default"
LOOK_S = 5.0
"""How often it is noted who uses how much."""
STORE_S = 60.0
"""How often that is stored, at most."""


class Outlook:
    """One for each core; carries from one decision to the next what ``kept`` says."""

    def __init__(self, settings: Settings, living: Living, *, is_multi_node: bool = True) -> None:
        self._together = None if is_multi_node else Together()
        self._living = living
        self._changes = living.changes()
        self._jobs: dict[str, Job] = {}
        self.submitted: dict[str, None] = {}
        """Those that were not taken in yet, as of the last snapshot."""
        self.rules: Rules = settings.rules
        self.groups = {user: name for name, users in reversed(list(settings.groups.items())) for user in users}
        self._members = _members(self.groups)
        self._preemptible = frozenset(settings.preemptible)
        self._half_life_s = settings.usage_half_life_s
        self._usage: dict[str, float] = {}
        self._looked_at: float | None = None
        self._stored_at = 0.0
        self._reservation: Reservation | None = None
        self._kept_reservation: Reservation | None = None

    def recall(self, kept: Mapping[str, str]) -> None:
        """Take over what an earlier core left; what cannot be read is as if it had left nothing."""
        try:
            self._usage = {str(key): float(value) for key, value in json.loads(kept.get("usage", "{}")).items()}
            found = json.loads(kept.get("reservation", "null"))
            self._reservation = self._kept_reservation = None if found is None else Reservation(**found)
        except (ValueError, TypeError, AttributeError) as error:
            logger.warning("what the last core left for decisions cannot be read: %s", error)

    def snapshot(
        self,
        nodes: Sequence[Node],
        *,
        quotas: Mapping[str, Quota],
        is_reachable: bool,
        now: float,
        silence: str = "",
        supposed: Sequence[Execution] = (),
    ) -> Snapshot:
        """All that wants or holds room, each made again only when it has changed; and what is to be kept in mind. ``supposed``: those that
        nobody has submitted."""
        for execution_id in self._changes.take():
            self._look_at(execution_id)
        return Snapshot(
            nodes=tuple(nodes),
            jobs=self._placed((*self._jobs.values(), *map(self.job, supposed)), nodes, now),
            is_reachable=is_reachable,
            silence=silence,
            rules=self.rules,
            quotas=by_kind(sorted_quotas(quotas), self._members),
            usage={name: used for name, used in self._usage.items() if not name.startswith(GROUP)},
            group_usage={
                name.removeprefix(GROUP): used for name, used in self._usage.items() if name.startswith(GROUP)
            },
            reservation=self._reservation,
        )

    def _placed(self, jobs: tuple[Job, ...], nodes: Sequence[Node], now: float) -> tuple[Job, ...]:
        return jobs if self._together is None else self._together.pin(jobs, nodes, now)

    def never_fits(self, demands: Sequence[Demand], nodes: Sequence[Node]) -> Reason | None:
        """Why its core fits on no node, or no nodes together, however empty, were others to leave; None when it does."""
        nodes = [replace(node, capacity=node.whole or node.capacity) for node in nodes]
        return can_ever_fit(demands, nodes) if self._together is None else never_fits(demands, nodes)

    def carry(self, snapshot: Snapshot, plan: Plan, now: float) -> dict[str, str]:
        """Keep in mind what this decision leaves for the next; says what of it is to be stored now."""
        kept: dict[str, str] = {}
        self._reservation = plan.reservation
        if plan.reservation != self._kept_reservation:
            self._kept_reservation = plan.reservation
            kept["reservation"] = json.dumps(None if plan.reservation is None else asdict(plan.reservation))
        if self._looked_at is None or now - self._looked_at >= LOOK_S:
            self._note_usage(snapshot, now)
            if now - self._stored_at >= STORE_S:
                self._stored_at = now
                kept["usage"] = json.dumps({key: round(value, 3) for key, value in self._usage.items()})
        return kept

    def _note_usage(self, snapshot: Snapshot, now: float) -> None:
        """As if what is held now had been held since the last look; what is next to nothing is forgotten."""
        passed_s = 0.0 if self._looked_at is None else max(0.0, now - self._looked_at)
        self._looked_at = now
        cluster = sum((node.capacity for node in snapshot.nodes), Resources())
        left = 0.5 ** (passed_s / self._half_life_s)
        usage = {key: value * left for key, value in self._usage.items() if value * left > 1e-3}
        for name, held in _held(snapshot.jobs).items():
            usage[name] = usage.get(name, 0.0) + _part(held, cluster) * passed_s
        self._usage = usage

    def _look_at(self, execution_id: str) -> None:
        execution = self._living.get(execution_id)
        self.submitted.pop(execution_id, None)
        if execution is None or not views.has_room_business(execution):
            self._jobs.pop(execution_id, None)
            return
        if execution.state is State.SUBMITTED:
            self.submitted[execution_id] = None
        self._jobs[execution_id] = self.job(execution)

    def job(self, execution: Execution) -> Job:
        """As a decision sees it."""
        return views.job(
            execution,
            group=self.groups.get(execution.owner, ""),
            may_be_preempted=execution.priority_class in self._preemptible,
        )


@lru_cache(maxsize=4)
def by_kind(quotas: tuple[tuple[str, Quota], ...], members: tuple[tuple[str, frozenset[str]], ...] = ()) -> Quotas:
    """As the scheduler wants to see them; the same object for the same quotas. ``members``: of each group."""
    return Quotas(
        users={owner: quota for owner, quota in quotas if owner != DEFAULT and not owner.startswith(GROUP)},
        groups={owner.removeprefix(GROUP): quota for owner, quota in quotas if owner.startswith(GROUP)},
        default=dict(quotas).get(DEFAULT, Quota()),
        members=dict(members),
    )


def sorted_quotas(quotas: Mapping[str, Quota]) -> tuple[tuple[str, Quota], ...]:
    return tuple(sorted(quotas.items(), key=lambda item: item[0]))


def _members(groups: Mapping[str, str]) -> tuple[tuple[str, frozenset[str]], ...]:
    names = sorted(set(groups.values()))
    return tuple((name, frozenset(user for user, group in groups.items() if group == name)) for name in names)


def _held(jobs: Iterable[Job]) -> dict[str, Resources]:
    """What owners hold, and groups beside them: these by another name than any owner's."""
    found: dict[str, Resources] = {}
    for job in jobs:
        if job.is_admitted:
            held = views.held(job)
            for name in (job.owner, *([f"{GROUP}{job.group}"] if job.group else ())):
                found[name] = found.get(name, Resources()) + held
    return found


def _part(held: Resources, cluster: Resources) -> float:
    """The largest part that it is of the cluster."""
    pairs = (
        (held.microcores, cluster.microcores),
        (held.memory_bytes, cluster.memory_bytes),
        (held.gpus, cluster.gpus),
    )
    return max((part / whole for part, whole in pairs if whole), default=0.0)
