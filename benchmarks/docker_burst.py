"""Fifty executions of one container each, submitted at once on Docker, over a plain parallel loop that makes the same networks."""

from __future__ import annotations

from benchmarks.containers import ByHand, sleeper, zoe
from benchmarks.house import Zoe, in_parallel, taken
from benchmarks.running import Effort, Report, Taken, compare

COUNT, QUICK_COUNT = 50, 4


def measure(effort: Effort) -> Report:
    """To the moment at which all run; taking them down again is not measured."""
    count = QUICK_COUNT if effort.is_quick else COUNT
    with zoe() as house:
        return compare(
            Report(), ("zoe", "by_hand"), (lambda: _through_zoe(house, count), lambda: _by_hand(count)), effort=effort
        )


def _through_zoe(house: Zoe, count: int) -> Taken:
    started: list[object] = []
    found = taken(lambda: started.extend(house.start("sleepers", {}, times=count)))
    house.stop(started)  # type: ignore[arg-type]
    return found


def _by_hand(count: int) -> Taken:
    hand = ByHand()
    try:
        return taken(lambda: in_parallel(lambda _: hand.run(sleeper(), {}, hand.network()), range(count)))
    finally:
        hand.stop(0)
