"""What happened: the input of ``step``. Every event about a service names the attempt it saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoe_jupyter.model.execution import Outcome, Reason

Placement = Mapping[str, Mapping[str, int]]
"""``{full process name: {node: count}}``"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The engine took a submitted execution into the queue."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The scheduler gave room to the whole core, and to some elastic services."""

    core: Placement
    elastic: Placement = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grown:
    """The scheduler gave room to more elastic services (or to core ones that an execution in progress lacks)."""

    core: Placement = field(default_factory=dict)
    elastic: Placement = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The scheduler wants room back: so many elastic services of each process and node, newest first."""

    elastic: Placement
    grow_after: float = 0.0
    """Epoch seconds: when it may grow again, where it gave room to another's core."""


@dataclass(frozen=True, slots=True)
class Preempted:
    """The scheduler wants all of its room back; it waits again."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class StopRequested:
    outcome: Outcome = Outcome.STOPPED
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class RestartRequested:
    pass


@dataclass(frozen=True, slots=True)
class SuspendRequested:
    pass


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    pass


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    """The user wants so many elastic services: ``{full process name: count}``."""

    elastic: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ServiceLaunched:
    """The backend confirmed that it runs this attempt (or adopted it), or knows by now from which image."""

    service: str
    attempt: int
    handle: Mapping[str, Any]
    host: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    image: str = ""


@dataclass(frozen=True, slots=True)
class ServiceReady:
    service: str
    attempt: int


@dataclass(frozen=True, slots=True)
class ServiceTroubled:
    """Something went wrong with a service, and it goes on all the same: the kernel killed one of its processes, say.

    Without a reason: what hindered it is over.
    """

    service: str
    attempt: int
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class ServiceExited:
    """A service ended, by itself or because it was told to; ``exit_code`` is None when nobody can know it."""

    service: str
    attempt: int
    exit_code: int | None
    reason: Reason | None = None
    is_blameless: bool = False
    """Not the program's fault (a port was lost, the machine restarted): tried again without counting against the policy."""


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """The backend could not start this attempt. ``retry_in_s`` is None when trying again would fail in the same way."""

    service: str
    attempt: int
    reason: Reason
    retry_in_s: float | None = None
    is_blameless: bool = False
    """It waits for something that will come, such as a free network: that costs no try."""


@dataclass(frozen=True, slots=True)
class ServiceDrained:
    service: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Something that was due may be due now: a retry, a readiness limit, a drain, the lifetime."""


@dataclass(frozen=True, slots=True)
class ClockSet:
    """Somebody set the machine's clock, forward when positive: what has begun keeps its age, what is due keeps its distance."""

    by_s: float


@dataclass(frozen=True, slots=True)
class Paused:
    """For so long nobody could be heard: the core was stopped, or its machine slept."""

    for_s: float


@dataclass(frozen=True, slots=True)
class LeasesChanged:
    """How many leases hold it now."""

    count: int


@dataclass(frozen=True, slots=True)
class ActivitySeen:
    """Whether it did anything lately; starts and ends its idle time."""

    is_busy: bool


Event = (
    Accepted | Placed | Grown | Shrunk | Preempted
    | StopRequested | RestartRequested | SuspendRequested | ResumeRequested | ScaleRequested
    | ServiceLaunched | ServiceReady | ServiceTroubled | ServiceExited | LaunchFailed | ServiceDrained
    | TimePassed | ClockSet | Paused | LeasesChanged | ActivitySeen
)  # fmt: skip
