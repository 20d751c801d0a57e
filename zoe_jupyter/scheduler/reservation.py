"""Room that is kept for the first in the queue: when its core fits at the latest, and who may start in front of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from zoe_jupyter.scheduler.memo import Entry, Holding
from zoe_jupyter.scheduler.placement import Places, Taken, fits
from zoe_jupyter.scheduler.room import Room
from zoe_jupyter.scheduler.snapshot import Counts, Job, Reservation, Rules
from zoe_jupyter.scheduler.space import Machines, Space
from zoe_jupyter.scheduler.work import core_only_end


@dataclass(frozen=True, slots=True)
class End:
    """When an execution gives back what elastic services do not give back before."""

    at: float
    job: Job
    counts: tuple[Counts, ...] = ()
    taken: Taken | None = None
    """What it was given in this decision."""

    def holdings(self, machines: Machines) -> Iterator[Holding]:
        for counts in filter(None, self.counts):
            yield from machines.held(self.job.demands, counts)
        for _, shape, node in self.taken or ():
            yield node, shape, 1


class Guard:
    """Lets those behind the reservation start in front of it only where they do no harm."""

    def __init__(self, reservation: Reservation, spare: Space, room: Room, rules: Rules, seed: int) -> None:
        self.reservation = reservation
        self._spare = spare
        self._room = room
        tight = Space(room.free.cores[:], room.free.memory[:], room.free.gpus[:], _ports(room.free, spare))
        for node in range(len(room.machines.nodes)):
            tight.lower(node, spare)
        self.places = Places(room.machines, tight, rules.placement, seed)

    def is_short(self, job: Job, now: float) -> bool:
        """Say whether it would be over in time even if only its core worked."""
        return self.reservation.at < math.inf and core_only_end(job, now) <= self.reservation.at

    def spend(self, taken: Taken) -> None:
        """A long one was given room of ``places``."""
        self._room.places.spend_all(taken)
        for _, shape, node in taken:
            self._spare.take(node, shape)

    def follow(self, taken: Taken, job: Job, now: float) -> None:
        """A short one, or one of a higher class, was given room, or it is kept for it."""
        is_short = self.is_short(job, now)
        for _, shape, node in taken:
            self.places.lower(node, self._room.free)
            for port in shape.ports:
                self.places.space.ports[node, port] = 1
            if not is_short:
                self._spare.take(node, shape)
                self.places.lower(node, self._spare)


def reserve(
    entry: Entry, ends: Sequence[End], base: Space, machines: Machines, before: Reservation | None, now: float
) -> tuple[Reservation, Space]:
    """The reservation, and what else there will be at its time. ``base`` is what there is without elastic services that give way.

    ``before`` is the one of the same execution in the plan before: a later time than that is never told. Once its time has passed somebody
    took longer than was said: it has no nodes any more, else it would wait for them while all others are given away.
    """
    dated = sorted((each for each in ends if each.at < math.inf), key=lambda each: (each.at, each.job.id))
    at, taken = _earliest(entry, dated, base, machines, now)
    found = Reservation(entry.job.id, at, machines.counts((process, node) for process, _, node in taken))
    if before is not None and before.at <= at:
        holds = before.at > now and _is_possible(entry, before, machines)
        found = Reservation(entry.job.id, before.at, before.core if holds else {})
    return found, _spare(entry, found, [each for each in dated if each.at <= found.at], base, machines)


def _earliest(entry: Entry, ends: Sequence[End], base: Space, machines: Machines, now: float) -> tuple[float, Taken]:
    """After which end the needs fit: twice as many ends are tried each time, then the fewest of those are looked for."""
    enough = 1
    while enough < len(ends) and _fits_after(entry, ends[:enough], base, machines) is None:
        enough *= 2
    fewest, most = enough // 2, min(enough, len(ends))
    if _fits_after(entry, ends[:most], base, machines) is None:
        return math.inf, []
    while fewest < most:
        middle = (fewest + most) // 2
        if _fits_after(entry, ends[:middle], base, machines) is None:
            fewest = middle + 1
        else:
            most = middle
    at = ends[most - 1].at if most else now
    return at, _fits_after(entry, ends[:most], base, machines) or []


def _fits_after(entry: Entry, ends: Iterable[End], base: Space, machines: Machines) -> Taken | None:
    return fits(entry.needs, machines, _after(ends, base, machines), entry.mates)


def _after(ends: Iterable[End], base: Space, machines: Machines) -> Space:
    space = base.copy()
    for end in ends:
        for node, shape, count in end.holdings(machines):
            space.give(node, shape, count)
    return space


def _spare(entry: Entry, reservation: Reservation, ends: Iterable[End], base: Space, machines: Machines) -> Space:
    """Without nodes in the reservation nobody knows where there will be room first: nothing is to spare wherever the needs could go."""
    space = _after(ends, base, machines)
    if reservation.core:
        for node, shape, count in machines.held(entry.job.demands, reservation.core):
            space.take(node, shape, count)
        return space
    for node in {node for _, shape, _ in entry.needs for node in shape.nodes if machines.capacity.has(node, shape)}:
        space.cores[node] = space.memory[node] = space.gpus[node] = 0
    return space


def _ports(free: Space, spare: Space) -> dict[tuple[int, int], int]:
    """Those that are taken now, or will be by who has the reservation."""
    kept = {key: max(0, count) for key, count in spare.ports.items()}
    return {key: max(0, count) + kept.get(key, 0) for key, count in ({**kept, **free.ports}).items()}


def _is_possible(entry: Entry, reservation: Reservation, machines: Machines) -> bool:
    """Say whether all of its nodes are still there."""
    there = sum(count for _, _, count in machines.held(entry.job.demands, reservation.core))
    return there == sum(count for _, _, count in entry.needs)
