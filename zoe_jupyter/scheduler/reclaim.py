"""From whom room is taken back for a core: elastic services first, whole executions of a lower class where the admin allows it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from heapq import heapify, heappop, heapreplace
from typing import Protocol

from zoe_jupyter.scheduler.admission import Amount, Denial, Ledger, Whose, needed, total
from zoe_jupyter.scheduler.elastic import Share
from zoe_jupyter.scheduler.memo import Entry, Holding
from zoe_jupyter.scheduler.placement import Taken, allowed, fits, free_share, lying
from zoe_jupyter.scheduler.room import Room
from zoe_jupyter.scheduler.searching import search
from zoe_jupyter.scheduler.snapshot import Counts, ExecutionId, Job
from zoe_jupyter.scheduler.space import Machines, Shape, Space


class _Held:
    """Elastic services of one process on one node."""

    __slots__ = ("count", "node", "process", "shape", "share")

    def __init__(self, share: Share, process: str, node: int, *, shape: Shape, count: int) -> None:
        self.share = share
        self.process = process
        self.node = node
        self.shape = shape
        self.count = count


_Queue = list[tuple[tuple[float, ...], float, int, _Held]]
"""The smallest goes first."""


class Holders:
    """Who holds elastic services, and what there would be without them."""

    def __init__(self, shares: Sequence[Share], room: Room, ledger: Ledger | None, *, reclaims: bool) -> None:
        """``shares`` in the order in which they are spared among equals; ``reclaims`` False: none gives way to anybody. ``ledger``: told of
        all that is taken back; None: nothing is limited."""
        self._room = room
        self._ledger = ledger
        self._share_of = {share.job.id: share for share in shares}
        self._machines = room.machines
        self._shares = shares if reclaims else ()
        self._classes = {share.job.priority for share in self._shares}
        self._spaces: dict[int, Space] = {}
        self._full: dict[int, set[Shape]] = {}
        self._by_node: dict[int, list[_Held]] | None = None
        self._by_owner: dict[str, list[_Held]] = {}
        self._by_group: dict[str, list[_Held]] = {}
        self._is_room: dict[tuple[Hashable, int], bool] = {}
        """Whether there was when it was first asked for."""
        self._in_vain: set[Hashable] = set()

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
        return self._make(self._where(entry, number), entry, number)

    def search_room(self, entry: Entry, number: int) -> Taken | None:
        """As ``make_room``, for one that is worth a longer look."""
        return self._make(search(entry.needs, self._machines, self.space(number), entry.mates), entry, number)

    def _make(self, taken: Taken | None, entry: Entry, number: int) -> Taken | None:
        for node in sorted({node for _, _, node in taken or ()}):
            self._clear(node, [shape for _, shape, there in taken or () if there == node], number, entry.job.id)
        return taken

    def _take_back(self, held: _Held, for_whom: ExecutionId) -> None:
        """Shrink one service, and count on its room."""
        held.share.take_back(held.process, self._machines.names[held.node])
        held.share.shrunk_for = for_whom
        self._room.expect(held.node, held.shape)
        if self._ledger is not None:
            self._ledger.expect(held.share.job, _amount(held.shape))
        for number, space in self._spaces.items():
            if held.share.job.priority > number:
                space.give(held.node, held.shape)
                self._full.pop(number, None)

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
        kept = (job.core,) if self._shares else (job.core, self._elastic(job))
        return [each for counts in kept for each in self._machines.held(job.demands, counts)]

    def _elastic(self, job: Job) -> Counts:
        """What it holds, without what was taken back already."""
        share = self._share_of.get(job.id)
        return share.held if share else {}

    def give_way(self, entry: Entry, number: int) -> bool:
        """Shrink elastic services that stand between a core and a limit; says whether what leaves will be enough.

        Nothing is shrunk where that would not help, nor where the core would find no room on the nodes.
        """
        key, ledger = (entry.job.owner, entry.job.group, number, entry.key), self._ledger
        if ledger is None or key in self._in_vain or not (self._shares or ledger.is_anything_leaving):
            return False
        lack = _OverLimit(ledger.once_left(), entry.job, number)
        chosen = self._in_front_of(lack, entry, number)
        if lack.is_there or not self._is_room_without(chosen, entry, number):
            for held in chosen:
                held.count += 1
            self._in_vain.add(key)
            return False
        for held in chosen:
            self._take_back(held, entry.job.id)
        return True

    def _in_front_of(self, lack: _OverLimit, entry: Entry, number: int) -> list[_Held]:
        """As few as it takes: of those that have borrowed first, then of the lowest class, then where the core lacks least."""
        found, is_moving = list[_Held](), True
        while lack.is_there and is_moving:
            beside = self._of_group if lack.is_about_others else self._of_owner
            queue: _Queue = [
                ((lack.rank(held), held.share.job.priority, self._lack_at(held.node, entry, number)),
                 -held.share.level, -place, held)
                for place, held in enumerate(beside(entry.job), 1)
                if held.count
            ]  # fmt: skip
            more = _choose(queue, lack)
            found, is_moving = found + more, bool(more)
        return _needed(found, lack)

    def _lack_at(self, node: int, entry: Entry, number: int) -> float:
        """Which part of a node has to leave for its largest service; infinity: it never fits there."""
        if not entry.needs:
            return 0.0
        _, shape, _ = entry.needs[0]
        if not shape.may_be_on(node) or not self.space(number).has(node, shape):
            return math.inf
        return _part(self._room.later, self._machines.capacity, node, shape)

    def _where(self, entry: Entry, number: int) -> Taken | None:
        lower = sorted(each for each in self._classes if each < number)
        spaces = [self._room.later, *map(self.space, lower), self.space(number)]
        return _cheapest(entry, self._machines, spaces) or fits(entry.needs, self._machines, spaces[-1], entry.mates)

    def _is_room_without(self, chosen: Sequence[_Held], entry: Entry, number: int) -> bool:
        higher = [held for held in chosen if held.share.job.priority > number]
        if higher:
            space = self.space(number).copy()
            for held in higher:
                space.give(held.node, held.shape)
            return self._fits(entry, space)
        if (entry.key, number) not in self._is_room:
            self._is_room[entry.key, number] = self._fits(entry, self.space(number))
        return self._is_room[entry.key, number]

    def _of_owner(self, job: Job) -> Sequence[_Held]:
        self._sort()
        return self._by_owner.get(job.owner, ())

    def _of_group(self, job: Job) -> Sequence[_Held]:
        self._sort()
        return self._by_group.get(job.group, ())

    def _sort(self) -> None:
        if not self._by_owner:
            for node in range(len(self._machines.nodes)):
                for held in self._on(node):
                    self._by_owner.setdefault(held.share.job.owner, []).append(held)
                    self._by_group.setdefault(held.share.job.group, []).append(held)

    def _expect_all(self, entry: Entry) -> None:
        job, share = entry.job, self._share_of.get(entry.job.id)
        self._full = {}
        if self._ledger is not None:
            self._ledger.expect(job, (1, *total(job.demands, [job.core, self._elastic(job)])[1:]))
        for node, shape, count in self._fixed(entry):
            self._room.expect(node, shape, count)
            for space in self._spaces.values():
                space.give(node, shape, count)
        if share is not None and self._shares:
            for node, shape, count in self._machines.held(job.demands, share.held):
                self._room.expect(node, shape, count)
                for number, space in self._spaces.items():
                    if job.priority > number:
                        space.give(node, shape, count)
            share.held, share.count = {}, 0
            self._by_node, self._by_owner, self._by_group = None, {}, {}

    def _is_full(self, shape: Shape, number: int, space: Space) -> bool:
        full = self._full.setdefault(number, set())
        if shape not in full and not space.has_any(shape):
            full.add(shape)
        return shape in full

    def _clear(self, node: int, shapes: Sequence[Shape], number: int, for_whom: ExecutionId) -> None:
        """Make room for these on one node: of the lowest class first; then of whom somebody holds most for its weight; then of the last."""
        lack = _Lack(self._room.later, node, shapes)
        queue: _Queue = [
            ((held.share.job.priority,), -held.share.level, -place, held)
            for place, held in enumerate(self._on(node), 1)
            if held.count and held.share.job.priority <= number
        ]
        for held in _needed(_choose(queue, lack), lack):
            self._take_back(held, for_whom)

    def _on(self, node: int) -> list[_Held]:
        if self._by_node is None:
            self._by_node = {}
            for share in self._shares:
                for demand in share.job.demands:
                    shape = self._machines.shape(demand)
                    for name, count in share.held.get(demand.process, {}).items():
                        number = self._machines.numbers.get(name)
                        if number is not None:
                            self._by_node.setdefault(number, []).append(
                                _Held(share, demand.process, number, shape=shape, count=count)
                            )
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

    def is_lessened_by(self, held: _Held) -> bool:
        shape = held.shape
        return bool(
            (self.cores > 0 and shape.cores)
            or (self.memory > 0 and shape.memory)
            or (self.gpus > 0 and shape.gpus)
            or any(self.ports.get(port, 0) > 0 for port in shape.ports)
        )

    def fill(self, held: _Held, count: int = 1) -> None:
        shape = held.shape
        self.cores -= shape.cores * count
        self.memory -= shape.memory * count
        self.gpus -= shape.gpus * count
        for port in shape.ports:
            if port in self.ports:
                self.ports[port] -= count


class _OverLimit:
    """What stands between a core and a limit; whose elastic services give way there."""

    def __init__(self, later: Ledger, job: Job, number: int) -> None:
        """``later``: what will be held once all has left that is on its way out."""
        self._later = later
        self._job = job
        self._number = number
        self._amount = needed(job.demands)
        self._denial = later.denial(job, self._amount)

    @property
    def is_there(self) -> bool:
        return self._denial is not None

    @property
    def is_about_others(self) -> bool:
        """Whether it is a limit in front of which others may give way."""
        return self._denial is not None and self._denial.whose is Whose.GROUP

    def is_lessened_by(self, held: _Held) -> bool:
        denial = self._denial
        return denial is not None and bool(_amount(held.shape)[denial.resource]) and self._gives(held, denial)

    def fill(self, held: _Held, count: int = 1) -> None:
        a, b, c, d = _amount(held.shape)
        self._later.add(held.share.job, (a, -b * count, -c * count, -d * count))
        self._denial = self._later.denial(self._job, self._amount)

    def rank(self, held: _Held) -> int:
        """Whoever holds more than its share gives before those that do not."""
        other = held.share.job.owner
        is_borrowed = other != self._job.owner and any(amount > 0 for amount in self._later.borrowed(other))
        return 0 if is_borrowed else 1

    def _gives(self, held: _Held, denial: Denial) -> bool:
        """One's own, of one's class or a lower one; in front of a group's limit also those of others who have no share of their own, and of
        any class what others have borrowed of a share that is asked for."""
        other, is_lower = held.share.job, held.share.job.priority <= self._number
        if other.owner == self._job.owner:
            return is_lower
        if not self._later.has_share(other.owner, denial.resource):
            return is_lower
        is_borrowed = self._later.borrowed(other.owner)[denial.resource] > 0
        return is_borrowed and self._later.is_own(self._job, self._amount)


class _Missing(Protocol):
    @property
    def is_there(self) -> bool: ...

    def is_lessened_by(self, held: _Held) -> bool: ...

    def fill(self, held: _Held, count: int = 1) -> None: ...


def _choose(queue: _Queue, lack: _Missing) -> list[_Held]:
    """Of these in their order until nothing is missing; in a class one by one of whoever holds most. What is chosen is taken off their counts."""
    chosen: list[_Held] = []
    levels = {id(held.share): held.share.level for _, _, _, held in queue}
    heapify(queue)
    while lack.is_there and queue:
        first, _, place, held = queue[0]
        if lack.is_lessened_by(held):
            chosen.append(held)
            lack.fill(held)
            levels[id(held.share)] -= 1 / held.share.weight
            held.count -= 1
        if held.count and lack.is_lessened_by(held):
            heapreplace(queue, (first, -levels[id(held.share)], place, held))
        else:
            heappop(queue)
    return chosen


def _cheapest(entry: Entry, machines: Machines, spaces: Sequence[Space]) -> Taken | None:
    """Where nothing has to leave; else where the lowest class is enough; of those where the smallest part of the node has to.

    ``spaces``: what there will be, without the lowest class, and so on up to all that may be asked.
    """
    spaces, capacity, taken = [space.copy() for space in spaces], machines.capacity, list[tuple[str, Shape, int]]()
    now, then = spaces[0], spaces[-1]
    for process, shape, count in entry.needs:
        beside = lying(entry.mates, taken, process, shape)
        for _ in range(count):
            open_ = [node for node in allowed(shape, beside) if then.has(node, shape)]
            found = next(filter(None, ([node for node in open_ if each.has(node, shape)] for each in spaces)), None)
            if found is None:
                return None
            node = min(
                found, key=lambda node: (_part(now, capacity, node, shape), -free_share(then, capacity, node), node)
            )
            for space in spaces:
                space.take(node, shape)
            taken.append((process, shape, node))
            beside.add(node)
    return taken


def _part(space: Space, capacity: Space, node: int, shape: Shape) -> float:
    """How much of a node has to leave before one more fits; what a node has none of, nobody holds there."""
    lacks = (
        (shape.cores - space.cores[node], capacity.cores[node]),
        (shape.memory - space.memory[node], capacity.memory[node]),
        (shape.gpus - space.gpus[node], capacity.gpus[node]),
    )
    return max(lack / whole if lack > 0 and whole else 0.0 for lack, whole in lacks)


def _needed(chosen: Sequence[_Held], lack: _Missing) -> list[_Held]:
    """Of these, only those without whom there would be a lack; all, where there is one all the same."""
    kept = list[_Held]()
    for held in reversed(chosen):
        lack.fill(held, -1)
        if lack.is_there:
            lack.fill(held)
            kept.append(held)
        else:
            held.count += 1
    return kept


def _amount(shape: Shape) -> Amount:
    return 0, shape.cores, shape.memory, shape.gpus
