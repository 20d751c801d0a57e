"""What decisions about the same machines have in common; a decision is the same with it and without."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.placement import Need
from zoe_jupyter.scheduler.reasons import never_fits
from zoe_jupyter.scheduler.room import Machines, total
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job

_Shape = tuple[tuple[str, Resources, int, frozenset[tuple[str, str]]], ...]


class Memo:
    """Give the same one to each call of ``decide``; it forgets by itself what no longer holds."""

    def __init__(self) -> None:
        self._nodes: tuple[Node, ...] = ()
        self._machines = Machines(())
        self._never: dict[_Shape, Reason | None] = {}
        self._lacking: dict[ExecutionId, tuple[Job, tuple[Need, ...]]] = {}
        self._lacking_before = self._lacking

    def machines(self, nodes: tuple[Node, ...]) -> Machines:
        """The machines of this decision; must be called first."""
        if nodes != self._nodes:
            self._nodes, self._machines, self._never = nodes, Machines(nodes), {}
        self._lacking_before, self._lacking = self._lacking, {}
        return self._machines

    def lacking(self, job: Job) -> tuple[Need, ...]:
        """The core services that the very same job lacks, worked out once."""
        known = self._lacking.get(job.id) or self._lacking_before.get(job.id)
        if known is None or known[0] is not job:
            counts = ((demand, demand.core - total(job.core, demand.process)) for demand in job.demands)
            known = (job, tuple(Need(demand, count) for demand, count in counts if count > 0))
        self._lacking[job.id] = known
        return known[1]

    def never_fits(self, needs: Sequence[Need]) -> Reason | None:
        """As ``reasons.never_fits``, worked out once for all that need the same."""
        shape = tuple(
            (n.demand.process, n.demand.resources, n.count, frozenset(n.demand.labels.items())) for n in needs
        )
        if shape not in self._never:
            self._never[shape] = never_fits(needs, self._machines)
        return self._never[shape]
