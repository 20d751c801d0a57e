"""What a decision looks at beside the executions themselves: rules, quotas, what was used lately, the reservation of the one before."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache

from zoe_jupyter.engine import views
from zoe_jupyter.engine.remembering import Remembered
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.engine.together import Together, never_fits
from zoe_jupyter.model.execution import Execution, Reason
from zoe_jupyter.model.quota import Quota
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Demand, Job, Quotas, Reservation, Rules, Snapshot

logger = logging.getLogger(__name__)

GROUP = "group:"
DEFAULT = "default"
HALF_LIFE_S = 2 * 86400.0
"""What was used so long ago counts half."""
LOOK_S = 5.0
"""How often it is noted who uses how much."""
STORE_S = 60.0
"""How often that is stored, at most."""


class Outlook:
    """One for each core; carries from one decision to the next what ``kept`` says."""

    def __init__(self, settings: Settings, *, is_multi_node: bool = True) -> None:
        self._together = None if is_multi_node else Together()
        self.rules: Rules = settings.rules
        self.groups = {user: name for name, users in reversed(list(settings.groups.items())) for user in users}
        self._preemptible = frozenset(settings.preemptible)
        self._made = Remembered(self._job)
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
        executions: Iterable[Execution],
        nodes: Sequence[Node],
        *,
        quotas: Mapping[str, Quota],
        is_reachable: bool,
    ) -> Snapshot:
        """All that wants or holds room, and what is to be kept in mind."""
        jobs = self._placed(tuple(made for _, made in self._made.all(executions) if made is not None), nodes)
        return Snapshot(
            nodes=tuple(nodes),
            jobs=jobs,
            is_reachable=is_reachable,
            rules=self.rules,
            quotas=by_kind(sorted_quotas(quotas)),
            usage=self._usage,
            reservation=self._reservation,
        )

    def _placed(self, jobs: tuple[Job, ...], nodes: Sequence[Node]) -> tuple[Job, ...]:
        return jobs if self._together is None else self._together.pin(jobs, nodes)

    def never_fits(self, demands: Sequence[Demand], nodes: Sequence[Node]) -> Reason | None:
        """Why its core fits on no node, or no nodes together, however empty; None when it does."""
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
        left = 0.5 ** (passed_s / HALF_LIFE_S)
        usage = {key: value * left for key, value in self._usage.items() if value * left > 1e-3}
        for name, held in _held(snapshot.jobs).items():
            usage[name] = usage.get(name, 0.0) + _part(held, cluster) * passed_s
        self._usage = usage

    def _job(self, execution: Execution) -> Job | None:
        if not views.has_room_business(execution):
            return None
        return views.job(
            execution,
            group=self.groups.get(execution.owner, ""),
            may_be_preempted=execution.priority_class in self._preemptible,
        )

    def job(self, execution: Execution) -> Job:
        """One that is not stored, as a decision would see it."""
        return views.job(execution, group=self.groups.get(execution.owner, ""))


@lru_cache(maxsize=4)
def by_kind(quotas: tuple[tuple[str, Quota], ...]) -> Quotas:
    """As the scheduler wants to see them; the same object for the same quotas."""
    return Quotas(
        users={owner: quota for owner, quota in quotas if owner != DEFAULT and not owner.startswith(GROUP)},
        groups={owner.removeprefix(GROUP): quota for owner, quota in quotas if owner.startswith(GROUP)},
        default=dict(quotas).get(DEFAULT, Quota()),
    )


def sorted_quotas(quotas: Mapping[str, Quota]) -> tuple[tuple[str, Quota], ...]:
    return tuple(sorted(quotas.items(), key=lambda item: item[0]))


def _held(jobs: Iterable[Job]) -> dict[str, Resources]:
    """What owners hold, and groups beside them."""
    found: dict[str, Resources] = {}
    for job in jobs:
        if job.is_admitted:
            held = views.held(job)
            for name in filter(None, (job.owner, job.group)):
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
