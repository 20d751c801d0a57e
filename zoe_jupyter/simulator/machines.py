"""The simulated machines: what is free on each, what was given away over time, and who used how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.snapshot import Counts
from zoe_jupyter.simulator.outcome import Moment
from zoe_jupyter.simulator.workload import Application

HALF_LIFE_S = 2 * 86400.0
"""What was used so long ago counts half for fair shares, as in the engine."""


class Machines:
    """Keeps the books, so that a plan that gives away more than there is does not go unnoticed."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self.moments: list[Moment] = []
        self._free = {node.name: node.capacity for node in nodes}
        self._capacity = sum((node.capacity for node in nodes), Resources())
        self._given = Resources()
        self._held: dict[str, Resources] = {}
        self._usage: dict[str, float] = {}
        self._used_until = 0.0

    def take(self, application: Application, services: Counts) -> None:
        """Give room to services; raises ZoeError where a node has no such room."""
        for demand in application.demands:
            for node, count in services.get(demand.process, {}).items():
                left = self._free[node] - demand.resources * count
                if not Resources().fits_in(left):
                    raise ZoeError(
                        f"the plan gives {application.id!r} more than {node} has: {count} {demand.resources}"
                    )
                self._free[node] = left
        self._hold(application, services, 1)

    def give_back(self, application: Application, services: Counts) -> None:
        for demand in application.demands:
            for node, count in services.get(demand.process, {}).items():
                self._free[node] += demand.resources * count
        self._hold(application, services, -1)

    def note(self, now: float) -> None:
        """Write down what is given away from now on."""
        moment = Moment(
            now,
            cores=_share(self._given.microcores, self._capacity.microcores),
            memory=_share(self._given.memory_bytes, self._capacity.memory_bytes),
        )
        if self.moments and self.moments[-1].at == now:
            self.moments.pop()
        self.moments.append(moment)

    def usage(self, now: float) -> Mapping[str, float]:
        """What each owner used until now, decayed, in shares of the cluster times seconds; to be asked before anything changes."""
        passed_s = now - self._used_until
        self._used_until = now
        left = 0.5 ** (passed_s / HALF_LIFE_S)
        for owner, used in self._usage.items():
            self._usage[owner] = used * left
        for owner, held in self._held.items():
            self._usage[owner] = self._usage.get(owner, 0.0) + passed_s * max(
                _share(held.microcores, self._capacity.microcores),
                _share(held.memory_bytes, self._capacity.memory_bytes),
                _share(held.gpus, self._capacity.gpus),
            )
        return dict(self._usage)

    def _hold(self, application: Application, services: Counts, sign: int) -> None:
        counts = ((demand, sum(services.get(demand.process, {}).values())) for demand in application.demands)
        more = sum((demand.resources * (sign * count) for demand, count in counts), Resources())
        self._given += more
        self._held[application.owner] = self._held.get(application.owner, Resources()) + more


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
