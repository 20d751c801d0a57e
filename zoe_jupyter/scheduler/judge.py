"""Who gets a core, in order; for whom room is made; and why the others do not."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum

from zoe_jupyter.scheduler.admission import Denial, Ledger, Whose, needed, total
from zoe_jupyter.scheduler.elastic import Share
from zoe_jupyter.scheduler.memo import Entry, World
from zoe_jupyter.scheduler.placement import Taken, fits
from zoe_jupyter.scheduler.reclaim import Holders
from zoe_jupyter.scheduler.reservation import End, Guard, reserve
from zoe_jupyter.scheduler.room import Room
from zoe_jupyter.scheduler.snapshot import ExecutionId, Reservation, Snapshot
from zoe_jupyter.scheduler.work import core_only_end


class Cause(Enum):
    """What stood in the way."""

    NOT_YET = "not_yet"
    QUOTA = "quota"
    COMING = "coming"
    """Room is being made for it."""
    ROOM = "room"
    RESERVED = "reserved"


@dataclass(slots=True)
class Denied:
    entry: Entry
    cause: Cause
    number: int
    """The class in which it stands."""
    denial: Denial | None = None
    is_coming: bool = False
    """Whether elastic services give way in front of the limit."""
    kept: Taken | None = None
    """Where it will go."""


class Judge:
    """Hears one after the other; what it has decided stays."""

    def __init__(
        self, snapshot: Snapshot, now: float, world: World, shares: Sequence[Share], ledger: Ledger | None
    ) -> None:
        self.room = Room(world, snapshot.rules, snapshot.seed)
        self.granted: dict[ExecutionId, Taken] = {}
        self.denied: dict[ExecutionId, Denied] = {}
        """In their order."""
        self.preempted: list[ExecutionId] = []
        self.guard: Guard | None = None
        self.guarded: int = 0
        """The class of who has the reservation."""
        self.standing: Reservation | None = None
        """Of who has it already, and for whom room is being made now."""
        self._snapshot = snapshot
        rules = snapshot.rules
        self._patience_s = min(each for each in (rules.reserve_after_s, rules.ageing_s, math.inf) if each is not None)
        self._now = now
        self._world = world
        self._shares = shares
        self._ledger = ledger
        for share in shares:
            if share.shrink:
                self._give_back(share)
        self.holders = Holders(shares, self.room, ledger, reclaims=snapshot.rules.reclaims)
        self._hopeless: set[Hashable] = set()
        self._hopeless_behind: dict[Hashable, Cause] = {}
        self._hopeless_class: int | None = None
        self._is_anybody_blocked = False
        self._has_searched = False

    def hear(self, entry: Entry, number: int) -> None:
        """Grant it its core, make room for it, or deny it; ``number`` is the class in which it stands."""
        if number != self._hopeless_class:
            self._hopeless, self._hopeless_behind, self._hopeless_class = set(), {}, number
        denied = self._bar(entry, number) or self._find_room(entry, number)
        if denied is not None:
            self.denied[entry.job.id] = denied

    def is_firm(self, share: Share) -> bool:
        """Whether its elastic services would not give way to who has the reservation."""
        return not self._snapshot.rules.reclaims or share.job.priority > self.guarded

    def _bar(self, entry: Entry, number: int) -> Denied | None:
        """What stands before all questions of room; an execution in progress gets a lost service back whatever its quota says."""
        job = entry.job
        if job.is_admitted:
            return None
        if job.not_before > self._now:
            return Denied(entry, Cause.NOT_YET, number)
        if self._ledger is not None:
            denial = self._ledger.denial(job, needed(job.demands))
            if denial is not None:
                is_coming = self._stand_at(entry, number, denial, self._ledger)
                return Denied(entry, Cause.QUOTA, number, denial, is_coming=is_coming)
        return None

    def _find_room(self, entry: Entry, number: int) -> Denied | None:
        if self.guard is not None and number <= self.guarded and not self.guard.is_short(entry.job, self._now):
            return self._find_room_behind(entry, number, self.guard)
        if entry.key in self._hopeless:
            return Denied(entry, Cause.ROOM, number)
        taken = self.room.places.take_all(entry.needs, entry.mates)
        if taken is not None:
            self._grant(entry, taken)
            return None
        taken = self._make_room(entry, number) or self._search_room(entry, number) or self._preempt(entry, number)
        if taken is None:
            self._hopeless.add(entry.key)
            self._reserve(entry, number)
            return Denied(entry, Cause.ROOM, number)
        if self.room.is_free(taken):
            self.room.places.spend_all(taken)
            self._grant(entry, taken)
            return None
        self._keep_room(entry, taken)
        return Denied(entry, Cause.COMING, number, kept=taken)

    def _find_room_behind(self, entry: Entry, number: int, guard: Guard) -> Denied | None:
        """Only where the reservation needs nothing."""
        cause = self._hopeless_behind.get(entry.key)
        if cause is None:
            taken = guard.places.take_all(entry.needs, entry.mates)
            if taken is not None:
                guard.spend(taken)
                self._count(entry, taken)
                return None
            space = self.holders.space(number)
            is_kept = fits(entry.needs, self._world.machines, space, entry.mates) is not None
            cause = self._hopeless_behind[entry.key] = Cause.RESERVED if is_kept else Cause.ROOM
        return Denied(entry, cause, number)

    def _grant(self, entry: Entry, taken: Taken) -> None:
        if self.guard is not None:
            self.guard.follow(taken, entry.job, self._now)
        self._count(entry, taken)

    def _count(self, entry: Entry, taken: Taken) -> None:
        self.granted[entry.job.id] = taken
        self.room.take(taken)
        if self._ledger is not None and not entry.job.is_admitted:
            self._ledger.add(entry.job, needed(entry.job.demands))

    def _make_room(self, entry: Entry, number: int) -> Taken | None:
        is_any = self.room.is_room_coming or self.holders.has_any
        return self.holders.make_room(entry, number) if is_any else None

    def _search_room(self, entry: Entry, number: int) -> Taken | None:
        """For the first that waits: a way that only a longer look finds, so that it does not wait for ever."""
        if self._has_searched or len(entry.needs) < 2 or self._world.never(entry) is not None:
            return None
        self._has_searched = True
        return self.holders.search_room(entry, number)

    def _preempt(self, entry: Entry, number: int) -> Taken | None:
        if not self._snapshot.rules.preempts:
            return None
        candidates = [each for each in self._world.entries.values() if self._is_preemptible(each)]
        chosen = self.holders.preempt(entry, number, candidates) if candidates else []
        self.preempted += [each.job.id for each in chosen]
        return self.holders.make_room(entry, number) if chosen else None

    def _keep_room(self, entry: Entry, taken: Taken) -> None:
        self.room.keep(taken)
        self._stand_by_it(entry)
        if self.guard is not None:
            self.guard.follow(taken, entry.job, self._now)
        self._keep(entry)

    def _stand_by_it(self, entry: Entry) -> None:
        """Nobody behind it gets a reservation in this moment, with which it would stand before it in the next."""
        if self._is_holder(entry):
            self.standing = self._snapshot.reservation
        if self.standing or self._now - entry.job.queued_at >= self._patience_s:
            self._is_anybody_blocked = True

    def _is_holder(self, entry: Entry) -> bool:
        before = self._snapshot.reservation
        return before is not None and before.job == entry.job.id

    def _keep(self, entry: Entry) -> None:
        """Nobody takes in front of a limit what one will need that waits for room."""
        if self._ledger is not None and not entry.job.is_admitted:
            self._ledger.keep(entry.job, needed(entry.job.demands))

    def _is_preemptible(self, entry: Entry) -> bool:
        """Not who was just given what it had lost: it is one or the other."""
        job = entry.job
        is_open = job.id not in self.preempted and job.id not in self.granted
        return job.is_admitted and job.may_be_preempted and is_open

    def _reserve(self, entry: Entry, number: int) -> None:
        """For the first that waits for room, once it has waited long enough; whoever has the reservation keeps it."""
        job = entry.job
        if self.guard is not None or self._patience_s == math.inf:
            return
        is_holder = self._is_holder(entry)
        if (self._is_anybody_blocked and not is_holder) or self._world.never(entry) is not None:
            return
        self._is_anybody_blocked = True
        if is_holder or job.is_admitted or self._now - job.queued_at >= self._patience_s:
            self._keep(entry)
            base = self.holders.space(number)
            kept = self._snapshot.reservation if is_holder else None
            reservation, spare = reserve(entry, self.ends(entry, number), base, self._world.machines, kept, self._now)
            self.guard = Guard(reservation, spare, self.room, self._snapshot.rules, self._snapshot.seed)
            self.guarded = number

    def ends(self, entry: Entry | None, number: int) -> list[End]:
        """Of all that run or were just started, but for who asks; elastic services of higher classes than ``number`` stay until then. Nobody
        knows when those end that took longer already than was said."""
        found, granted, preempted = [], self.granted, self.preempted
        for key, each in self._world.entries.items():
            job, taken = each.job, granted.get(key)
            if (job.is_admitted or taken) and each is not entry and key not in preempted:
                kept = (job.core, job.elastic) if job.priority > number else (job.core,)
                end = core_only_end(job, self._now)
                found.append(End(end if end > self._now else math.inf, job, kept, taken))
        return found

    def _give_back(self, share: Share) -> None:
        """What nobody wants any more leaves in any case."""
        if self._ledger is not None:
            self._ledger.expect(share.job, total(share.job.demands, [share.shrink]))
        for process, nodes in share.shrink.items():
            for node, shape, count in self._world.machines.held(
                [each for each in share.job.demands if each.process == process], {process: nodes}
            ):
                self.room.expect(node, shape, count)

    def _stand_at(self, entry: Entry, number: int, denial: Denial, ledger: Ledger) -> bool:
        """Whoever asks for its own share, for whom elastic services give way, or who has waited long at any limit is not passed there; says
        whether room is made for it. Who can never start keeps nothing."""
        job, amount = entry.job, needed(entry.job.demands)
        if denial.is_for_good or self._world.never(entry) is not None:
            return False
        is_own = denial.whose is Whose.GROUP and ledger.is_own(job, amount)
        is_coming = self.holders.give_way(entry, number)
        if is_own or is_coming or self._now - job.queued_at >= self._patience_s:
            ledger.keep(job, amount, denial.whose)
        if self._now - job.queued_at >= (self._snapshot.rules.ageing_s or math.inf):
            ledger.bind(job, denial.whose)
        return is_coming
