"""All that a decision may look at: nodes, and what each execution holds and wants, in counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from zoe_jupyter.model.quota import Limit, Quota
from zoe_jupyter.model.resources import Node, Resources

__all__ = [
    "Counts",
    "Demand",
    "ExecutionId",
    "Job",
    "Limit",
    "Quota",
    "Quotas",
    "Reservation",
    "Rules",
    "Snapshot",
    "Strategy",
    "Together",
]

ExecutionId = str
Counts = Mapping[str, Mapping[str, int]]
"""``{full process name: {node: count}}``"""


class Together(str, Enum):
    """How services of one process lie to each other; a wish for ``near``, a must for ``apart``."""

    ANYWHERE = "anywhere"
    NEAR = "near"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Demand:
    """What one process of an execution wants in all, what it holds included."""

    process: str
    resources: Resources
    core: int
    elastic: int
    labels: Mapping[str, str] = field(default_factory=dict)
    """A node must have all of these; the GPU's type is the label ``gpu``."""
    nodes: frozenset[str] = frozenset()
    """Only these nodes will do (a volume that is there only); empty: any."""
    host_ports: frozenset[int] = frozenset()
    """Ports of the node that each service takes for itself: never two of them on one node."""
    together: Together = Together.ANYWHERE
    avoids: frozenset[str] = frozenset()
    """Nodes that would do and close too soon for it (``windows.py``)."""


@dataclass(frozen=True, slots=True)
class Job:
    """An execution as the scheduler sees it."""

    id: ExecutionId
    owner: str
    demands: tuple[Demand, ...]
    queued_at: float
    """Epoch seconds."""
    priority: int = 100
    """Of its class; the higher goes first, whatever the policy: interactive 200, batch 100, filler 50."""
    group: str = ""
    """The quota group of its owner; empty: none."""
    weight: float = 1.0
    """Its part of what is left for elastic services, beside the others' weights."""
    run_s: float | None = None
    """How long it works with all that it wants, as somebody said or the site's history says; None: nobody knows."""
    is_assumed: bool = False
    """``run_s`` comes from the site's history: reasons and views say so."""
    started_at: float | None = None
    """Epoch seconds: when all its core was up in this try; None: not yet."""
    done_s: float = 0.0
    """How much of ``run_s`` was worked off until ``done_at``, as the integral of (core + elastic running) / (core + elastic wanted)."""
    done_at: float = 0.0
    """Epoch seconds."""
    grow_after: float = 0.0
    """Epoch seconds: it was shrunk for another, and does not grow before this unless nobody waits."""
    may_be_preempted: bool = False
    """Whether a higher class may take all of it back; where the admin allows it."""
    failed_starts: int = 0
    """How often in a row its core did not become ready in time."""
    is_admitted: bool = False
    """Its core was given room already; it may only grow or shrink, or get back a core service that was lost."""
    core: Counts = field(default_factory=dict)
    """Core services it holds (any state in which the room is taken)."""
    elastic: Counts = field(default_factory=dict)
    """Elastic services it holds, those on their way out not included."""
    leaving: Counts = field(default_factory=dict)
    """Services on their way out: their room is still taken, and will come free."""
    not_before: float = 0.0
    """Epoch seconds; a start that failed, or a begin that somebody asked for, waits until then."""


@dataclass(frozen=True, slots=True)
class Quotas:
    """Limits by user and group. Elastic services count what they hold, not what they might. Users borrow of the others of their group
    (``Job.group``), groups of each other."""

    users: Mapping[str, Quota] = field(default_factory=dict)
    """A user without an entry has ``default``."""
    groups: Mapping[str, Quota] = field(default_factory=dict)
    """Of all users of the group together; a group without an entry has no limit."""
    default: Quota = Quota()
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The users of a group, also those without executions: what they leave unused is lent to the others, where the group has no limit of its
    own. Owners of the snapshot's jobs are members of their groups in any case."""


class Strategy(str, Enum):
    """On which nodes services go: where most is free, where least is, or anywhere (by a seed, so that it is repeatable)."""

    SPREAD = "spread"
    PACK = "pack"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the site chose, beside the policy."""

    placement: Strategy = Strategy.SPREAD
    reclaims: bool = True
    """Whether elastic services give way to cores of their own or a higher class."""
    protection_s: float = 60.0
    """So long after a shrink for another the victim does not grow, unless nobody waits. Never holds up a core."""
    reserve_after_s: float | None = 300.0
    """The first in the queue gets a reservation after so long a wait, or when it has aged; None: not before it has aged."""
    ageing_s: float | None = 86400.0
    """Who waits for so long goes before everybody of its class, and after as long again before the next class; None: never."""
    preempts: bool = False
    """Whether a higher class may take back whole executions of a lower one."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Room that is kept for the first in the queue: when its core will fit at the latest, and where. It only ever moves earlier."""

    job: ExecutionId
    at: float
    """Epoch seconds."""
    core: Counts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...]
    """All that live and want room: waiting and admitted."""
    is_reachable: bool = True
    """False: the backend does not answer; nothing is started, and the reason says so."""
    silence: str = ""
    """Why it does not answer, where that is known."""
    rules: Rules = Rules()
    quotas: Quotas = Quotas()
    usage: Mapping[str, float] = field(default_factory=dict)
    """What owners used lately of the dominant resource, decayed, in shares of the cluster times seconds."""
    group_usage: Mapping[str, float] = field(default_factory=dict)
    """The same of groups."""
    reservation: Reservation | None = None
    """The one of the plan before."""
    seed: int = 0
    """For what is placed at random."""
