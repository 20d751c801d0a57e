"""From "so many workers in all" to elastic counts."""

from __future__ import annotations

from collections.abc import Mapping

from zoe_jupyter.model.application import Application, Process
from zoe_jupyter.model.errors import InvalidDescription, Problem

MOST_COUNTS = 100


def scalable(application: Application) -> tuple[Process, ...]:
    """The processes whose number of services may change."""
    return tuple(process for process in application.processes if process.elastic_limit > 0)


def elastic_counts(application: Application, counts: Mapping[str, int]) -> dict[str, int]:
    """``{full process name: elastic services}`` from totals by short, full or (when there is one to scale) empty name.

    Raises InvalidDescription that names what can be scaled and how far.
    """
    if len(counts) > MOST_COUNTS:
        raise InvalidDescription([Problem(f"at most {MOST_COUNTS} processes are scaled at once", "counts")])
    problems: list[Problem] = []
    wanted: dict[str, int] = {}
    for name, total in counts.items():
        matches = [p for p in scalable(application) if name in (p.name, p.name.partition(".")[2], "")]
        if len(matches) != 1:
            options = ", ".join(p.name for p in scalable(application)) or "none"
            problems.append(
                Problem(f"{name[:40] or 'it'} is not one process that can be scaled; these are: {options}", "counts")
            )
            continue
        process = matches[0]
        most = process.core + process.elastic_limit
        if isinstance(total, bool) or not isinstance(total, int) or not process.core <= total <= most:
            problems.append(
                Problem(
                    f"{process.name} can have {process.core} to {most} services, not {str(total)[:40]}",
                    f"counts.{process.name}",
                )
            )
            continue
        wanted[process.name] = total - process.core
    if not counts:
        problems.append(Problem('say how many services, such as {"count": 4}', "counts"))
    if problems:
        raise InvalidDescription(problems)
    return wanted
