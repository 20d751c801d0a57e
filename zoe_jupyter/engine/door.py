"""What the server may ask of the core. Every method may be awaited on the core's own loop only (``server/home.py`` brings calls there)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from zoe_jupyter.backends.base import Capabilities, Usage
from zoe_jupyter.model.application import Lifetime
from zoe_jupyter.model.execution import Client, Execution, Lease, LogEvent, Reason, State, Story
from zoe_jupyter.model.quota import Quota, Supposed
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.plan import Plan


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. An admin may see and act on everyone's executions."""

    name: str
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Submission:
    """What somebody wants to run: a shop entry by name (``use``), or a description (``zapp``: parsed tree, or text with its format)."""

    use: str = ""
    zapp: Mapping[str, Any] | None = None
    text: str = ""
    """YAML as the user wrote it, when there is one: errors then name lines."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    lifetime: Mapping[str, Any] | None = None
    """As in a description: ``{after, idle, with, grace}``."""
    client: Client = Client()
    priority: str = ""
    """Name of a priority class."""
    estimate: Any = None
    """How long it works with all that it wants: ``2h``, or seconds."""
    begin: Any = None
    """Not before this moment: ``2030-01-31T18:30``, ``18:30``, ``+2h``, or epoch seconds."""
    weight: float | None = None
    """Its part of what is left for elastic services."""
    lease: str = ""
    """``kernel`` or ``server``: takes a lease for the client in the same transaction."""


@dataclass(frozen=True, slots=True)
class Check:
    """What would become of a submission now."""

    application: Mapping[str, Any]
    """The filled ZApp as JSON."""
    core: Resources
    elastic: Resources
    fits_now: bool
    nodes: tuple[str, ...]
    """Where its core would go now."""
    reason: Reason | None
    """Why it would wait."""
    problems: tuple[str, ...] = ()
    """What its environment lacks."""
    environment: Mapping[str, Any] = field(default_factory=dict)
    """What is known of it before anything starts."""


@dataclass(frozen=True, slots=True)
class NodeUse:
    node: Node
    reserved: Resources
    services: int
    drains_at: float | None = None
    """From when on (epoch seconds) nothing is to be there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Use of one service at one moment."""

    at: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Waiting:
    """Where an execution stands in the queue; position counts from 1."""

    execution_id: str
    position: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class QuotaUse:
    """What somebody may hold, and what they hold."""

    owner: str
    """A user, ``group:NAME``, or ``default``."""
    quota: Quota
    is_own: bool
    """False: it is the default's."""
    group: str
    """The quota group of a user; empty: none."""
    executions: int
    held: Resources


@dataclass(frozen=True, slots=True)
class Page:
    items: Sequence[Execution]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class EndpointTarget:
    """Where the web proxy has to go."""

    execution_id: str
    host: str
    port: int
    path: str
    title: str
    is_trusted: bool
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the service wants to be asked with, such as its own token."""
    keeps_prefix: bool = False
    """The page expects the public prefix in the paths that it gets."""


def is_trusted(execution: Execution, caller: Caller) -> bool:
    """Whether its pages may share Jupyter's origin in the caller's browser: never those of somebody else."""
    return execution.application.is_trusted and execution.owner == caller.name


class CoreDoor(Protocol):
    """The core, as handlers see it. Raises UserError subclasses only; NotFound also for what the caller may not see."""

    def capabilities(self) -> Capabilities: ...

    def policy(self) -> str:
        """Its name, and whether it has failed."""

    async def check(self, submission: Submission, caller: Caller) -> Check: ...

    async def submit(self, submission: Submission, caller: Caller, *, key: str | None) -> tuple[Execution, bool]:
        """Store it durably and queue it; with a known idempotency key, the earlier one and False. Conflict when the body differs."""

    async def execution(self, execution_id: str, caller: Caller) -> Execution:
        """By id, or by the name of the caller's own that has not ended (newest first), else of an ended one."""

    async def executions(
        self,
        caller: Caller,
        *,
        states: Sequence[State] = (),
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        parent: str = "",
        limit: int = 100,
        cursor: str = "",
    ) -> Page: ...

    async def story(self, execution_id: str, caller: Caller) -> Sequence[Story]: ...

    async def stop(self, execution_id: str, caller: Caller) -> Execution: ...

    async def restart(self, execution_id: str, caller: Caller) -> Execution: ...

    async def suspend(self, execution_id: str, caller: Caller) -> Execution: ...

    async def resume(self, execution_id: str, caller: Caller) -> Execution: ...

    async def scale(self, execution_id: str, caller: Caller, *, counts: Mapping[str, int]) -> Execution:
        """``counts``: total services by process (short name when unambiguous), core included; a single ``""`` key means the only scalable process."""

    async def forget(self, execution_id: str, caller: Caller) -> None: ...

    async def connection(self, execution_id: str, name: str, caller: Caller) -> Mapping[str, Any]:
        """``{name, kind, values, secrets, environment}``; owner only. Conflict while it is not running."""

    async def endpoints(self, execution_id: str, caller: Caller) -> Mapping[str, EndpointTarget]: ...

    async def take_lease(
        self, execution_id: str, caller: Caller, *, kind: str, client: Client, ttl_s: float | None
    ) -> Lease: ...

    async def renew_lease(self, execution_id: str, lease_id: str, caller: Caller) -> Lease: ...

    async def drop_lease(self, execution_id: str, lease_id: str, caller: Caller) -> None: ...

    async def kernels_alive(self, server: str, kernel_ids: Sequence[str]) -> None:
        """What a Jupyter server's kernel manager says: the whole truth about its kernels at this moment."""

    def logs(
        self, execution_id: str, service: str, caller: Caller, *, tail: int | None, follow: bool
    ) -> AsyncIterator[bytes]: ...

    async def usage(self, execution_id: str, caller: Caller) -> Sequence[Sample]: ...

    def events(
        self, caller: Caller, *, since: int | None, execution_id: str = "", follow: bool
    ) -> AsyncIterator[LogEvent]:
        """From after ``since`` (None: from now on), in order, each once; with ``follow`` without end. A reader that is too slow gets Conflict ``resume``."""

    async def cluster(self) -> Sequence[NodeUse]: ...

    async def set_node_enabled(self, name: str, caller: Caller, *, is_enabled: bool) -> NodeUse:
        """For admins. Nothing new is started on a disabled node; what runs there goes on."""

    async def drain_node(self, name: str, caller: Caller, *, begins: Any) -> NodeUse:
        """For admins. From then on (as ``Submission.begin`` says it; None: now) nothing is to be there until it is enabled again."""

    async def quotas(self, caller: Caller) -> Sequence[QuotaUse]:
        """The caller's own and their group's; for admins everyone's."""

    async def quota(self, owner: str, caller: Caller) -> QuotaUse:
        """For admins: of a user, ``group:NAME`` or ``default``."""

    async def put_quota(self, owner: str, quota: Quota | None, caller: Caller) -> QuotaUse:
        """For admins. None: nothing of its own any more."""

    async def what_if(self, policy: str, limits: Mapping[str, Supposed], caller: Caller) -> Plan:
        """For admins: what would be decided now under another policy (empty: today's) or other limits; changes nothing.

        Raises InvalidDescription for what would decide nothing, NotFound for who is not known.
        """

    async def quarantine(self, caller: Caller) -> Mapping[str, Sequence[str]]:
        """For admins: services that run, by execution, of executions that this core does not know. They are left alone."""

    async def stop_unknown(self, execution_id: str, caller: Caller) -> None:
        """For admins: end what is in quarantine. Returns before it has ended."""

    async def queue(self, caller: Caller) -> Sequence[Waiting]: ...

    def waiting(self, execution_id: str) -> Waiting | None: ...

    def silence(self) -> str:
        """Why the machines cannot be reached; empty while they answer."""

    def trouble(self) -> Reason | None:
        """What keeps the store from taking anything, or anybody from being started, now: nothing goes on but what runs."""

    def lifetime_of(self, execution: Execution) -> Lifetime: ...

    def ends_at(self, execution: Execution) -> float | None:
        """When it would go away by itself as things stand now."""

    def leases(self, execution_id: str) -> Sequence[Lease]:
        """Who holds it now."""

    def last_seq(self) -> int:
        """Number of the newest event."""

    async def owners(self, caller: Caller) -> Mapping[str, tuple[int, Resources]]:
        """``{owner: (executions, reserved room)}``: the caller's own, for admins everyone's."""

    def shop(self) -> Any:
        """The catalogue (``shop.catalogue.Catalogue``): ``entries()``, ``entry(name)``."""

    def metrics(self) -> bytes:
        """Prometheus text."""
