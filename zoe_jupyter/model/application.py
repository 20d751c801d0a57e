"""An application: what a ZApp became once its frameworks were composed and its parameters filled. An execution runs one.

The shop makes it (``shop.compose``); lifecycle, scheduler, engine and backends only read it. What can be known at launch only (addresses, ports,
interpreter, secrets) stays as ``{{ }}`` in commands, environment, files, probes and connections; ``contexts`` keeps what those templates may name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from zoe_jupyter.model.resources import Resources


class RestartWhen(str, Enum):
    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class OnLost(str, Enum):
    """What becomes of an execution whose machine is lost: it waits for the machine, or goes on elsewhere."""

    WAIT = "wait"
    RESTART = "restart"


class LifetimeWith(str, Enum):
    """Together with whom an execution goes away."""

    KERNEL = "kernel"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Port:
    protocol: str = "tcp"
    """``tcp`` or ``http``; an http port with a title is an endpoint that people may open."""
    title: str = ""
    path: str = "/"
    """Where an endpoint's first page is."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the web proxy adds on the way in, such as the service's own token; launch-time templates."""
    keeps_prefix: bool = False
    """The page expects the public prefix in the paths that it gets (a proxied Jupyter)."""
    is_published: bool = True
    """Whether somebody outside of the execution may want it: a page for people, or an address that is provided. The others stay inside
    where a backend has an inside."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How a service proves that it is ready; exactly one of the four is set."""

    tcp: str = ""
    """Name of the port that must accept a connection."""
    http: str = ""
    """``port/path`` that must answer 200 to 399, such as ``ui/health``."""
    log: str = ""
    """A regular expression that a line of the log must match."""
    command: tuple[str, ...] = ()
    """Must exit with 0; run in the service's own environment and folder."""
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Health:
    """How a service that is ready goes on proving that it works; who does not is ended, and its restart policy decides."""

    probe: Probe
    """Not by the log. Its ``timeout_s`` is how long one answer may take."""
    every_s: float = 10.0
    """From one answer to the next question."""
    failures: int = 3
    """So many in a row, and it is ended."""


@dataclass(frozen=True, slots=True)
class Restart:
    when: RestartWhen = RestartWhen.ON_FAILURE
    attempts: int = 3
    """How often in a row; counting starts again after a service was ready for ten minutes."""
    delay_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Drain:
    command: tuple[str, ...]
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    """One kind of program; services are its running instances, named ``<name>-<n>``."""

    name: str
    """``<framework alias>.<process>``, unique in the application."""
    framework: str
    """The alias, a key of ``Application.contexts``."""
    command: tuple[str, ...]
    title: str = ""
    """What people are told that is being started; empty: its name."""
    core: int = 1
    elastic: int = 0
    elastic_limit: int = 64
    """How far the user may scale ``elastic``."""
    resources: Resources = Resources()
    """Of each service."""
    decided_by: Mapping[str, str] = field(default_factory=dict)
    """Of its resources (``memory``, ``cores``, ``gpu``), those that one parameter of the form decides, with its name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """``{name: content}``, written with mode 0600 before the start; ``{{ files.name }}`` is the path."""
    ports: Mapping[str, Port] = field(default_factory=dict)
    ready: Probe | None = None
    """Absent: ready once the process runs."""
    health: Health | None = None
    """Absent: well as long as the process runs."""
    after: tuple[str, ...] = ()
    """Full names of processes whose core services must be ready first."""
    restart: Restart = Restart()
    drain: Drain | None = None
    grace_s: float = 10.0
    image: str = ""
    """For backends that run containers; what begins with ``zoe/`` is where the site's setting says."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """A node that runs it must have all of these."""
    together: str = "anywhere"
    """How its services lie to each other: ``anywhere``, ``near`` or ``apart``."""
    folder: str = ""
    """Where it works: empty is the execution's own folder; ``notebook`` is the asking notebook's folder."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must be there in the environment that runs the services, checked before anything starts."""

    python: tuple[str, ...] = ()
    """PEP 508 requirements, such as ``pyspark>=4``."""
    java: str = ""
    """A version range, such as ``>=17``."""


@dataclass(frozen=True, slots=True)
class ConnectionTemplate:
    """How a notebook will reach an execution; ``values`` holds launch-time templates."""

    name: str
    framework: str
    kind: str
    """Which attach kind understands it: ``spark``, ``dask``; the provided name unless the framework says otherwise."""
    values: Mapping[str, Any] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When an execution goes away by itself; every field may be absent (``None``). All absent: it runs until stopped."""

    after_s: float | None = None
    idle_s: float | None = None
    together_with: LifetimeWith | None = None
    grace_s: float = 600.0
    """How long it stays after the last lease has gone."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the templates of one framework may name at launch."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    accepts: Mapping[str, str] = field(default_factory=dict)
    """``{accepted name: connection name}`` of this application."""
    folder: str = ""
    """The framework's folder on the core's machine."""
    framework: str = ""
    """Its name in the shop, whatever its alias is; empty of what an earlier Zoe composed."""


@dataclass(frozen=True, slots=True)
class Application:
    name: str
    title: str
    processes: tuple[Process, ...]
    contexts: Mapping[str, Context]
    """By framework alias."""
    connections: tuple[ConnectionTemplate, ...] = ()
    requires: Requirement = Requirement()
    secrets: tuple[str, ...] = ()
    """``<alias>.<name>``: generated by Zoe at submit, never shown."""
    certificates: tuple[str, ...] = ()
    """Those of the secrets that are a private key with its own certificate."""
    secret_parameters: tuple[str, ...] = ()
    """Parameters whose values are never shown."""
    ends_with: str = ""
    """Full process name whose exit ends the execution (a job); empty: runs until stopped."""
    lifetime: Lifetime = Lifetime()
    on_lost: OnLost = OnLost.RESTART
    priority: str = ""
    """Name of its priority class, where it says so."""
    estimate_s: float | None = None
    """How long it works with all that it wants, where it says so."""
    weight: float = 1.0
    """Its part of what is left for elastic services."""
    activity: Mapping[str, Any] = field(default_factory=dict)
    extensions: Mapping[str, Any] = field(default_factory=dict)
    """Fields that belong to modules, by field name."""
    is_trusted: bool = True
    """Whether its pages may share Jupyter's origin."""

    def process(self, name: str) -> Process:
        """The process of that full name; KeyError when there is none."""
        for process in self.processes:
            if process.name == name:
                return process
        raise KeyError(name)
