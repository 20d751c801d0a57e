"""The contract of a backend, and the records that cross it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from zoe_jupyter.model.application import Health, OnLost, Port, Probe, Requirement
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.model.execution import Client, Reason
from zoe_jupyter.model.resources import Node, Resources


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can promise; published by ``GET info``."""

    name: str
    isolation: str
    """How services are kept apart: ``process``, ``container``; of containers on several nodes ``enforced`` or ``declared``, as their network was
    seen to let in nobody else, or only is to do so."""
    limits: Mapping[str, str] = field(default_factory=dict)
    """How each limit is kept. ``memory``: ``cgroup`` or ``watched``; ``cpu``: ``shares`` or ``nice``; ``processes``: ``cgroup``, ``rlimit``,
    ``watched`` or ``none``; ``strays``: how processes that a service detached from itself are found: ``cgroup`` (all), ``traced``."""
    survives_restart: bool = True
    is_multi_node: bool = False
    has_gpus: bool = False
    changes_cores: bool = False
    """Services are held to their cores, and how many these are can be changed while they run."""
    choices: tuple[str, ...] = ()
    """What the client may choose: ``python``, ``cwd``."""
    shared: tuple[str, ...] = ()
    """Folders that services find at the same place as notebooks do, as far as the site keeps it so; the client's ``cwd`` may be in one of them."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long an execution may go on while no core is heard from; kept by the backend itself, so that nothing remains."""

    ends_at: float | None = None
    """Epoch seconds, from the lifetime."""
    silence_s: float = 86400.0


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """Everything needed to start one attempt of a service; templates are filled. Holds secrets: never log it."""

    deployment: str
    execution_id: str
    owner: str
    service: str
    attempt: int
    command: tuple[str, ...]
    framework: str = ""
    """Its name in the shop; empty where that is not known."""
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """``{path relative to the service's folder: content}``, mode 0600."""
    cwd: str = ""
    """Empty: the execution's own folder."""
    ports: Mapping[str, Port] = field(default_factory=dict)
    port_numbers: Mapping[str, int] = field(default_factory=dict)
    resources: Resources = Resources()
    siblings: int = 1
    """How many services the execution may have at most."""
    ready: Probe | None = None
    health: Health | None = None
    grace_s: float = 10.0
    image: str = ""
    bounds: Bounds = Bounds()
    client: Client = Client()
    on_lost: OnLost = OnLost.RESTART
    """Whether it is waited for when its machine is lost."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """What the templates of one attempt may name; reserved before its order is rendered."""

    host: str
    ports: Mapping[str, int]
    folder: str
    """The service's own folder; relative paths of ``files`` are below it."""
    framework_folder: str = ""
    """What ``{{ folder }}`` is: the framework's folder as the service sees it."""
    cwd: str = ""
    """The execution's own working folder."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and its ports by name."""

    host: str
    ports: Mapping[str, int] = field(default_factory=dict)


class SeenState(str, Enum):
    STARTING = "starting"
    READY = "ready"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Seen:
    """One service as a backend saw it."""

    execution_id: str
    service: str
    attempt: int
    state: SeenState
    handle: Mapping[str, Any] = field(default_factory=dict)
    host: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    exit_code: int | None = None
    """128 + signal when it was killed by one, as shells say it; None when nobody can know."""
    reason: Reason | None = None
    """``out_of_memory``, ``process_limit``, ``port_taken``, ``killed``, ``exited``, ``expired``, ``not_ready``, ``unhealthy``, ``lost``. Of one that goes
    on: what went wrong with it all the same."""
    is_blameless: bool = False
    may_run: bool = False
    """Of one that counts as ended since its machine does not do what it is told: it may still run there."""
    image: str = ""
    """What it was started from, by digest; empty where, or as long as, the backend cannot tell."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A complete snapshot of one deployment's services. What is not in it does not exist there."""

    services: Sequence[Seen]
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """``{execution id or node name: why}``: of these nothing is known now; absence in ``services`` means nothing for them."""
    kept: frozenset[str] = frozenset()
    """Every execution of which the deployment keeps anything (folder, reserved ports, supervisor), also without services: what ``clean`` removes."""
    lost: Mapping[str, str] = field(default_factory=dict)
    """Those nodes of ``unreachable`` that the site gives up by now: who may go on elsewhere does."""
    expired: Mapping[str, str] = field(default_factory=dict)
    """``{execution id: why}``: whose bounds were over, and that were ended for it, where nothing is left of their services that could tell."""


class Unreachable(Exception):
    """The whole backend does not answer: nothing is known, nothing is dead."""


@dataclass(frozen=True, slots=True)
class Usage:
    """One sample of one service; CPU counts cores in use (1.0 is one core)."""

    execution_id: str
    service: str
    cpu_cores: float
    memory_bytes: int
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Environment:
    """What was found in the environment that will run an execution."""

    python: str = ""
    """Path of the interpreter (``{{ python }}``)."""
    python_version: str = ""
    java: str = ""
    """Path of the java program (``{{ java }}``), empty when none was asked for or found."""
    java_version: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    """``{distribution: version}`` of what was required and is there."""
    problems: tuple[str, ...] = ()
    """What is missing, each with what to install where."""


class Backend(ABC):
    """Starts, stops and observes services. Every method is idempotent by (execution, service, attempt) and safe to repeat after a crash.

    All coroutines run on the core's loop; blocking work goes to bounded threads inside. Raises ``Retryable`` or ``Fatal`` where said,
    ``Unreachable`` when it cannot know.
    """

    @abstractmethod
    def capabilities(self) -> Capabilities: ...

    @abstractmethod
    async def start(self) -> None:
        """Get ready and find what an earlier core left; called once, before anything else. Never kills."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of everything; services run on."""

    @abstractmethod
    async def nodes(self) -> Sequence[Node]:
        """The machines and what Zoe may give away on each."""

    @abstractmethod
    async def inspect(self, requires: Requirement, client: Client, *, images: Sequence[str] = ()) -> Environment:
        """Look into the environment that would run it, such as the images where it runs in some; starts nothing.

        Problems are told in the answer, not raised.
        """

    @abstractmethod
    async def reserve(
        self,
        *,
        execution_id: str,
        owner: str,
        service: str,
        attempt: int,
        node: str,
        ports: Mapping[str, Port],
        framework_folder: str,
    ) -> Reserved:
        """Choose address, port numbers and folder of an attempt; the same answer when asked again for the same attempt."""

    async def prepare(self, execution_id: str, service: str, attempt: int, *, image: str, node: str) -> None:
        """Get what the attempt's launch needs and what may take long, such as its image; before each launch, and cancelled when it is not wanted any more.

        Nothing is started. Raises Retryable or Fatal.
        """
        return

    @abstractmethod
    async def launch(self, order: ServiceOrder, node: str) -> Mapping[str, Any]:
        """Start the attempt and return its handle; when it runs already, return that one's. Raises Retryable or Fatal."""

    @abstractmethod
    async def stop(self, execution_id: str, service: str, attempt: int, *, grace_s: float) -> None:
        """Ask it to end and see to it that it is killed after ``grace_s``; returns at once. An unknown attempt is no error."""

    async def force(self, execution_id: str) -> None:
        """End all services of an execution whose stop is overdue, also where what looks after them does not answer; its folder stays.

        Where ``stop`` without grace ends everything that can be ended there is nothing more to do. Raises Retryable.
        """
        return

    async def set_cores(self, execution_id: str, service: str, attempt: int, *, microcores: int) -> None:
        """Let a service that runs use so many cores from now on; called only where ``capabilities`` say ``changes_cores``.

        An attempt that does not run is no error. Raises Retryable, Fatal.
        """
        raise Fatal("this backend does not hold services to a number of cores")

    @abstractmethod
    async def run(
        self,
        execution_id: str,
        service: str,
        attempt: int,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout_s: float,
    ) -> int:
        """Run a short command beside a service (drain); returns its exit code. Raises Retryable when it cannot be run."""

    @abstractmethod
    async def observe(self) -> Observation:
        """A complete snapshot, or ``Unreachable``."""

    @abstractmethod
    def changes(self) -> AsyncIterator[None]:
        """Yield whenever a new look is worth while: hints only, may be merged, late or spurious."""

    @abstractmethod
    async def bound(self, execution_id: str, bounds: Bounds) -> None:
        """Tell the backend how long the execution may outlive the core's silence."""

    @abstractmethod
    async def clean(self, execution_id: str, *, keep_logs: bool) -> None:
        """Stop and remove all that is left of an execution; with ``keep_logs`` its logs stay readable."""

    @abstractmethod
    async def usage(self) -> Sequence[Usage]:
        """A sample of every live service."""

    async def reach(self, execution_id: str, service: str, attempt: int, inside: Address) -> Address:
        """Where the core and the notebooks reach the published ports of a service that runs, when services themselves know it as ``inside``.

        Raises Retryable when there is no way now.
        """
        return inside

    @abstractmethod
    def logs(self, execution_id: str, service: str, *, tail: int | None, follow: bool) -> AsyncIterator[bytes]:
        """The output of a service over all its attempts, oldest first, in chunks of at most 64 KiB.

        ``tail``: the last so many lines only. ``follow``: goes on until the service has ended for good or the consumer closes; survives rotation.
        Raises NotFound when there never was such a service.
        """
