"""An execution and its services: what is wanted (target) and what is seen (status)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from zoe_jupyter.model.application import Application, Lifetime


class State(str, Enum):
    """The one word of an execution's status."""

    SUBMITTED = "submitted"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    STOPPING = "stopping"
    ENDED = "ended"


class Outcome(str, Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    EXPIRED = "expired"
    LOST = "lost"


class Goal(str, Enum):
    """What is wanted of an execution."""

    RUN = "run"
    SUSPEND = "suspend"
    STOP = "stop"


class ServiceState(str, Enum):
    WAITING = "waiting"
    """Placed; what it comes after is not ready, or its next try is not due."""
    STARTING = "starting"
    """Launched or being launched, not ready."""
    RUNNING = "running"
    """Ready."""
    DRAINING = "draining"
    STOPPING = "stopping"
    ENDED = "ended"


PULLING = "pulling"
"""The code of what backends say of a launch that waits for its image; over once it is launched, or the backend says it no more."""
UNTOLD = "untold"
"""The code of that a backend does not say how a service is, or whether it was launched; over once it is seen."""
HINDRANCES = frozenset(
    {PULLING, UNTOLD, "image_not_found", "no_folder", "unscheduled", "no_port", "cannot_start", "not_made"}
)
"""Codes of what backends say of a service that they were given and that does not run yet; each is over once they say it no more."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is: a stable code, a sentence with the way out, and the numbers in it."""

    code: str
    text: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Reason, ...] = ()
    """What else keeps it so, in detail; beside the primary reason, which this one is."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the user wants. Only the engine changes it, on request."""

    goal: Goal = Goal.RUN
    elastic: Mapping[str, int] = field(default_factory=dict)
    """``{full process name: wanted elastic services}`` where it differs from the application's own number."""
    outcome: Outcome | None = None
    """How an execution that is being stopped will have ended."""
    reason: Reason | None = None
    """Why it is being stopped."""
    generation: int = 0
    """Counts restarts; services of an older generation are taken down."""


@dataclass(frozen=True, slots=True)
class Service:
    """One running instance. Its identity on a backend is (execution, name, attempt)."""

    name: str
    """``<alias>.<process>-<n>``."""
    process: str
    """Full process name."""
    node: str
    is_core: bool
    state: ServiceState = ServiceState.WAITING
    attempt: int = 1
    """Counts launches; an observation of another attempt is never applied to this one."""
    failures: int = 0
    """In a row; against the restart policy."""
    host: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    handle: Mapping[str, Any] = field(default_factory=dict)
    """What the backend needs to find it again; empty until the launch was confirmed."""
    image: str = ""
    """What this attempt was started from, by digest, where the backend can tell."""
    exit_code: int | None = None
    reason: Reason | None = None
    due_at: float = 0.0
    """Epoch seconds: in waiting, not before this; in draining and stopping, the deadline; else 0."""
    ready_at: float | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Who asked from where: decides interpreter and folder on the local backend."""

    kernel_id: str = ""
    notebook: str = ""
    python: str = ""
    cwd: str = ""
    server: str = ""
    """Id of the Jupyter server whose kernel asked; its kernel manager knows whether the kernel lives."""


@dataclass(frozen=True, slots=True)
class Execution:
    id: str
    name: str
    owner: str
    application: Application
    parameters: Mapping[str, Any] = field(default_factory=dict)
    entry: str = ""
    """The shop entry that it came from."""
    state: State = State.SUBMITTED
    outcome: Outcome | None = None
    reason: Reason | None = None
    target: Target = Target()
    services: Mapping[str, Service] = field(default_factory=dict)
    """By service name; those that were taken back are gone from here."""
    spent_attempts: Mapping[str, int] = field(default_factory=dict)
    """``{service name: last attempt launched}`` of services that are gone; a successor of that name counts on from there,
    so that no attempt is ever used twice."""
    lifetime: Lifetime = Lifetime()
    client: Client = Client()
    environment: Mapping[str, Any] = field(default_factory=dict)
    """What the backend found out about interpreter and engine versions before the start."""
    labels: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    priority: int = 100
    """Of its class; the higher goes first."""
    priority_class: str = "batch"
    weight: float = 1.0
    """Its part of what is left for elastic services."""
    estimate_s: float | None = None
    """How long it works with all that it wants; None: nobody knows."""
    is_assumed: bool = False
    """``estimate_s`` comes from what the site ran before."""
    not_before: float = 0.0
    """Epoch seconds: the begin that somebody asked for, or the next try after a failed start."""
    failed_starts: int = 0
    """How often in a row its core did not become ready in time."""
    up_at: float | None = None
    """When all its core was ready in this try."""
    done_s: float = 0.0
    """What of its work was done in this try until ``done_at``, in seconds with all that it wants."""
    done_at: float = 0.0
    """Epoch seconds."""
    grow_after: float = 0.0
    """Epoch seconds: it gave room to another, and does not grow before unless nobody waits."""
    created_at: float = 0.0
    queued_at: float | None = None
    """When it last began to wait; the order of first in, first out."""
    started_at: float | None = None
    """When all its core was ready for the first time."""
    ended_at: float | None = None
    idle_since: float | None = None
    unleased_since: float | None = None
    """Since when no lease holds it; ``None`` while one does."""
    version: int = 0
    """Counts the stored changes; the store refuses a write that is based on an older one."""

    @property
    def is_ended(self) -> bool:
        return self.state is State.ENDED


@dataclass(frozen=True, slots=True)
class Lease:
    """The hold of a notebook or server on an execution."""

    id: str
    execution_id: str
    kind: str
    """``kernel`` or ``server``."""
    client: Client = Client()
    created_at: float = 0.0
    expires_at: float | None = None
    """``None``: the Jupyter server's kernel manager tells when it ends; else renewed by heartbeat."""
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class LogEvent:
    """One row of the append-only event log; ``seq`` is given in commit order."""

    seq: int
    at: float
    kind: str
    """Past tense: ``execution.submitted``, ``service.ready``."""
    execution_id: str
    owner: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """A line of what happened to an execution."""

    at: float
    text: str
