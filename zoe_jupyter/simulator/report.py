"""What came of a simulation, as people and programs read it: a table, JSON, timelines in CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoe_jupyter.model.units import format_duration
from zoe_jupyter.simulator.outcome import Outcome, summary

DIGITS = 6
"""After the point; what the rounding of floating-point sums left behind is not told."""


def as_json(outcomes: Mapping[str, Outcome]) -> str:
    """One object, keyed by policy."""
    return json.dumps({name: _rounded(summary(outcome)) for name, outcome in outcomes.items()})


def as_table(outcomes: Mapping[str, Outcome]) -> str:
    """A column for each policy."""
    columns = [_column(outcome) for outcome in outcomes.values()]
    width = max(len(title) for title in columns[0])
    head = _line("", list(outcomes), width)
    return "\n".join([head, *(_line(title, [column[title] for column in columns], width) for title in columns[0])])


def save_timelines(outcomes: Mapping[str, Outcome], path: Path) -> None:
    """When each started and ended: of one policy in that file, of several in one each, with its name before the ending."""
    for name, outcome in outcomes.items():
        own = path.with_name(f"{path.stem}-{name.replace(':', '-')}{path.suffix}")
        with (path if len(outcomes) == 1 else own).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("id", "started_s", "ended_s"))
            writer.writerows(_timeline(outcome))


def _timeline(outcome: Outcome) -> Iterator[tuple[str, float, float]]:
    for one in outcome.finished:
        yield one.application.id, round(one.started_s, DIGITS), round(one.ended_s, DIGITS)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return value


def _column(outcome: Outcome) -> dict[str, str]:
    told = summary(outcome)
    times = {
        f"{title}, {statistic}": format_duration(told[measure][statistic])
        for title, measure in (("turnaround", "turnaround_s"), ("waiting", "waiting_s"))
        for statistic in ("mean", "p50", "p95")
    }
    slowdown = {f"slowdown, {statistic}": f"{told['slowdown'][statistic]:.2f}" for statistic in ("mean", "p50", "p95")}
    return {
        **times,
        **slowdown,
        "cores allocated": f"{100 * told['allocated']['cores']:.1f} %",
        "memory allocated": f"{100 * told['allocated']['memory']:.1f} %",
        "all done after": format_duration(told["makespan_s"]),
        "elastic services reclaimed": f"{told['reclaimed']}",
        "applications preempted": f"{told['preempted']}",
        "applications done": f"{len(outcome.finished)}",
        "applications that never fit": f"{len(told['never_fits'])}",
    }


def _line(title: str, values: Sequence[str], width: int) -> str:
    return f"{title:{width}}" + "".join(f"{value:>14}" for value in values)
