"""From whom room is taken back for a core: elastic services first, whole executions of a lower class where the admin allows it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heapreplace

from zoe_jupyter.scheduler.admission import Amount, Ledger
from zoe_jupyter.scheduler.elastic import Share
from zoe_jupyter.scheduler.memo import Entry, Holding
from zoe_jupyter.scheduler.placement import Taken, allowed, fits, free_share, with_mates
from zoe_jupyter.scheduler.room import Room
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job
from zoe_jupyter.scheduler.space import Machines, Shape, Space


class _Held:
    """Elastic services of one process on one node."""

    __slots__ = ("count", "process", "shape", "share")

    def __init__(self, share: Share, process: str, shape: Shape, count: int) -> None:
        self.share = share
        self.process = process
        self.shape = shape
        self.count = count


class Holders:
    """Who holds elastic services, and what there would be without them."""

    def __init__(self, shares: Sequence[Share], room: Room, *, reclaims: bool) -> None:
        """``shares`` in the order in which they are spared among equals; ``reclaims`` False: none gives way to anybody."""
        self._room = room
        self._machines = room.machines
        self._shares = shares if reclaims else ()
        self._spaces: dict[int, Space] = {}
        self._full: dict[int, set[Shape]] = {}
        self._by_node: dict[int, list[_Held]] | None = None

    @property
    def has_any(self) -> bool:
        return bool(self._shares)

    def space(self, number: int) -> Space:
        """What is free once all has left that is on its way out, and every elastic service of this class or a lower one."""
        found = self._spaces.get(number)
        if found is None:
            found = self._spaces[number] = self._room.follow(self._room.later.copy())
            for share in self._shares:
                if share.job.priority <= number:
                    for node, shape, count in self._machines.held(share.job.demands, share.held):
                        found.give(node, shape, count)
        return found

    def make_room(self, entry: Entry, number: int) -> Taken | None:
        """Shrink as few elastic services as it takes; says where the needs will go, or None, shrinking nothing."""
        space = self.space(number)
        if any(self._is_full(shape, number, space) for _, shape, _ in entry.needs):
            return None
        taken = _cheapest(entry, self._machines, self._room.later, space) or fits(
            entry.needs, self._machines, space, entry.mates
        )
        if taken is None:
            return None
        for node in sorted({node for _, _, node in taken}):
            self._clear(node, [shape for _, shape, there in taken if there == node], number, entry.job.id)
        return taken

    def take_back(self, share: Share, process: str, node: int, *, shape: Shape, for_whom: ExecutionId) -> None:
        """Shrink one service, and count on its room."""
        share.take_back(process, self._machines.names[node])
        share.shrunk_for = for_whom
        self._room.expect(node, shape)
        for number, space in self._spaces.items():
            if share.job.priority > number:
                space.give(node, shape)

    def preempt(self, entry: Entry, number: int, candidates: Iterable[Entry]) -> list[Entry]:
        """Take back whole executions of lower classes so that the needs fit, with elastic services of others; count on their room.

        As few as it takes: of the lowest class first, and of those the newest. None where that does not help.
        """
        left, chosen = self.space(number).copy(), list[Entry]()
        lower = [each for each in candidates if each.job.priority < entry.job.priority]
        lower.sort(key=lambda each: (-each.job.priority, each.job.started_at or each.job.queued_at, each.job.id))
        while lower and not self._fits(entry, left):
            chosen.append(lower.pop())
            self._give(left, chosen[-1], 1)
        if not self._fits(entry, left):
            return []
        for each in chosen[:]:
            self._give(left, each, -1)
            if self._fits(entry, left):
                chosen.remove(each)
            else:
                self._give(left, each, 1)
        for each in chosen:
            self._expect_all(each)
        return chosen

    def _fits(self, entry: Entry, space: Space) -> bool:
        return fits(entry.needs, self._machines, space, entry.mates) is not None

    def _give(self, space: Space, entry: Entry, sign: int) -> None:
        """What its end adds to a space from which elastic services that give way are gone already."""
        for node, shape, count in self._fixed(entry):
            space.give(node, shape, sign * count)

    def _fixed(self, entry: Entry) -> list[Holding]:
        job = entry.job
        kept = (job.core,) if self._shares else (job.core, job.elastic)
        return [each for counts in kept for each in self._machines.held(job.demands, counts)]

    def call_back(self, job: Job, ledger: Ledger, excess: Amount) -> None:
        """Shrink elastic services of those of the group who have borrowed, until so much is given back; none, where they are not enough."""
        rest = [*excess]
        borrowed = {share.job.owner: [*ledger.borrowed(share.job.owner)] for share in self._shares}
        chosen: list[_Held] = []
        nodes: list[int] = []
        for node, held in self._of_group(job):
            for _ in range(held.count):
                amount = (0, held.shape.cores, held.shape.memory, held.shape.gpus)
                of_owner = borrowed[held.share.job.owner]
                if any(least > 0 and own > 0 and one for least, own, one in zip(rest, of_owner, amount, strict=True)):
                    rest = [least - one for least, one in zip(rest, amount, strict=True)]
                    borrowed[held.share.job.owner] = [own - one for own, one in zip(of_owner, amount, strict=True)]
                    chosen.append(held)
                    nodes.append(node)
        if all(least <= 0 for least in rest):
            for node, held in zip(nodes, chosen, strict=True):
                held.count -= 1
                self.take_back(held.share, held.process, node, shape=held.shape, for_whom=job.id)
                ledger.expect(job, (0, held.shape.cores, held.shape.memory, held.shape.gpus))

    def _of_group(self, job: Job) -> list[tuple[int, _Held]]:
        """Elastic services of others of its group; the lowest class first, then of whom somebody holds most."""
        found = [(node, held) for node in range(len(self._machines.nodes)) for held in self._on(node)]
        found = [
            each for each in found if each[1].share.job.group == job.group and each[1].share.job.owner != job.owner
        ]
        return sorted(found, key=lambda each: (each[1].share.job.priority, -each[1].share.level))

    def _expect_all(self, entry: Entry) -> None:
        for node, shape, count in self._fixed(entry):
            self._room.expect(node, shape, count)
            for space in self._spaces.values():
                space.give(node, shape, count)
        for share in self._shares:
            if share.job is entry.job:
                for node, shape, count in self._machines.held(entry.job.demands, share.held):
                    self._room.expect(node, shape, count)
                    for number, space in self._spaces.items():
                        if entry.job.priority > number:
                            space.give(node, shape, count)
                share.held, share.count = {}, 0
                self._by_node = None

    def _is_full(self, shape: Shape, number: int, space: Space) -> bool:
        full = self._full.setdefault(number, set())
        if shape not in full and not space.has_any(shape):
            full.add(shape)
        return shape in full

    def _clear(self, node: int, shapes: Sequence[Shape], number: int, for_whom: ExecutionId) -> None:
        """Make room for these on one node."""
        lack = _Lack(self._room.later, node, shapes)
        chosen: list[_Held] = []
        queue = [(*_spared(held, place), held) for place, held in enumerate(self._on(node), 1) if held.count]
        queue = [each for each in queue if each[-1].share.job.priority <= number]
        levels = {id(each[-1].share): each[-1].share.level for each in queue}
        left = {id(each[-1]): each[-1].count for each in queue}
        heapify(queue)
        while lack.is_there and queue:
            held = queue[0][-1]
            if lack.is_lessened_by(held.shape):
                chosen.append(held)
                lack.fill(held.shape)
                levels[id(held.share)] -= 1 / held.share.weight
                left[id(held)] -= 1
            if left[id(held)] and lack.is_lessened_by(held.shape):
                priority, _, place, _ = queue[0]
                heapreplace(queue, (priority, -levels[id(held.share)], place, held))
            else:
                heappop(queue)
        for held in _needed(chosen, lack):
            held.count -= 1
            self.take_back(held.share, held.process, node, shape=held.shape, for_whom=for_whom)

    def _on(self, node: int) -> list[_Held]:
        if self._by_node is None:
            self._by_node = {}
            for share in self._shares:
                for demand in share.job.demands:
                    shape = self._machines.shape(demand)
                    for name, count in share.held.get(demand.process, {}).items():
                        number = self._machines.numbers.get(name)
                        if number is not None:
                            self._by_node.setdefault(number, []).append(_Held(share, demand.process, shape, count))
        return self._by_node.get(node, [])


class _Lack:
    """What is missing on a node for some services to fit."""

    def __init__(self, space: Space, node: int, shapes: Sequence[Shape]) -> None:
        self.cores = sum(shape.cores for shape in shapes) - space.cores[node]
        self.memory = sum(shape.memory for shape in shapes) - space.memory[node]
        self.gpus = sum(shape.gpus for shape in shapes) - space.gpus[node]
        ports = {port for shape in shapes for port in shape.ports}
        self.ports = {port: space.ports.get((node, port), 0) for port in ports}

    @property
    def is_there(self) -> bool:
        return self.cores > 0 or self.memory > 0 or self.gpus > 0 or any(count > 0 for count in self.ports.values())

    def is_lessened_by(self, shape: Shape) -> bool:
        return bool(
            (self.cores > 0 and shape.cores)
            or (self.memory > 0 and shape.memory)
            or (self.gpus > 0 and shape.gpus)
            or any(self.ports.get(port, 0) > 0 for port in shape.ports)
        )

    def fill(self, shape: Shape, count: int = 1) -> None:
        self.cores -= shape.cores * count
        self.memory -= shape.memory * count
        self.gpus -= shape.gpus * count
        for port in shape.ports:
            if port in self.ports:
                self.ports[port] -= count


def _cheapest(entry: Entry, machines: Machines, later: Space, space: Space) -> Taken | None:
    """Where the needs take back least: first where nothing has to leave, then where the smallest part of the node has to."""
    now, then, capacity = later.copy(), space.copy(), machines.capacity
    taken: Taken = []
    for process, shape, count in entry.needs:
        for _ in range(count):
            mates = () if shape.is_plain else with_mates(entry.mates, taken, process)
            found = [node for node in allowed(shape, mates) if then.has(node, shape)]
            found = [node for node in found if now.has(node, shape)] or found
            if not found:
                return None
            node = min(
                found, key=lambda node: (_part(now, capacity, node, shape), -free_share(then, capacity, node), node)
            )
            now.take(node, shape)
            then.take(node, shape)
            taken.append((process, shape, node))
    return taken


def _part(space: Space, capacity: Space, node: int, shape: Shape) -> float:
    """How much of a node has to leave before one more fits; what a node has none of, nobody holds there."""
    lacks = (
        (shape.cores - space.cores[node], capacity.cores[node]),
        (shape.memory - space.memory[node], capacity.memory[node]),
        (shape.gpus - space.gpus[node], capacity.gpus[node]),
    )
    return max(lack / whole if lack > 0 and whole else 0.0 for lack, whole in lacks)


def _spared(held: _Held, place: int) -> tuple[int, float, int]:
    """Of the lowest class first; then of whom somebody holds most for its weight; then of the last."""
    return held.share.job.priority, -held.share.level, -place


def _needed(chosen: Sequence[_Held], lack: _Lack) -> list[_Held]:
    """Of these, only those without whom there would be a lack."""
    kept = []
    for held in reversed(chosen):
        lack.fill(held.shape, -1)
        if lack.is_there:
            lack.fill(held.shape)
            kept.append(held)
    return kept
