"""What is simulated: applications that arrive, and what each of them wants."""

from __future__ import annotations

from dataclasses import dataclass

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.snapshot import Demand

CORE, ELASTIC = "app.core", "app.elastic"
"""The processes of an application that was made by ``two_kinds``."""
PRIORITIES = {"interactive": 200, "batch": 100, "filler": 50}


@dataclass(frozen=True, slots=True)
class Application:
    """Its work is done once the integral of (core up + elastic running) / (core + elastic) is ``run_s``."""

    id: str
    submit_s: float
    run_s: float
    demands: tuple[Demand, ...]
    owner: str = ""
    priority: int = PRIORITIES["batch"]
    estimate_s: float | None = None
    """What the scheduler believes ``run_s`` to be; None: it knows."""

    @property
    def core(self) -> int:
        """Core services in all."""
        return sum(demand.core for demand in self.demands)

    @property
    def services(self) -> int:
        """All services that it wants."""
        return sum(demand.core + demand.elastic for demand in self.demands)


def two_kinds(
    core: int, of_core: Resources, elastic: int = 0, of_elastic: Resources | None = None
) -> tuple[Demand, ...]:
    """What an application wants whose core services are alike, and its elastic ones."""
    needed = Demand(CORE, of_core, core=core, elastic=0)
    return (needed, Demand(ELASTIC, of_elastic or of_core, core=0, elastic=elastic)) if elastic else (needed,)
