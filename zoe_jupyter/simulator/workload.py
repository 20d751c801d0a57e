"""What is simulated: applications that arrive, and what each of them wants."""

from __future__ import annotations

from dataclasses import dataclass

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.snapshot import Demand

CORE, ELASTIC = "app.core", "app.elastic"
"""The two processes of each application."""
PRIORITIES = {"interactive": 200, "batch": 100, "filler": 50}


@dataclass(frozen=True, slots=True)
class Application:
    """One row of a workload. Its work is done once the integral of (core up + elastic running) / (core + elastic) is ``run_s``."""

    id: str
    submit_s: float
    run_s: float
    core: int = 1
    core_resources: Resources = Resources()
    """Of each core service."""
    elastic: int = 0
    elastic_resources: Resources = Resources()
    """Of each elastic service."""
    owner: str = ""
    priority: int = PRIORITIES["batch"]
    estimate_s: float | None = None
    """What the scheduler believes ``run_s`` to be; None: it knows."""

    @property
    def services(self) -> int:
        return self.core + self.elastic

    @property
    def demands(self) -> tuple[Demand, ...]:
        core = Demand(CORE, self.core_resources, core=self.core, elastic=0)
        if not self.elastic:
            return (core,)
        return (core, Demand(ELASTIC, self.elastic_resources, core=0, elastic=self.elastic))
