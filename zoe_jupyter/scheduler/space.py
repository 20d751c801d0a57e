"""The machines of one decision, by number in the order of their names, and room on them in plain integers: this is where the time goes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.snapshot import Counts, Demand, Together

Free = Mapping[str, Resources]
"""``{node: what is free}``; negative where a node shrank below what runs on it."""

T = TypeVar("T", bound=Hashable)


class Shape:
    """What the placing of one service depends on; one object for all that are alike."""

    __slots__ = ("cores", "demand", "gpus", "is_anywhere", "is_plain", "memory", "nodes", "ports", "size", "together")

    def __init__(self, demand: Demand, nodes: Sequence[int], *, is_anywhere: bool) -> None:
        self.demand = demand
        """The first of those that are alike: only its process and its numbers are of its own."""
        self.cores = demand.resources.microcores
        self.memory = demand.resources.memory_bytes
        self.gpus = demand.resources.gpus
        self.size = self.gpus, self.memory, self.cores
        self.nodes = nodes
        """The nodes that would do, full or not, in their order."""
        self.is_anywhere = is_anywhere
        self.ports = demand.host_ports
        self.together = demand.together
        self.is_plain = not demand.host_ports and demand.together is Together.ANYWHERE
        """Where others of its kind lie does not matter."""

    def may_be_on(self, node: int) -> bool:
        place = bisect_left(self.nodes, node)
        return place < len(self.nodes) and self.nodes[place] == node


class Space:
    """Room on each node, and the host ports that are taken."""

    __slots__ = ("cores", "gpus", "memory", "ports")

    def __init__(self, cores: list[int], memory: list[int], gpus: list[int], ports: dict[tuple[int, int], int]) -> None:
        self.cores = cores
        self.memory = memory
        self.gpus = gpus
        self.ports = ports
        """``{(node, port): services that have it}``"""

    def copy(self) -> Space:
        return Space(self.cores[:], self.memory[:], self.gpus[:], self.ports.copy())

    def take(self, node: int, shape: Shape, count: int = 1) -> None:
        self.cores[node] -= shape.cores * count
        self.memory[node] -= shape.memory * count
        self.gpus[node] -= shape.gpus * count
        for port in shape.ports:
            self.ports[node, port] = self.ports.get((node, port), 0) + count

    def give(self, node: int, shape: Shape, count: int = 1) -> None:
        self.take(node, shape, -count)

    def has(self, node: int, shape: Shape) -> bool:
        """Say whether one more fits there; an exact fit fits."""
        return (
            shape.cores <= self.cores[node]
            and shape.memory <= self.memory[node]
            and shape.gpus <= self.gpus[node]
            and not (shape.ports and self.has_taken(node, shape))
        )

    def has_taken(self, node: int, shape: Shape) -> bool:
        """Say whether one of the shape's ports is taken there."""
        return any(self.ports.get((node, port), 0) > 0 for port in shape.ports)

    def has_any(self, shape: Shape) -> bool:
        """Say whether one more fits somewhere."""
        if shape.ports:
            return any(self.has(node, shape) for node in shape.nodes)
        cores, memory, gpus = shape.cores, shape.memory, shape.gpus
        rooms = zip(self.cores, self.memory, self.gpus, strict=True)
        if shape.is_anywhere:
            return any(cores <= a and memory <= b and gpus <= c for a, b, c in rooms)
        return any(cores <= self.cores[i] and memory <= self.memory[i] and gpus <= self.gpus[i] for i in shape.nodes)

    def lower(self, node: int, other: Space) -> None:
        """Have no more there than the other has."""
        self.cores[node] = min(self.cores[node], other.cores[node])
        self.memory[node] = min(self.memory[node], other.memory[node])
        self.gpus[node] = min(self.gpus[node], other.gpus[node])

    def at(self, node: int) -> Resources:
        return Resources(self.cores[node], self.memory[node], self.gpus[node])


def nothing(nodes: int) -> Space:
    return Space([0] * nodes, [0] * nodes, [0] * nodes, {})


class Machines:
    """The nodes that may be given work; remembers which of them will do for what."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes = tuple(sorted((node for node in nodes if node.is_enabled), key=lambda node: node.name))
        self.names = tuple(node.name for node in self.nodes)
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.capacity = Space(
            [node.capacity.microcores for node in self.nodes],
            [node.capacity.memory_bytes for node in self.nodes],
            [node.capacity.gpus for node in self.nodes],
            {},
        )
        self._everywhere = range(len(self.nodes))
        self._alone = [{name: 1} for name in self.names]
        self._shapes: dict[Hashable, Shape] = {}
        self._shared: dict[Any, Any] = {}

    def shape(self, demand: Demand) -> Shape:
        wanted = demand.resources
        key: Hashable = wanted.microcores, wanted.memory_bytes, wanted.gpus
        if (
            demand.labels
            or demand.nodes
            or demand.host_ports
            or demand.together is not Together.ANYWHERE
            or demand.avoids
        ):
            labels = frozenset(demand.labels.items())
            key = key, labels, demand.nodes, demand.host_ports, demand.together, demand.avoids
        found = self._shapes.get(key)
        if found is None:
            is_anywhere = not demand.labels and not demand.nodes and not demand.avoids
            nodes = self._everywhere if is_anywhere else self._matching(demand)
            found = self._shapes[key] = Shape(demand, nodes, is_anywhere=is_anywhere)
        return found

    @property
    def known(self) -> int:
        """How many shapes, and tuples of them, it remembers."""
        return len(self._shapes) + len(self._shared)

    def shared(self, value: T) -> T:
        """The one object for all that are equal: ten thousand jobs need the same few things, and the collector would look at each."""
        found: T = self._shared.setdefault(value, value)
        return found

    def counts(self, placed: Iterable[tuple[str, int]]) -> Counts:
        """From (process, node's number) to names and how many; what is one service on one node is the same object for all."""
        counts: dict[str, Mapping[str, int]] = {}
        own: dict[str, dict[str, int]] = {}
        for process, node in placed:
            if process not in counts:
                counts[process] = self._alone[node]
                continue
            if process not in own:
                counts[process] = own[process] = {**counts[process]}
            name = self.names[node]
            own[process][name] = own[process].get(name, 0) + 1
        return counts

    def held(self, demands: Iterable[Demand], counts: Counts) -> Iterator[tuple[int, Shape, int]]:
        """What these services take on nodes that may be given work; processes that are not demanded take nothing."""
        for demand in demands:
            nodes = counts.get(demand.process)
            if nodes:
                shape = self.shape(demand)
                for name, count in nodes.items():
                    number = self.numbers.get(name)
                    if number is not None and count:
                        yield number, shape, count

    def free(self, space: Space) -> dict[str, Resources]:
        """In names and amounts, as people read it."""
        return {name: space.at(number) for number, name in enumerate(self.names)}

    def _matching(self, demand: Demand) -> tuple[int, ...]:
        return tuple(
            number
            for number, node in enumerate(self.nodes)
            if (not demand.nodes or node.name in demand.nodes)
            and node.name not in demand.avoids
            and demand.labels.items() <= node.labels.items()
        )


def total(counts: Counts, process: str) -> int:
    """Services of a process on all nodes."""
    return sum(counts.get(process, {}).values())
