"""What to do: the output of ``step``. The engine writes the new status first, then carries these out; each is idempotent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoe_jupyter.model.execution import Reason


@dataclass(frozen=True, slots=True)
class Launch:
    """Start this attempt on the service's node."""

    service: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Drain:
    """Run the drain command of this attempt; ``ServiceDrained`` follows."""

    service: str
    attempt: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Ask this attempt to end, kill it after ``grace_s``; ``ServiceExited`` follows."""

    service: str
    attempt: int
    grace_s: float


@dataclass(frozen=True, slots=True)
class Force:
    """The grace of all that lives of the execution is over, and some of it is overdue: end it also where what looks after it does not answer."""

    attempts: Mapping[str, int]
    """All that lives: of anything else there is nothing to end."""


@dataclass(frozen=True, slots=True)
class Clean:
    """The execution has ended: take away all that the backend still keeps for it but its logs."""


@dataclass(frozen=True, slots=True)
class Record:
    """Append an event to the log, in the transaction that stores the new status."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    reason: Reason | None = None


Effect = Launch | Drain | Stop | Force | Clean | Record
