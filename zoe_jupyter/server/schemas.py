"""The JSON of the REST interface. The OpenAPI document, and from it the TypeScript types, are generated from these records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

STRICT = {"extra": "forbid"}
"""For what clients send: a field that nobody knows is a mistake, and is told."""


@dataclass
class ReasonBody:
    code: str
    text: str
    numbers: dict[str, Any] = field(default_factory=dict)


@dataclass
class ErrorBody:
    message: str
    reason: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class ServiceBody:
    name: str
    process: str
    node: str
    state: Literal["waiting", "starting", "running", "draining", "stopping", "ended"]
    attempt: int
    is_core: bool
    exit_code: int | None = None
    reason: ReasonBody | None = None
    image: str = ""
    """What it was started from, by digest; empty where the backend has no images, or cannot tell yet."""


@dataclass
class EndpointBody:
    name: str
    """``<alias>.<process>.<port>``."""
    title: str
    url: str
    """Relative to the Jupyter server's base URL: ``zoe/at/<execution>/<endpoint>/``."""
    is_trusted: bool = True
    """Whether it is shown there; else that address leads to one with a ticket, where the page cannot act as the user."""


@dataclass
class TicketRequest:
    __pydantic_config__: ClassVar[Any] = STRICT

    renew: str = ""
    """A ticket for the same page that shall live on, if it still does."""


@dataclass
class TicketBody:
    ticket: str
    url: str
    """Relative to the Jupyter server's base URL: ``zoe/ticket/<ticket>/...``."""
    expires_at: float
    """Epoch seconds, if it is neither used nor renewed until then."""


@dataclass
class QueueBody:
    position: int
    reason: ReasonBody
    """The primary one."""
    detail: list[ReasonBody] = field(default_factory=list)
    """What else keeps it waiting."""
    starts_at: float | None = None
    """Epoch seconds: when it is expected to start, where run times are known."""


@dataclass
class TargetBody:
    goal: Literal["run", "suspend", "stop"]
    elastic: dict[str, int] = field(default_factory=dict)


@dataclass
class LifetimeBody:
    after_s: float | None = None
    idle_s: float | None = None
    together_with: Literal["kernel", "server"] | None = None
    grace_s: float = 600.0
    ends_at: float | None = None
    """Epoch seconds at which it will go away as things stand now, or null."""


@dataclass
class ScaleBody:
    """A process whose number of services the user may change."""

    process: str
    current: int
    wanted: int
    minimum: int
    maximum: int
    title: str = ""
    """What people call it: ``worker``."""


@dataclass
class DemandBody:
    """What one process of an execution asks for; the amounts are of one service."""

    process: str
    core: int
    elastic: int
    """As many as the user wants now."""
    cores: float
    memory_bytes: int
    gpus: int = 0


@dataclass
class StoryBody:
    at: float
    text: str


@dataclass
class ExecutionBody:
    id: str
    name: str
    title: str
    entry: str
    owner: str
    state: Literal["submitted", "queued", "starting", "running", "suspended", "stopping", "ended"]
    outcome: Literal["succeeded", "failed", "stopped", "expired", "lost"] | None
    reason: ReasonBody | None
    target: TargetBody
    parameters: dict[str, Any]
    """Secret ones are ``"***"``."""
    services: list[ServiceBody]
    endpoints: list[EndpointBody]
    connections: list[str]
    queue: QueueBody | None
    lifetime: LifetimeBody
    labels: dict[str, str]
    parent: str
    created_at: float
    started_at: float | None
    ended_at: float | None
    progress: str
    """One line for people: ``starting master``, ``worker 1 of 2 ready``."""
    scalable: list[ScaleBody] = field(default_factory=list)
    leases: int = 0
    notebook: str = ""
    priority: str = "batch"
    """Its priority class."""
    priority_number: int = 100
    """That class's number when it was submitted: the higher goes first."""
    estimate_s: float | None = None
    """How long it works with all that it wants, or null."""
    is_assumed: bool = False
    """``estimate_s`` is what such executions took before."""
    begins_at: float | None = None
    """Epoch seconds: it does not start before, or null."""
    done_s: float = 0.0
    """How long the work that is done takes with all services that it wants; as of the last time that their number changed."""
    main_service: str = ""
    """The service whose log is meant where none is named."""
    demands: list[DemandBody] = field(default_factory=list)
    """In the answer about one execution only."""
    story: list[StoryBody] = field(default_factory=list)
    """In the answer about one execution only."""


@dataclass
class ExecutionPage:
    items: list[ExecutionBody]
    next_cursor: str | None = None


@dataclass
class ClientBody:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kernel_id: str = ""
    notebook: str = ""
    python: str = ""
    cwd: str = ""
    server: str = ""


@dataclass
class SubmissionBody:
    """What to run: ``use`` names an entry of the shop; or ``zapp`` is a description; or ``text`` is one as the user wrote it."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    use: str = ""
    zapp: dict[str, Any] | None = None
    text: str = ""
    """YAML as the user wrote it, instead of ``zapp``: errors then name lines."""
    parameters: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    lifetime: dict[str, Any] | None = None
    """``{after, idle, with, grace}`` as in a description."""
    priority: str = ""
    """A priority class, such as interactive, batch or filler; absent: the description's, else batch (interactive for an attach)."""
    estimate: str | float | None = None
    """How long it works with all that it wants: ``2h``, or seconds."""
    begin: str | float | None = None
    """Not before this moment: ``2030-01-31T18:30``, ``18:30``, ``+2h``, or epoch seconds."""
    weight: float | None = None
    """Its part of what is left for elastic services, beside the others'."""
    client: ClientBody = field(default_factory=ClientBody)
    lease: Literal["", "kernel", "server"] = ""


@dataclass
class AmountBody:
    cores: float
    memory_bytes: int
    gpus: int = 0


@dataclass
class CheckBody:
    application: dict[str, Any]
    core: AmountBody
    elastic: AmountBody
    fits_now: bool
    nodes: list[str]
    reason: ReasonBody | None
    problems: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    """As a connection has it, as far as it is known before anything starts."""


@dataclass
class EntryBody:
    """A card in the shop."""

    name: str
    kind: Literal["framework", "zapp"]
    title: str
    summary: str
    version: str
    tags: list[str]
    audience: Literal["user", "admin"]
    source: str
    connections: list[str]
    """What a notebook can attach to; empty: nothing to attach."""
    is_runnable: bool
    lacks: list[str]
    """Why it cannot run as it is."""
    has_logo: bool


@dataclass
class EntryPage:
    items: list[EntryBody]
    next_cursor: str | None = None


@dataclass
class EntryDetailBody:
    entry: EntryBody
    form: dict[str, Any]
    """JSON Schema of its parameters; ``x-zoe`` adds level and widget."""
    readme: str


@dataclass
class InfoBody:
    version: str
    home: Literal["embedded", "hub"]
    backend: str
    capabilities: dict[str, Any]
    policy: str
    """By which name it was chosen, and whether it has failed."""
    user: str
    is_admin: bool
    server: str
    """Id of this Jupyter server, for leases."""
    python: str
    """The server's own interpreter."""
    silence: str = ""
    """Why the machines cannot be reached; empty while they answer."""


@dataclass
class ScaleRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    count: int | None = None
    """For an execution with one scalable process: services of it in all."""
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class LeaseRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kind: Literal["kernel", "server"] = "kernel"
    client: ClientBody = field(default_factory=ClientBody)
    ttl_s: float | None = None
    """Absent for kernels of this server (its kernel manager is the truth); else renew within this time."""


@dataclass
class LeaseBody:
    id: str
    execution_id: str
    kind: str
    expires_at: float | None
    renew_s: float | None
    """How often to renew; null: no need."""


@dataclass
class ConnectionBody:
    name: str
    kind: str
    values: dict[str, Any]
    secrets: dict[str, str]
    environment: dict[str, Any]
    """What runs the cluster: ``{python, python_version, java_version, packages: {name: version}}``."""


@dataclass
class SampleBody:
    at: float
    service: str
    cpu_cores: float
    memory_bytes: int


@dataclass
class UsagePage:
    items: list[SampleBody]
    next_cursor: str | None = None


@dataclass
class KernelsRequest:
    """What a Jupyter server's kernel manager says: all of its kernels that live now."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    kernel_ids: list[str]


@dataclass
class TargetAddressBody:
    """Where the web proxy of another Jupyter server of the same user has to go."""

    execution_id: str
    host: str
    port: int
    path: str
    title: str
    is_trusted: bool
    headers: dict[str, str]
    keeps_prefix: bool


@dataclass
class EventBody:
    """One row of the event log. A stream begins with ``stream.opened``: not an event, but the sign that
    nothing after its ``seq`` is missed."""

    seq: int
    at: float
    kind: str
    execution_id: str
    data: dict[str, Any]


@dataclass
class EventPage:
    items: list[EventBody]
    next_cursor: str | None = None


@dataclass
class NodeBody:
    name: str
    capacity: AmountBody
    reserved: AmountBody
    services: int
    is_enabled: bool
    drains_at: float | None = None
    """Epoch seconds: from then on nothing is to be there; null: no such thing is planned."""
    cores: float | None = None
    """Of the machine itself, where its capacity gives each away several times; else null."""
    about: str = ""
    """What people should know of it, such as that its size is a guess."""


@dataclass
class NodePage:
    items: list[NodeBody]
    next_cursor: str | None = None


@dataclass
class UnknownBody:
    id: str
    services: list[str]
    """That run now."""


@dataclass
class UnknownPage:
    items: list[UnknownBody]
    next_cursor: str | None = None


@dataclass
class DrainRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    begin: str | float | None = None
    """From this moment on: ``2030-01-31T18:30``, ``18:30``, ``+2h``, or epoch seconds; null: at once."""


@dataclass
class WaitingBody:
    execution_id: str
    name: str
    position: int
    reason: ReasonBody
    owner: str = ""
    priority: str = "batch"
    detail: list[ReasonBody] = field(default_factory=list)
    starts_at: float | None = None


@dataclass
class WaitingPage:
    items: list[WaitingBody]
    next_cursor: str | None = None


@dataclass
class OwnerUsageBody:
    owner: str
    executions: int
    reserved: AmountBody


@dataclass
class OwnerUsagePage:
    items: list[OwnerUsageBody]
    next_cursor: str | None = None
