"""The simulated machines: what is free on each, and what was given away over time."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.simulator.live import Nodes
from zoe_jupyter.simulator.outcome import Moment


class Machines:
    """Keeps the books, so that a plan that gives away more than there is does not go unnoticed."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = tuple(nodes)
        self.moments: list[Moment] = []
        self._free = {node.name: node.capacity for node in nodes}
        self._capacity = sum((node.capacity for node in nodes), Resources())
        self._microcores = self._memory_bytes = 0

    def take(self, resources: Resources, nodes: Nodes) -> None:
        """Give room to services; raises ZoeError where a node has no such room."""
        for node, count in nodes.items():
            left = self._free[node] - resources * count
            if not Resources().fits_in(left):
                raise ZoeError(f"the plan gives away more than {node} has: {count} services with {resources} each")
            self._free[node] = left
            self._microcores += resources.microcores * count
            self._memory_bytes += resources.memory_bytes * count

    def give_back(self, resources: Resources, nodes: Nodes) -> None:
        for node, count in nodes.items():
            self._free[node] += resources * count
            self._microcores -= resources.microcores * count
            self._memory_bytes -= resources.memory_bytes * count

    def note(self, now: float) -> None:
        """Write down what is given away from now on."""
        moment = Moment(
            now,
            cores=_share(self._microcores, self._capacity.microcores),
            memory=_share(self._memory_bytes, self._capacity.memory_bytes),
        )
        if self.moments and self.moments[-1].at == now:
            self.moments.pop()
        self.moments.append(moment)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
