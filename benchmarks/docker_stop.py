"""The end of an execution of ten containers on Docker, until nothing of it is left, over a parallel ``docker stop`` and ``rm``."""

from __future__ import annotations

from benchmarks.containers import ByHand, left, sleeper, zoe
from benchmarks.house import Zoe, in_parallel, taken
from benchmarks.running import Effort, Report, Taken, compare

SERVICES = 10
GRACE_S = 10


def measure(effort: Effort) -> Report:
    """``seconds``: the longest that it took; ``left``: what the engine still had then."""
    report = Report()
    with zoe() as house:
        counts: list[int] = []
        seconds: list[float] = []
        compare(report, ("zoe", "by_hand"), (lambda: _through_zoe(house, counts, seconds), _by_hand), effort=effort)
        report.figures |= {"seconds": round(max(seconds), 3), "left": max(counts)}
    return report


def _through_zoe(house: Zoe, counts: list[int], seconds: list[float]) -> Taken:
    started = house.start("sleepers", {"count": SERVICES})
    found = taken(lambda: house.stop(started))
    counts.append(left(house.deployment))
    seconds.append(found.wall_s)
    return found


def _by_hand() -> Taken:
    hand = ByHand()
    network = hand.network()
    in_parallel(lambda _: hand.run(sleeper(), {}, network), range(SERVICES))
    return taken(lambda: hand.stop(GRACE_S))
