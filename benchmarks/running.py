"""How a figure is taken: both sides in turns in one run, the median of the pairs, how sure that is, and CPU seconds beside wall time.

CPU seconds hardly move on a busy machine; wall time does. Believe a ratio of wall times only where that of CPU seconds agrees.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import comb
from typing import Any

import psutil

PAIRS, QUICK_PAIRS = 7, 1
SURE = 0.95


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure."""

    pairs: int = PAIRS
    is_quick: bool = False
    is_full: bool = False
    """As large as the README quotes it once, where that takes hours."""


@dataclass(slots=True)
class Report:
    """What a benchmark found: the figures that are quoted, and each run that they come from."""

    figures: dict[str, float] = field(default_factory=dict)
    runs: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Taken:
    """One run of one side."""

    wall_s: float
    cpu_s: float


Side = Callable[[], Taken]


def in_turns(names: Sequence[str], sides: Sequence[Callable[[], Any]], *, effort: Effort) -> list[list[Any]]:
    """Run the sides in turns, the first one first in even pairs and last in odd ones; one list of results for each pair."""
    pairs = []
    for number in range(effort.pairs):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        found = {}
        for index in order:
            found[index] = sides[index]()
            note(f"pair {number + 1} of {effort.pairs}: {names[index]}: {found[index]}")
        pairs.append([found[index] for index in range(len(sides))])
    return pairs


def compare(report: Report, names: tuple[str, str], sides: tuple[Side, Side], *, effort: Effort) -> Report:
    """Add ``ratio`` and ``cpu_ratio`` of the first side over the second, with their intervals and the medians of both."""
    pairs: list[list[Taken]] = in_turns(names, sides, effort=effort)
    add(report, "ratio", [one.wall_s / other.wall_s for one, other in pairs])
    add(report, "cpu_ratio", [one.cpu_s / other.cpu_s for one, other in pairs])
    for index, name in enumerate(names):
        report.figures[f"{name}_s"] = round(statistics.median(pair[index].wall_s for pair in pairs), 3)
        report.figures[f"{name}_cpu_s"] = round(statistics.median(pair[index].cpu_s for pair in pairs), 3)
    for number, pair in enumerate(pairs):
        report.runs.extend(
            {"pair": number, "side": name, "wall_s": round(taken.wall_s, 3), "cpu_s": round(taken.cpu_s, 3)}
            for name, taken in zip(names, pair, strict=True)
        )
    return report


def add(report: Report, name: str, values: Iterable[float], *, digits: int = 3) -> None:
    """Add the median of the values as a figure, and its interval as ``name_low`` and ``name_high``."""
    found = sorted(values)
    low, high = interval(found)
    report.figures |= {
        name: round(statistics.median(found), digits),
        f"{name}_low": round(low, digits),
        f"{name}_high": round(high, digits),
    }


def interval(ordered: Sequence[float]) -> tuple[float, float]:
    """The narrowest pair of order statistics that holds the median with 95 %; the extremes where there are fewer than six values."""
    count = len(ordered)
    chosen = 0
    for rank in range(count // 2):
        missed = 2 * sum(comb(count, below) for below in range(rank + 1)) / 2**count
        if 1 - missed < SURE:
            break
        chosen = rank
    return ordered[chosen], ordered[count - 1 - chosen]


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """What they have used so far, with those of their children that have ended."""
    used = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def cpu_percent(process: psutil.Process, seconds: float) -> float:
    """Its use of one core over that time."""
    before, began = cpu_seconds([process]), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_seconds([process]) - before) / (time.monotonic() - began)


def note(text: str) -> None:
    """Tell what goes on, on standard error: the last line of standard output is the result."""
    print(text, file=sys.stderr, flush=True)


def as_line(name: str, report: Report) -> str:
    return json.dumps({"benchmark": name, "figures": report.figures, "runs": report.runs})
