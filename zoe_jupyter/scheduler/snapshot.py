"""All that a decision may look at: nodes, and what each execution holds and wants, in counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoe_jupyter.model.resources import Node, Resources

ExecutionId = str
Counts = Mapping[str, Mapping[str, int]]
"""``{full process name: {node: count}}``"""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one process of an execution wants in all, what it holds included."""

    process: str
    resources: Resources
    core: int
    elastic: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """A node must have all of these."""


@dataclass(frozen=True, slots=True)
class Job:
    """An execution as the scheduler sees it."""

    id: ExecutionId
    owner: str
    demands: tuple[Demand, ...]
    queued_at: float
    """Epoch seconds."""
    priority: int = 100
    is_admitted: bool = False
    """Its core was given room already; it may only grow or shrink, or get back a core service that was lost."""
    core: Counts = field(default_factory=dict)
    """Core services it holds (any state in which the room is taken)."""
    elastic: Counts = field(default_factory=dict)
    """Elastic services it holds, those on their way out not included."""
    leaving: Counts = field(default_factory=dict)
    """Services on their way out: their room is still taken, and will come free."""
    not_before: float = 0.0
    """Epoch seconds; a start that failed waits until then."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...]
    """All that live and want room: waiting and admitted."""
    is_reachable: bool = True
    """False: the backend does not answer; nothing is started, and the reason says so."""
