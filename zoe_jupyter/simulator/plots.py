"""Pictures of simulated workloads: a Vega-Lite description as plain JSON, and a PNG where Matplotlib is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoe_jupyter.model.errors import Unavailable
from zoe_jupyter.simulator.outcome import Finished, Outcome

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
POINTS = 400
"""Of each line; more are not seen."""
Point = tuple[float, float]
_Any = TypeVar("_Any")


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture: a line for each policy."""

    x: str
    y: str
    lines: Mapping[str, tuple[Point, ...]]
    is_over_time: bool = False
    """The value holds until the next point; else x spans magnitudes."""


def charts(outcomes: Mapping[str, Outcome]) -> tuple[Chart, ...]:
    """Which share of the applications had at most that turnaround, wait and slowdown; and what was allocated over time."""
    measures: tuple[tuple[str, Callable[[Finished], float]], ...] = (
        ("turnaround (s)", lambda one: one.turnaround_s),
        ("waiting (s)", lambda one: one.waiting_s),
        ("slowdown", lambda one: one.slowdown),
    )
    cumulative = [
        Chart(title, "share of applications", {name: _cumulative(map(of, o.finished)) for name, o in outcomes.items()})
        for title, of in measures
    ]
    allocated = [
        Chart("time (s)", f"allocated {what}", {name: _allocated(o, what) for name, o in outcomes.items()}, True)
        for what in ("cores", "memory")
    ]
    return (*cumulative, *allocated)


def vega(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """The charts as Vega-Lite, with the data in it."""
    return {
        "$schema": SCHEMA,
        "description": "Simulated policies, by jupyter zoe simulate",
        "vconcat": [_vega_chart(chart) for chart in charts(outcomes)],
    }


def save_png(outcomes: Mapping[str, Outcome], path: Path) -> None:
    """The charts as a PNG; raises Unavailable, with the way out, where Matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise Unavailable(
            "a PNG needs Matplotlib: pip install matplotlib, or take --vega FILE.json, which needs nothing"
        ) from None
    drawn = charts(outcomes)
    figure = Figure(figsize=(9, 3 * len(drawn)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, chart in zip(figure.subplots(len(drawn), 1), drawn, strict=True):
        for name, points in chart.lines.items():
            style = "steps-post" if chart.is_over_time else "steps-pre"
            axes.plot([x for x, _ in points], [y for _, y in points], label=name, drawstyle=style)
        if not chart.is_over_time:
            axes.set_xscale("symlog")
        axes.set(xlabel=chart.x, ylabel=chart.y, ylim=(0, 1.02))
        axes.legend()
    figure.savefig(path, format="png", dpi=100)


def _vega_chart(chart: Chart) -> dict[str, Any]:
    values = [{"x": x, "y": y, "policy": name} for name, points in chart.lines.items() for x, y in points]
    scale = {} if chart.is_over_time else {"scale": {"type": "symlog"}}
    return {
        "width": 640,
        "height": 180,
        "data": {"values": values},
        "mark": {"type": "line", "interpolate": "step-after" if chart.is_over_time else "step-before"},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": chart.x, **scale},
            "y": {"field": "y", "type": "quantitative", "title": chart.y, "scale": {"domain": [0, 1]}},
            "color": {"field": "policy", "type": "nominal", "title": "policy"},
        },
    }


def _cumulative(values: map[float]) -> tuple[Point, ...]:
    ordered = sorted(values)
    return _thinned([(round(value, 3), round((i + 1) / len(ordered), 4)) for i, value in enumerate(ordered)])


def _allocated(outcome: Outcome, what: str) -> tuple[Point, ...]:
    moments = outcome.allocated
    return _thinned([(round(one.at, 3), round(one.cores if what == "cores" else one.memory, 4)) for one in moments])


def _thinned(points: Sequence[_Any]) -> tuple[_Any, ...]:
    """Evenly fewer, with the first and the last."""
    if len(points) <= POINTS:
        return tuple(points)
    step = (len(points) - 1) / (POINTS - 1)
    return tuple(points[round(number * step)] for number in range(POINTS))
