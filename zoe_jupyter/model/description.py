"""The authored format, version 1: frameworks and ZApps as people write them. Templates are not filled yet.

The shop validates these classes with pydantic and generates the JSON Schemas from them; unknown fields are refused.
A trailing underscore keeps a field's name from being a word of Python: ``with_`` is written ``with``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Number = int | float | str
"""A number, or text: a template, or a quantity with its unit."""
Tag = Literal["engine", "sql", "notebook", "database", "monitoring", "storage", "streaming", "tool", "job"]


def _written(name: str) -> str:
    return name.removesuffix("_")


_STRICT = {"extra": "forbid", "alias_generator": _written, "use_attribute_docstrings": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class PortDescription:
    """An address that a service listens on; Zoe chooses its number."""

    __pydantic_config__ = _STRICT

    protocol: Literal["tcp", "http"] = "tcp"
    title: str = ""
    """An http port with a title is a page that people may open."""
    path: str = "/"
    """Where its first page is."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the web proxy adds when it asks the service, such as the service's own token."""
    keeps_prefix: bool = False
    """Whether the page expects the public prefix in the paths that it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDescription:
    """How many services a process has."""

    __pydantic_config__ = _STRICT

    core: Number = 1
    """Needed before any work is done."""
    elastic: Number = 0
    """Make it faster; may come later and go earlier."""
    limit: Number | None = None
    """How far a user may scale ``elastic``; absent: what the parameter in ``elastic`` allows at most, else 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesDescription:
    """What each service of a process asks for."""

    __pydantic_config__ = _STRICT

    cores: Number = 1
    memory: Number = "512MiB"
    gpu: Number = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceDescription:
    """On which nodes the services of a process may run."""

    __pydantic_config__ = _STRICT

    labels: Mapping[str, str] = field(default_factory=dict)
    """A node must have all of these; the type of its GPUs is the label ``gpu``."""
    together: Literal["anywhere", "near", "apart"] = "anywhere"
    """Near each other where that is possible; or each on a node of its own, or not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyDescription:
    """How a service proves that it is ready; exactly one of tcp, http, log, command."""

    __pydantic_config__ = _STRICT

    tcp: str = ""
    """Name of the port that must accept a connection."""
    http: str = ""
    """``port/path`` that must answer 200 to 399."""
    log: str = ""
    """A regular expression that a line of the log must match."""
    command: tuple[str, ...] = ()
    """Must exit with 0."""
    timeout_s: Number = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthDescription:
    """How a service that is ready goes on proving that it works; exactly one of tcp, http, command."""

    __pydantic_config__ = _STRICT

    tcp: str = ""
    """Name of the port that must accept a connection."""
    http: str = ""
    """``port/path`` that must answer 200 to 399."""
    command: tuple[str, ...] = ()
    """Must exit with 0."""
    every_s: Number = 10
    """From one answer to the next question; at least 1."""
    timeout_s: Number = 5
    """How long one answer may take."""
    failures: Number = 3
    """So many in a row, and it is ended; ``restart`` says what then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartDescription:
    """What happens when a service ends by itself."""

    __pydantic_config__ = _STRICT

    when: Literal["never", "on-failure", "always"] = "on-failure"
    attempts: Number = 3
    delay_s: Number = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainDescription:
    """A command that is run before an elastic service is taken away."""

    __pydantic_config__ = _STRICT

    command: tuple[str, ...]
    timeout_s: Number = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDescription:
    __pydantic_config__ = _STRICT

    grace_s: Number = 10
    """Between asking and killing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessDescription:
    """One kind of program."""

    __pydantic_config__ = _STRICT

    command: tuple[str, ...]
    """An argument list, never a shell string. An argument that is one expression giving a list becomes its items."""
    title: str = ""
    """What people are told that is being started; absent: the process's name."""
    count: CountDescription = CountDescription()
    resources: ResourcesDescription = ResourcesDescription()
    place: PlaceDescription = PlaceDescription()
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Name and content, written for the service's eyes only; ``{{ files["name"] }}`` is the path."""
    ports: Mapping[str, PortDescription] = field(default_factory=dict)
    ready: ReadyDescription | None = None
    health: HealthDescription | None = None
    """Absent: well as long as the program runs."""
    after: tuple[str, ...] = ()
    """Processes whose core services must be ready first."""
    restart: RestartDescription = RestartDescription()
    drain: DrainDescription | None = None
    stop: StopDescription = StopDescription()
    image: str = ""
    """For backends that run containers; absent: the framework's own, ``zoe/<name>:<version>``. What begins with ``zoe/`` is where the
    site's setting says."""
    folder: Literal["", "notebook"] = ""
    """Where it works: its execution's own folder, or the folder of the notebook that asked."""
    backends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By backend, or ``container`` for all that run containers: fields that replace the ones above there; mappings are merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiresDescription:
    """What must be there in the environment that runs the services."""

    __pydantic_config__ = _STRICT

    python: tuple[str, ...] = ()
    java: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptsDescription:
    """A connection that a framework can use."""

    __pydantic_config__ = _STRICT

    kind: str = ""
    """Absent: the accepted name."""
    optional: bool = False
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityDescription:
    """How to see whether it is busy; absent: by leases and CPU."""

    __pydantic_config__ = _STRICT

    http: str
    """Name of the port to ask, ``process.port`` when it is not unique."""
    path: str = "/"
    busy: str
    """An expression over ``answer``, the JSON that came back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeDescription:
    """When an execution goes away by itself: any of the fields."""

    __pydantic_config__ = _STRICT

    after: Number | None = None
    idle: Number | None = None
    with_: Literal["kernel", "server"] | None = None
    grace: Number = "10m"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkDescription:
    """A building block of the shop."""

    __pydantic_config__ = _STRICT

    zoe: Literal[1]
    kind: Literal["framework"]
    name: str
    version: str = ""
    title: str = ""
    summary: str = ""
    tags: tuple[Tag, ...] = ()
    audience: Literal["user", "admin"] | None = None
    """Absent: ``admin`` for monitoring and storage, else ``user``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """A JSON Schema of an object."""
    processes: Mapping[str, ProcessDescription]
    requires: RequiresDescription = RequiresDescription()
    secrets: tuple[str, ...] = ()
    """Names of secrets that Zoe generates, beside those that ``provides`` names."""
    certificates: tuple[str, ...] = ()
    """Names of secrets that are a private key with its own certificate, in one PEM text; the others are random words."""
    provides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name: ``kind`` (absent: the name), ``secret`` (names of secrets), and values."""
    accepts: Mapping[str, AcceptsDescription] = field(default_factory=dict)
    ends_with: str = ""
    """A process whose exit ends the execution, where the framework runs alone."""
    lifetime: LifetimeDescription | None = None
    on_lost: Literal["wait", "restart"] | None = None
    """When its machine is lost; absent: ``wait`` with volumes, else ``restart`` elsewhere."""
    priority: str = ""
    """A priority class, such as interactive, batch or filler."""
    estimate: Number | None = None
    """How long it works with all that it wants, such as ``2h``."""
    weight: Number = 1
    """Its part of what is left for elastic services, beside other executions."""
    activity: ActivityDescription | None = None
    trusted: bool = True
    """Whether its pages may share Jupyter's origin."""
    ha: Any = None
    upgrade: Any = None
    volumes: Any = None
    workflow: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UseDescription:
    """A framework in a ZApp."""

    __pydantic_config__ = _STRICT

    use: str
    as_: str = ""
    """Its alias here; absent: its name."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    connect: Mapping[str, str] = field(default_factory=dict)
    """``{accepted name: alias.provided name}``; the alias is enough where it provides one thing only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZAppDescription:
    """One or more frameworks plus configuration: runnable."""

    __pydantic_config__ = _STRICT

    zoe: Literal[1]
    kind: Literal["zapp"]
    name: str
    version: str = ""
    title: str = ""
    summary: str = ""
    tags: tuple[Tag, ...] = ()
    audience: Literal["user", "admin"] = "user"
    frameworks: tuple[UseDescription, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """A JSON Schema of an object."""
    ends_with: str = ""
    """An alias, or ``alias.process``, whose exit ends the execution; absent: it runs until stopped."""
    lifetime: LifetimeDescription | None = None
    on_lost: Literal["wait", "restart"] | None = None
    """When its machine is lost; absent: ``wait`` where one of its frameworks says so, or with volumes, else ``restart``."""
    priority: str = ""
    """A priority class, such as interactive, batch or filler."""
    estimate: Number | None = None
    """How long it works with all that it wants, such as ``2h``."""
    weight: Number = 1
    """Its part of what is left for elastic services, beside other executions."""
    ha: Any = None
    upgrade: Any = None
    volumes: Any = None
    workflow: Any = None


IN_CONTAINERS = frozenset({"docker", "kubernetes"})
"""Backends whose services run in containers of an image."""
CONTAINER = "container"
"""What stands for all of them under ``backends``."""

EXTENSIONS: Mapping[str, str] = {"ha": "ha", "upgrade": "upgrades", "volumes": "storage", "workflow": "workflows"}
"""Extension fields, and the module that each belongs to."""
