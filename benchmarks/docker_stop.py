"""The end of an execution of ten containers on Docker, until nothing of it is left, over a parallel ``docker stop`` and ``rm``."""

from __future__ import annotations

from benchmarks.containers import ByHand, image_with_volume, left, sleeper, volumes, zoe
from benchmarks.house import Zoe, in_parallel, taken
from benchmarks.running import Effort, Report, Taken, compare

SERVICES = 10
GRACE_S = 10


def measure(effort: Effort) -> Report:
    """``seconds``: the longest that it took; ``left``: what the engine still had then, of containers, networks and volumes."""
    report = Report()
    with zoe() as house, image_with_volume() as image:
        counts: list[int] = []
        seconds: list[float] = []
        sides = (lambda: _through_zoe(house, image, counts, seconds), lambda: _by_hand(image))
        compare(report, ("zoe", "by_hand"), sides, effort=effort)
        report.figures |= {"seconds": round(max(seconds), 3), "left": max(counts)}
    return report


def _through_zoe(house: Zoe, image: str, counts: list[int], seconds: list[float]) -> Taken:
    started = house.start("sleepers", {"count": SERVICES, "image": image})
    known = volumes(house.deployment)
    if len(known) != SERVICES:
        raise RuntimeError(f"each container was to have a volume: {known}")
    found = taken(lambda: house.stop(started))
    counts.append(left(house.deployment, known))
    seconds.append(found.wall_s)
    return found


def _by_hand(image: str) -> Taken:
    hand = ByHand()
    network = hand.network()
    in_parallel(lambda _: hand.run(sleeper(image), {}, network), range(SERVICES))
    return taken(lambda: hand.stop(GRACE_S))
