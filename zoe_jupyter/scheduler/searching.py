"""Where a mixture of services would go, looked for harder than for all that wait: with second thoughts, and so not for many at a time."""

from __future__ import annotations

from collections.abc import Sequence

from zoe_jupyter.scheduler.placement import Mates, Need, Taken, allowed, lying
from zoe_jupyter.scheduler.space import Machines, Shape, Space

MOST_SERVICES = 50
MOST_LOOKED_AT = 5000
"""Nodes, again and again: some milliseconds. What is not found by then is not there, or so intricate that nobody misses it."""


def search(needs: Sequence[Need], machines: Machines, space: Space, mates: Mates) -> Taken | None:
    """Where all of the needs would go in such a space, or None; does not change it."""
    if len(needs) < 2 or sum(count for _, _, count in needs) > MOST_SERVICES:
        return None
    found = _Search(needs, machines, space.copy(), mates)
    return found.taken if found.goes_on(frozenset()) else None


class _Search:
    """One service after the other, each where least is left over; where that leads nowhere, elsewhere."""

    def __init__(self, needs: Sequence[Need], machines: Machines, space: Space, mates: Mates) -> None:
        self.taken: Taken = []
        self._space = space
        self._mates = mates
        self._most = [max([1, *amounts]) for amounts in _columns(machines.capacity)]
        self._are_all_alike = all(shape.is_plain and shape.is_anywhere for _, shape, _ in needs)
        largest_first = sorted(needs, key=lambda need: -self._part((need[1].cores, need[1].memory, need[1].gpus)))
        self._services = [(process, shape) for process, shape, count in largest_first for _ in range(count)]
        self._looked_at = 0

    def goes_on(self, tried: frozenset[int]) -> bool:
        """Place all that are left; ``tried``: where the one before, of the same kind, led nowhere, so that this one need not lie either."""
        if len(self.taken) == len(self._services):
            return True
        process, shape = self._services[len(self.taken)]
        rest = self._services[len(self.taken) + 1 :]
        for node in self._open(process, shape, tried):
            self._space.take(node, shape)
            self.taken.append((process, shape, node))
            if self.goes_on(tried if rest[:1] == [(process, shape)] else frozenset()):
                return True
            self.taken.pop()
            self._space.give(node, shape)
            tried |= {node}
            if self._looked_at > MOST_LOOKED_AT:
                break
        return False

    def _open(self, process: str, shape: Shape, tried: frozenset[int]) -> Sequence[int]:
        """Nodes with room, the best first; of those that have as much free only one, where all would do."""
        beside = lying(self._mates, self.taken, process, shape)
        self._looked_at += len(shape.nodes)
        found = [node for node in allowed(shape, beside) if node not in tried and self._space.has(node, shape)]
        found.sort(key=lambda node: (self._left(node, shape), node))
        if not self._are_all_alike:
            return found
        first: dict[tuple[int, int, int], int] = {}
        for node in found:
            first.setdefault(self._free(node), node)
        return list(first.values())

    def _left(self, node: int, shape: Shape) -> float:
        cores, memory, gpus = self._free(node)
        return self._part((cores - shape.cores, memory - shape.memory, gpus - shape.gpus))

    def _part(self, amounts: tuple[int, int, int]) -> float:
        """Of the largest node, the resource of which it is most."""
        return max(amount / most for amount, most in zip(amounts, self._most, strict=True))

    def _free(self, node: int) -> tuple[int, int, int]:
        return self._space.cores[node], self._space.memory[node], self._space.gpus[node]


def _columns(space: Space) -> tuple[list[int], list[int], list[int]]:
    return space.cores, space.memory, space.gpus
