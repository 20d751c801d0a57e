"""What decisions about the same machines have in common; a decision is the same with it and without."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.placement import Need
from zoe_jupyter.scheduler.reasons import never_fits
from zoe_jupyter.scheduler.room import Machines

_Shape = tuple[tuple[str, Resources, int, frozenset[tuple[str, str]]], ...]


class Memo:
    """Give the same one to each call of ``decide``; it forgets by itself what no longer holds."""

    def __init__(self) -> None:
        self._nodes: tuple[Node, ...] = ()
        self._machines = Machines(())
        self._never: dict[_Shape, Reason | None] = {}

    def machines(self, nodes: tuple[Node, ...]) -> Machines:
        """The machines of this decision; must be called first."""
        if nodes != self._nodes:
            self._nodes, self._machines, self._never = nodes, Machines(nodes), {}
        return self._machines

    def never_fits(self, needs: Sequence[Need]) -> Reason | None:
        """As ``reasons.never_fits``, worked out once for all that need the same."""
        shape = tuple(
            (n.demand.process, n.demand.resources, n.count, frozenset(n.demand.labels.items())) for n in needs
        )
        if shape not in self._never:
            self._never[shape] = never_fits(needs, self._machines)
        return self._never[shape]
