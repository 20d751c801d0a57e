"""From single simulations to the figures of `policies`, and to the tables that people read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

SIZE_BASED = ("sjf", "srpt", "hrrn")
BUSY = 0.9
ABLATION = ("rigid", "malleable", "flexible", "core_first", "backfilling", "equal_shares", "zoe_without_reclaim", "zoe")


@dataclass(frozen=True, slots=True)
class Run:
    """What one simulation found."""

    side: str
    """The algorithm."""
    mix: str
    load: float
    policy: str
    seed: int
    is_misjudged: bool
    applications: int
    removed: int
    """That no empty cluster could hold whole."""
    mean_s: float
    """Turnaround."""
    p95_s: float
    waiting_s: float
    interactive_waiting_s: float
    interactive_p95_s: float
    floor_s: float
    """The mean turnaround if nobody ever waited and everybody had everything."""
    cores: float
    """Mean share that was allocated."""
    missed: float
    """Share of time in which the first waiting core would have fit."""
    missed_any: float
    cpu_s: float

    def as_row(self) -> Mapping[str, Any]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


Of = Callable[[Run], float]


class Found:
    """Runs by algorithm and cell; a value of a cell is the mean over its seeds."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs: dict[tuple[str, str, float, str, bool], list[Run]] = defaultdict(list)
        for run in runs:
            self._runs[run.side, run.mix, run.load, run.policy, run.is_misjudged].append(run)

    def cells(self, side: str) -> list[tuple[str, float, str]]:
        """Mix, load and policy of all that the algorithm was run on, with estimates that are right."""
        return [key[1:4] for key in self._runs if key[0] == side and not key[4]]

    def value(self, side: str, cell: tuple[str, float, str], of: Of, *, is_misjudged: bool = False) -> float:
        return fmean(of(run) for run in self._runs[(side, *cell, is_misjudged)])

    def ratio(
        self, sides: tuple[str, str], cell: tuple[str, float, str], of: Of, *, is_misjudged: bool = False
    ) -> float:
        """Of the first algorithm over the second; 1 where neither has any."""
        ours, theirs = (self.value(side, cell, of, is_misjudged=is_misjudged) for side in sides)
        return ours / theirs if theirs else 1.0 if not ours else float("inf")


def figures(runs: Sequence[Run]) -> dict[str, float]:
    """What the issue sets limits to, the worst of each, and the same where no limit is set."""
    found = Found(runs)
    ours = [run for run in runs if run.side == "zoe" and not run.is_misjudged]
    cells = found.cells("zoe")
    told = {
        "worst_ratio": max(found.ratio(("zoe", "flexible"), cell, of) for cell in cells for of in (_mean, _p95)),
        "worst_mean_ratio": max(found.ratio(("zoe", "flexible"), cell, _mean) for cell in cells),
        "worst_p95_ratio": max(found.ratio(("zoe", "flexible"), cell, _p95) for cell in cells),
        **_at_busy(found),
        **_interactive(found),
        "missed_share": max(run.missed for run in ours),
        "missed_any_share": max(run.missed_any for run in ours),
        "removed": max(run.removed for run in ours),
    }
    return {name: round(value, 4) for name, value in told.items()}


def tables(runs: Sequence[Run]) -> str:
    """Mean turnarounds in seconds: by cell, and step by step at the busy load."""
    found = Found(runs)
    lines = ["mix load policy: mean (p95) turnaround in s of rigid, malleable, flexible, zoe; zoe over flexible"]
    for cell in found.cells("zoe"):
        sides = [
            f"{found.value(side, cell, _mean):.0f} ({found.value(side, cell, _p95):.0f})"
            for side in ("rigid", "malleable", "flexible", "zoe")
        ]
        ratios = [f"{found.ratio(('zoe', 'flexible'), cell, of):.3f}" for of in (_mean, _p95)]
        lines.append(" | ".join([f"{cell[0]} | {cell[1]} | {cell[2]}", *sides, *ratios]))
    lines.append(f"step by step at load {BUSY}: {', '.join(ABLATION)}")
    for cell in found.cells("core_first"):
        steps = [f"{found.value(side, cell, _mean):.0f}" for side in ABLATION]
        lines.append(" | ".join([f"{cell[0]} | {cell[2]}", *steps]))
    return "\n".join(lines)


def _at_busy(found: Found) -> dict[str, float]:
    told: dict[str, float] = {}
    for mix, suffix in (("elastic", ""), ("interactive", "_interactive")):
        fifo = (mix, BUSY, "fifo")
        others = [(mix, BUSY, policy) for policy in SIZE_BASED]
        told |= {
            f"fifo_ratio{suffix}": found.ratio(("zoe", "flexible"), fifo, _mean),
            f"fifo_rigid_ratio{suffix}": found.ratio(("zoe", "rigid"), fifo, _mean),
            f"others_ratio{suffix}": max(found.ratio(("zoe", "flexible"), cell, _mean) for cell in others),
            f"others_floor_ratio{suffix}": max(
                found.value("zoe", cell, _floor) / found.value("flexible", cell, _mean) for cell in others
            ),
            f"misjudged_ratio{suffix}": max(
                found.ratio(("zoe", "flexible"), cell, _mean, is_misjudged=True) for cell in others
            ),
        }
        told[f"misjudged_cost{suffix}"] = max(
            found.value("zoe", cell, _mean, is_misjudged=True) / found.value("zoe", cell, _mean) for cell in others
        )
    told["reclaim_cost"] = max(
        found.ratio(("zoe", "zoe_without_reclaim"), cell, _mean) for cell in found.cells("zoe_without_reclaim")
    )
    return told


def _interactive(found: Found) -> dict[str, float]:
    cells = found.cells("zoe_drain_30_s")
    return {
        "interactive_ratio": max(found.ratio(("zoe", "flexible"), cell, _interactive_wait) for cell in cells),
        "interactive_drain_p95_s": max(found.value("zoe_drain_30_s", cell, _interactive_p95) for cell in cells),
        "interactive_drain_ratio": max(
            found.ratio(("zoe_drain_30_s", "flexible"), cell, _interactive_wait) for cell in cells
        ),
    }


def _mean(run: Run) -> float:
    return run.mean_s


def _p95(run: Run) -> float:
    return run.p95_s


def _floor(run: Run) -> float:
    return run.floor_s


def _interactive_wait(run: Run) -> float:
    return run.interactive_waiting_s


def _interactive_p95(run: Run) -> float:
    return run.interactive_p95_s
