"""The algorithms that ours is compared with, written from the descriptions of their authors (arXiv 1611.09528 and its simulator).

Each is a decider for the simulator. They place services on any machine that has room, at random by a seed, and never take anything back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from random import Random

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.plan import Plan, Start
from zoe_jupyter.scheduler.snapshot import Job, Snapshot
from zoe_jupyter.simulator.simulation import Decider
from zoe_jupyter.simulator.workload import CORE, ELASTIC, PRIORITIES

Key = Callable[[Job, float], float]
"""Who has the lowest goes first."""
INTERACTIVE_FACTOR = 0.001


def _fifo(job: Job, now: float) -> float:
    return job.queued_at


def _sjf(job: Job, now: float) -> float:
    return _adjusted(job, job.run_s or 0.0)


def _srpt(job: Job, now: float) -> float:
    return _adjusted(job, (job.run_s or 0.0) - _done_s(job, now))


def _hrrn(job: Job, now: float) -> float:
    """The highest ratio first; the factor divides what is turned round."""
    return -(1 + (now - job.queued_at) / max(job.run_s or 0.0, 1e-9)) / _adjusted(job, 1.0)


KEYS: dict[str, Key] = {"fifo": _fifo, "sjf": _sjf, "srpt": _srpt, "hrrn": _hrrn}


def _adjusted(job: Job, key: float) -> float:
    return key * INTERACTIVE_FACTOR if job.priority >= PRIORITIES["interactive"] else key


def _done_s(job: Job, now: float) -> float:
    if job.started_at is None:
        return job.done_s
    wanted = sum(demand.core + demand.elastic for demand in job.demands)
    held = sum(sum(nodes.values()) for counts in (job.core, job.elastic) for nodes in counts.values())
    return job.done_s + (now - job.done_at) * held / wanted


class _Free:
    """What is free on each machine."""

    def __init__(self, cores: list[int], memory: list[int]) -> None:
        self.cores = cores
        self.memory = memory

    def copy(self) -> _Free:
        return _Free(self.cores[:], self.memory[:])

    def product(self) -> int:
        """The authors' measure of what is left."""
        return sum(self.cores) * sum(self.memory)

    def place(self, resources: Resources, count: int, random: Random) -> list[int]:
        """Up to that many services, each on any machine with room; on which."""
        cores, memory = resources.microcores, resources.memory_bytes
        open_ = [i for i in range(len(self.cores)) if self.cores[i] >= cores and self.memory[i] >= memory]
        placed = []
        while open_ and len(placed) < count:
            at = int(random.random() * len(open_))
            i = open_[at]
            placed.append(i)
            self.cores[i] -= cores
            self.memory[i] -= memory
            if self.cores[i] < cores or self.memory[i] < memory:
                open_[at] = open_[-1]
                open_.pop()
        return placed


@dataclass
class _Entry:
    """A job in the queue, and what this decision gives it."""

    job: Job
    is_running: bool
    missing: int
    """Elastic services."""
    core: list[int] = field(default_factory=list)
    elastic: list[int] = field(default_factory=list)

    @property
    def core_count(self) -> int:
        return self.job.demands[0].core

    def place_core(self, free: _Free, random: Random) -> list[int] | None:
        """All or nothing; the room is taken either way."""
        placed = free.place(self.job.demands[0].resources, self.core_count, random)
        return placed if len(placed) == self.core_count else None

    def place_elastic(self, free: _Free, random: Random) -> list[int]:
        return free.place(self.job.demands[-1].resources, self.missing, random) if self.missing else []

    def give(self, core: Sequence[int], elastic: Sequence[int]) -> None:
        self.is_running = True
        self.core += core
        self.elastic += elastic
        self.missing -= len(elastic)


@dataclass(frozen=True, slots=True)
class _Line:
    """What the book says of one job."""

    job: Job
    missing: int
    held: tuple[tuple[int, int, int], ...]
    """(machine, microcores, bytes)"""


class _Book:
    """What is free, kept from one decision to the next: only jobs that changed are read again."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.free = _Free([], [])
        self._places: dict[str, int] = {}
        self._lines: dict[str, _Line] = {}

    def read(self, snapshot: Snapshot) -> list[_Entry]:
        """Those that want something."""
        if not self.names:
            self._open(snapshot)
        before, self._lines = self._lines, {}
        for job in snapshot.jobs:
            line = before.get(job.id)
            if line is None or line.job is not job:
                line = self._line(job)
                self._write(line, -1)
            else:
                del before[job.id]
            self._lines[job.id] = line
        for line in before.values():
            self._write(line, 1)
        lines = self._lines.values()
        return [_Entry(line.job, line.job.is_admitted, line.missing) for line in lines if line.missing or not line.held]

    def _open(self, snapshot: Snapshot) -> None:
        self.names = [node.name for node in snapshot.nodes]
        self._places = {name: i for i, name in enumerate(self.names)}
        self.free.cores = [node.capacity.microcores for node in snapshot.nodes]
        self.free.memory = [node.capacity.memory_bytes for node in snapshot.nodes]

    def _line(self, job: Job) -> _Line:
        wanted = sum(demand.elastic for demand in job.demands)
        held = [
            (self._places[node], demand.resources.microcores * count, demand.resources.memory_bytes * count)
            for demand in job.demands
            for counts in (job.core, job.elastic)
            for node, count in counts.get(demand.process, {}).items()
        ]
        return _Line(job, wanted - sum(job.elastic.get(ELASTIC, {}).values()), tuple(held))

    def _write(self, line: _Line, sign: int) -> None:
        for i, cores, memory in line.held:
            self.free.cores[i] += sign * cores
            self.free.memory[i] += sign * memory


Pass = Callable[[list[_Entry], _Free, Random], bool]
"""Gives room to some of the queue; whether anybody got some."""


def baseline(one_pass: Pass, key: Key, *, seed: int = 0, empty_passes: int = 1) -> Decider:
    """A decider that repeats its passes until so many in a row gave nothing."""
    random = Random(seed)
    book = _Book()

    def decider(snapshot: Snapshot, now: float) -> Plan:
        entries = book.read(snapshot)
        entries.sort(key=lambda entry: (key(entry.job, now), entry.job.id))
        free = book.free.copy()
        empty = 0
        while empty < empty_passes:
            queue = [entry for entry in entries if entry.missing or not entry.is_running]
            empty = 0 if one_pass(queue, free, random) else empty + 1
        return _plan(entries, book.names)

    return decider


def rigid(queue: list[_Entry], free: _Free, random: Random) -> bool:
    """The head only, with all that it wants or not at all."""
    is_any = False
    for entry in queue:
        trial = free.copy()
        core = entry.place_core(trial, random)
        elastic = entry.place_elastic(trial, random) if core is not None else []
        if core is None or len(elastic) < entry.missing:
            break
        _set(free, trial)
        entry.give(core, elastic)
        is_any = True
    return is_any


def malleable(queue: list[_Entry], free: _Free, random: Random) -> bool:
    """The head only, with its core and what fits of the rest; it remains the head until it has everything."""
    is_any = False
    for entry in queue:
        core: list[int] = []
        if not entry.is_running:
            trial = free.copy()
            placed = entry.place_core(trial, random)
            if placed is None:
                break
            core = placed
            _set(free, trial)
        elastic = entry.place_elastic(free, random)
        is_any = is_any or bool(core or elastic)
        entry.give(core, elastic)
        if entry.missing:
            break
    return is_any


def flexible(queue: list[_Entry], free: _Free, random: Random) -> bool:
    """The authors' cascade: elastic services of those admitted before give way to the next core, as long as more of the machines is used."""
    cores = free.copy()
    before = free.product()
    admitted: list[tuple[_Entry, list[int]]] = []
    chosen: list[list[int]] = []
    for entry in queue:
        with_core = cores.copy()
        core = [] if entry.is_running else entry.place_core(with_core, random)
        trial_admitted = admitted
        if core is not None:
            trial_admitted = [*admitted, (entry, core)]
        else:
            with_core = cores.copy()
        full = with_core.copy()
        elastic = [each.place_elastic(full, random) for each, _ in trial_admitted]
        if full.product() >= before:
            break
        before = full.product()
        cores, admitted, chosen = with_core, trial_admitted, elastic
    for (entry, core), elastic in zip(admitted, chosen, strict=True):
        entry.give(core, elastic)
        _take(free, entry, core, elastic)
    return any(core or elastic for (_, core), elastic in zip(admitted, chosen, strict=True))


def core_first(queue: list[_Entry], free: _Free, random: Random) -> bool:
    """First step of ours: every core in order before any elastic service, until one does not fit; then elastic ones in order."""
    return _pack_cores(queue, free, random, _stop) | _fill_in_order(queue, free, random)


def backfilling(queue: list[_Entry], free: _Free, random: Random) -> bool:
    """Second step: a core that does not fit holds nobody up."""
    return _pack_cores(queue, free, random, _go_on) | _fill_in_order(queue, free, random)


def equal_shares(queue: list[_Entry], free: _Free, random: Random) -> bool:
    """Third step: elastic services one by one, to who has fewest."""
    return _pack_cores(queue, free, random, _go_on) | _fill_evenly(queue, free, random)


def _stop() -> bool:
    return True


def _go_on() -> bool:
    return False


def _pack_cores(queue: Iterable[_Entry], free: _Free, random: Random, ends: Callable[[], bool]) -> bool:
    is_any = False
    for entry in queue:
        if entry.is_running:
            continue
        trial = free.copy()
        core = entry.place_core(trial, random)
        if core is not None:
            _set(free, trial)
            entry.give(core, ())
            is_any = True
        elif ends():
            break
    return is_any


def _fill_in_order(queue: Iterable[_Entry], free: _Free, random: Random) -> bool:
    is_any = False
    for entry in queue:
        if entry.is_running and entry.missing:
            elastic = entry.place_elastic(free, random)
            entry.give((), elastic)
            is_any = is_any or bool(elastic)
    return is_any


def _fill_evenly(queue: Iterable[_Entry], free: _Free, random: Random) -> bool:
    is_any = False
    growing = [[_held(entry), i, entry] for i, entry in enumerate(queue) if entry.is_running and entry.missing]
    heapify(growing)
    while growing:
        held, i, entry = growing[0]
        placed = free.place(entry.job.demands[-1].resources, 1, random)
        entry.give((), placed)
        is_any = is_any or bool(placed)
        if placed and entry.missing:
            heapreplace(growing, [held + 1, i, entry])
        else:
            heappop(growing)
    return is_any


def _held(entry: _Entry) -> int:
    return sum(demand.elastic for demand in entry.job.demands) - entry.missing


def _set(free: _Free, trial: _Free) -> None:
    free.cores, free.memory = trial.cores, trial.memory


def _take(free: _Free, entry: _Entry, core: Sequence[int], elastic: Sequence[int]) -> None:
    for placed, demand in ((core, entry.job.demands[0]), (elastic, entry.job.demands[-1])):
        for i in placed:
            free.cores[i] -= demand.resources.microcores
            free.memory[i] -= demand.resources.memory_bytes


def _plan(entries: Iterable[_Entry], names: Sequence[str]) -> Plan:
    given = [entry for entry in entries if entry.core or entry.elastic]
    starts = {
        entry.job.id: Start(_counts(CORE, entry.core, names), _counts(ELASTIC, entry.elastic, names)) for entry in given
    }
    running = {entry.job.id for entry in given if entry.job.is_admitted}
    return Plan(
        start={key: start for key, start in starts.items() if key not in running},
        grow={key: start for key, start in starts.items() if key in running},
    )


def _counts(process: str, placed: Iterable[int], names: Sequence[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, int] = {}
    for i in placed:
        counts[names[i]] = counts.get(names[i], 0) + 1
    return {process: counts} if counts else {}
