"""On which nodes services go: where most is free, where least is, or anywhere; otherwise where the site's own way finds no room."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from zlib import crc32

from zoe_jupyter.scheduler.snapshot import Strategy, Together
from zoe_jupyter.scheduler.space import Machines, Shape, Space

Need = tuple[str, Shape, int]
"""So many more services of one process."""
Taken = list[tuple[str, Shape, int]]
"""(process, shape, node's number), one for each service."""
Mates = Mapping[str, Collection[int]]
"""Nodes on which services of a process of this execution lie already."""

NOWHERE = -1


class Places:
    """Gives away room of one space, service by service. While it is used, room there only gets less, but for what it takes back itself.

    For services that are all alike ``take_all`` finds a way whenever there is one; a mixture is bin packing, and it may miss one.
    """

    def __init__(self, machines: Machines, space: Space, strategy: Strategy = Strategy.SPREAD, seed: int = 0) -> None:
        self.space = space
        self._machines = machines
        self._seed = seed
        self._drawn = 0
        self._is_random = strategy is Strategy.RANDOM
        self._is_spread = strategy is Strategy.SPREAD
        self._sign = 1 if strategy is Strategy.PACK else -1
        self._ranks = [self._rank(node) for node in range(len(machines.nodes))]
        self._shared = [(rank, node) for node, rank in enumerate(self._ranks)]
        heapify(self._shared)
        self._shelves: dict[Shape, list[tuple[float, int]]] = {}
        """For each shape the nodes that may have room for it; an entry is never better than the node was when it was put there."""

    def take_all(self, needs: Sequence[Need], mates: Mates) -> Taken | None:
        """Room for all of the needs together, the largest first, or for none."""
        taken: Taken = []
        for process, shape, count in needs:
            beside = lying(mates, taken, process, shape)
            for _ in range(count):
                node = self.take(shape, beside)
                if node == NOWHERE:
                    self._take_back(taken, needs)
                    return self._take_otherwise(needs, mates) if len(needs) > 1 else None
                taken.append((process, shape, node))
                if not shape.is_plain:
                    beside.add(node)
        return taken

    def take(self, shape: Shape, mates: Collection[int] = ()) -> int:
        """Room for one service: the node's number, or NOWHERE."""
        if shape.is_plain and not self._is_random:
            node = self._next(shape)
        else:
            node = self._search(shape, mates)
        if node != NOWHERE:
            self.spend(node, shape)
        return node

    def spend(self, node: int, shape: Shape) -> None:
        """Room there was given away."""
        space = self.space
        space.cores[node] -= shape.cores
        space.memory[node] -= shape.memory
        space.gpus[node] -= shape.gpus
        for port in shape.ports:
            space.ports[node, port] = space.ports.get((node, port), 0) + 1
        self._update(node)

    def spend_all(self, taken: Taken) -> None:
        for _, shape, node in taken:
            self.spend(node, shape)

    def lower(self, node: int, other: Space) -> None:
        """Have no more there than the other space has."""
        self.space.lower(node, other)
        self._update(node)

    def has_room(self, shape: Shape) -> bool:
        """Say whether one more fits somewhere, wherever its mates are."""
        if shape.is_plain and not self._is_random:
            return self._next(shape) != NOWHERE
        return self.space.has_any(shape)

    def _update(self, node: int) -> None:
        rank = self._ranks[node] = self._sign * free_share(self.space, self._machines.capacity, node)
        if self._sign > 0:
            for shape, shelf in self._shelves.items():
                if shelf and shape.may_be_on(node):
                    heappush(shelf, (rank, node))

    def _rank(self, node: int) -> float:
        return self._sign * free_share(self.space, self._machines.capacity, node)

    def _next(self, shape: Shape) -> int:
        shelf = self._shelves.get(shape)
        if shelf is None:
            if shape.is_anywhere and self._sign < 0:
                node = self._emptiest()
                if node != NOWHERE and self.space.has(node, shape):
                    return node
            shelf = self._shelves[shape] = self._shelf(shape)
        return self._first(shelf, shape)

    def _emptiest(self) -> int:
        shared, ranks = self._shared, self._ranks
        while shared:
            believed, node = shared[0]
            if ranks[node] == believed:
                return node
            heapreplace(shared, (ranks[node], node))
        return NOWHERE

    def _shelf(self, shape: Shape) -> list[tuple[float, int]]:
        cores, memory, gpus, ranks = self.space.cores, self.space.memory, self.space.gpus, self._ranks
        most_cores, most_memory, most_gpus = shape.cores, shape.memory, shape.gpus
        shelf = [
            (ranks[node], node)
            for node in shape.nodes
            if most_cores <= cores[node] and most_memory <= memory[node] and most_gpus <= gpus[node]
        ]
        heapify(shelf)
        return shelf

    def _first(self, shelf: list[tuple[float, int]], shape: Shape) -> int:
        while shelf:
            believed, node = shelf[0]
            if not self.space.has(node, shape):
                heappop(shelf)
            elif self._ranks[node] == believed:
                return node
            else:
                heapreplace(shelf, (self._ranks[node], node))
        return NOWHERE

    def _search(self, shape: Shape, mates: Collection[int]) -> int:
        """Look at each node."""
        found = [node for node in allowed(shape, mates) if self.space.has(node, shape)]
        if not found:
            return NOWHERE
        if shape.together is Together.NEAR:
            found = [node for node in found if node in mates] or found
        if self._is_random:
            self._drawn += 1
            return found[crc32(f"{self._seed} {self._drawn}".encode()) % len(found)]
        return min(found, key=lambda node: (self._ranks[node], node))

    def _take_back(self, taken: Taken, needs: Sequence[Need]) -> None:
        """Undo what was taken last. Meanwhile only the shelves of what was needed were looked at."""
        for _, shape, node in taken:
            self.space.give(node, shape)
            rank = self._ranks[node] = self._rank(node)
            heappush(self._shared, (rank, node))
        for shape in {shape for _, shape, _ in needs}:
            shelf = self._shelves.get(shape)
            if shelf is not None:
                for _, _, node in taken:
                    if shape.may_be_on(node):
                        heappush(shelf, (self._ranks[node], node))

    def _take_otherwise(self, needs: Sequence[Need], mates: Mates) -> Taken | None:
        """Whatever the site's own way is, there is room where ``fits`` finds some."""
        if not all(self.has_room(shape) for _, shape, _ in needs):
            return None
        find = place_tightly if self._is_spread else fits
        taken = find(needs, self._machines, self.space, mates)
        self.spend_all(taken or [])
        return taken


def place_tightly(needs: Sequence[Need], machines: Machines, space: Space, mates: Mates) -> Taken | None:
    """Put each where least is left, without changing the space."""
    left = space.copy()
    taken: Taken = []
    for process, shape, count in needs:
        beside = lying(mates, taken, process, shape)
        for _ in range(count):
            found = [node for node in allowed(shape, beside) if left.has(node, shape)]
            if not found:
                return None
            node = min(found, key=lambda node: (free_share(left, machines.capacity, node), node))
            left.take(node, shape)
            taken.append((process, shape, node))
            beside.add(node)
    return taken


def fits(needs: Sequence[Need], machines: Machines, space: Space, mates: Mates) -> Taken | None:
    """Where all of the needs would go in such a space, or None; does not change it."""
    if not all(space.has_any(shape) for _, shape, _ in needs):
        return None
    return Places(machines, space.copy()).take_all(needs, mates)


def allowed(shape: Shape, mates: Collection[int]) -> Sequence[int]:
    """Where it may lie beside its mates."""
    if shape.together is Together.APART and mates:
        return [node for node in shape.nodes if node not in mates]
    return shape.nodes


def free_share(space: Space, capacity: Space, node: int) -> float:
    """How much of a node is free, by the resource that is scarcest there; 0 of a node that has nothing to give."""
    least = math.inf
    if cores := capacity.cores[node]:
        least = space.cores[node] / cores
    if memory := capacity.memory[node]:
        least = min(least, space.memory[node] / memory)
    if gpus := capacity.gpus[node]:
        least = min(least, space.gpus[node] / gpus)
    return 0.0 if least == math.inf else least


def by_size(needs: list[Need]) -> list[Need]:
    """The largest first: they find the fewest places."""
    if len(needs) > 1:
        needs.sort(key=lambda need: need[1].size, reverse=True)
    return needs


def lying(mates: Mates, taken: Taken, process: str, shape: Shape) -> set[int]:
    """Where services of a process lie, those included that were just given room; empty where that does not matter."""
    if shape.is_plain:
        return set()
    return {*mates.get(process, ()), *(node for name, _, node in taken if name == process)}
