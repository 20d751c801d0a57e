"""A core in memory, behind the same door as the real one: what is submitted runs at once.

For tests of the server, the client and the panels.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zoe_jupyter.backends.base import Capabilities, Usage
from zoe_jupyter.engine.door import Caller, Check, EndpointTarget, NodeUse, Page, QuotaUse, Sample, Submission, Waiting
from zoe_jupyter.model.application import Application, ConnectionTemplate, Context, Lifetime, Port, Process
from zoe_jupyter.model.errors import Conflict, Forbidden, InvalidDescription, NotFound, Problem
from zoe_jupyter.model.execution import (
    Client,
    Execution,
    Goal,
    Lease,
    LogEvent,
    Outcome,
    Reason,
    Service,
    ServiceState,
    State,
    Story,
    Target,
)
from zoe_jupyter.model.quota import Quota, Supposed
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.plan import Plan

FORM = {
    "type": "object",
    "properties": {
        "workers": {"type": "integer", "minimum": 1, "maximum": 64, "default": 2, "title": "Workers"},
        "password": {"type": "string", "x-zoe": {"widget": "secret"}},
    },
}
LOGO = b'<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><circle cx="4" cy="4" r="4"/></svg>'
APPLICATION = Application(
    name="spark",
    title="Apache Spark",
    processes=(
        Process("spark.master", "spark", ("true",), elastic_limit=0, ports={"ui": Port("http", "Spark master")}),
        Process("spark.worker", "spark", ("true",), elastic=1, resources=Resources(1_000_000, 1 << 30)),
    ),
    contexts={"spark": Context()},
    connections=(ConnectionTemplate("spark", "spark", "spark"),),
    secret_parameters=("password",),
)
LEFT_STATES = {Goal.STOP: State.ENDED, Goal.SUSPEND: State.SUSPENDED, Goal.RUN: State.RUNNING}


@dataclass(frozen=True)
class FakeEntry:
    name: str
    kind: str = "framework"
    title: str = ""
    summary: str = ""
    version: str = "1"
    tags: tuple[str, ...] = ()
    audience: str = "user"
    source: str = "zoe"
    connections: tuple[str, ...] = ()
    is_runnable: bool = True
    lacks: tuple[str, ...] = ()
    logo: bytes | None = None
    form: Mapping[str, Any] = field(default_factory=dict)
    readme: str = ""


class FakeShop:
    def __init__(self) -> None:
        self._entries = [
            FakeEntry("dask", title="Dask", summary="Parallel Python", connections=("dask",), form=FORM),
            FakeEntry(
                "spark",
                title="Apache Spark",
                summary="Distributed DataFrames",
                tags=("engine",),
                connections=("spark",),
                logo=LOGO,
                form=FORM,
                readme="# Spark",
            ),
            FakeEntry("prometheus", title="Prometheus", tags=("monitoring",), audience="admin"),
        ]

    def entries(self) -> list[FakeEntry]:
        return list(self._entries)

    def entry(self, name: str) -> FakeEntry:
        for entry in self._entries:
            if entry.name == name:
                return entry
        raise NotFound(f"the shop has no {name!r}")


class FakeCore:
    """Implements ``engine.door.CoreDoor``. Public attributes are for tests to look at and to prepare."""

    def __init__(self) -> None:
        self.by_id: dict[str, Execution] = {}
        self.lease_by_id: dict[str, Lease] = {}
        self.alive: dict[str, tuple[str, ...]] = {}
        self.log: list[LogEvent] = []
        self.targets: dict[str, EndpointTarget] = {}
        self.submissions: list[Submission] = []
        self.environment: Mapping[str, Any] = {}
        """What is known of where it would run, before it starts."""
        self.unknown: dict[str, Sequence[str]] = {}
        self.quota_by_owner: dict[str, Quota] = {}
        self.supposed: list[tuple[str, Mapping[str, Supposed]]] = []
        self.plan = Plan()
        """The answer to every ``what_if``."""
        self.node = Node("here", Resources(4_000_000, 8 << 30), microcores=2_000_000)
        self.log_chunks: list[bytes] = [b"first line\n", b"second line\n"]
        self.is_slow_reader = False
        self.is_closed = False
        self.fenced = asyncio.Event()
        self._keys: dict[tuple[str, str], tuple[str, Submission]] = {}
        self._news = asyncio.Event()
        self._numbers = itertools.count(1)
        self._shop = FakeShop()

    async def close(self) -> None:
        self.is_closed = True

    def capabilities(self) -> Capabilities:
        return Capabilities(name="fake", isolation="process", limits={"memory": "watched"}, choices=("python", "cwd"))

    def policy(self) -> str:
        return "fifo"

    def shop(self) -> FakeShop:
        return self._shop

    def has_live(self) -> bool:
        return any(not execution.is_ended for execution in self.by_id.values())

    async def check(self, submission: Submission, caller: Caller) -> Check:
        self._refuse_nonsense(submission)
        room = Resources(1_000_000, 1 << 30)
        return Check(
            {"name": submission.use},
            room,
            room,
            fits_now=True,
            nodes=("here",),
            reason=None,
            environment=self.environment,
        )

    async def submit(self, submission: Submission, caller: Caller, *, key: str | None) -> tuple[Execution, bool]:
        self._refuse_nonsense(submission)
        if key and (caller.name, key) in self._keys:
            known, earlier = self._keys[caller.name, key]
            if earlier != submission:
                raise Conflict("this Idempotency-Key was used for another submission")
            return self.by_id[known], False
        execution = self._new(submission, caller)
        self.submissions.append(submission)
        if key:
            self._keys[caller.name, key] = (execution.id, submission)
        if submission.lease:
            await self.take_lease(execution.id, caller, kind=submission.lease, client=submission.client, ttl_s=None)
        return execution, True

    async def execution(self, execution_id: str, caller: Caller) -> Execution:
        named = [one for one in self.by_id.values() if one.name == execution_id and one.owner == caller.name]
        found = self.by_id.get(execution_id) or (named[-1] if named else None)
        if found is None or not self._sees(caller, found.owner):
            raise NotFound(f"there is no execution {execution_id!r} of yours")
        return found

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
    ) -> Page:
        found = [
            one
            for one in reversed(self.by_id.values())
            if self._sees(caller, one.owner)
            and (not states or one.state in states)
            and (not owner or one.owner == owner)
            and (not parent or one.parent == parent)
            and (labels or {}).items() <= one.labels.items()
        ]
        start = int(cursor or 0)
        return Page(found[start : start + limit], str(start + limit) if start + limit < len(found) else None)

    async def story(self, execution_id: str, caller: Caller) -> Sequence[Story]:
        execution = await self.execution(execution_id, caller)
        return [Story(event.at, event.kind) for event in self.log if event.execution_id == execution.id]

    async def stop(self, execution_id: str, caller: Caller) -> Execution:
        reason = Reason("stopped_by_user", f"stopped by {caller.name}", {"user": caller.name})
        return await self._aim(execution_id, caller, Target(Goal.STOP, outcome=Outcome.STOPPED, reason=reason))

    async def restart(self, execution_id: str, caller: Caller) -> Execution:
        execution = await self.execution(execution_id, caller)
        return await self._aim(execution_id, caller, Target(Goal.RUN, generation=execution.target.generation + 1))

    async def suspend(self, execution_id: str, caller: Caller) -> Execution:
        return await self._aim(execution_id, caller, Target(Goal.SUSPEND))

    async def resume(self, execution_id: str, caller: Caller) -> Execution:
        return await self._aim(execution_id, caller, Target(Goal.RUN))

    async def scale(self, execution_id: str, caller: Caller, *, counts: Mapping[str, int]) -> Execution:
        elastic = {name or "spark.worker": count - 1 for name, count in counts.items()}
        return await self._aim(execution_id, caller, Target(Goal.RUN, elastic=elastic))

    async def forget(self, execution_id: str, caller: Caller) -> None:
        execution = await self.execution(execution_id, caller)
        if not execution.is_ended:
            raise Conflict(f"execution {execution.name} is {execution.state.value}; stop it first")
        del self.by_id[execution.id]
        self._tell("execution.forgotten", execution)

    async def connection(self, execution_id: str, name: str, caller: Caller) -> Mapping[str, Any]:
        execution = await self.execution(execution_id, caller)
        if execution.owner != caller.name:
            raise Forbidden("only its owner may attach")
        if execution.state is not State.RUNNING:
            raise Conflict(f"execution {execution.name} is {execution.state.value}")
        if name != "spark":
            raise NotFound(f"there is no connection {name!r}")
        values = {"url": "sc://localhost:1"}
        return {
            "name": name,
            "kind": "spark",
            "values": values,
            "secrets": {"token": "t0"},
            "environment": dict(execution.environment),
        }

    async def endpoints(self, execution_id: str, caller: Caller) -> Mapping[str, EndpointTarget]:
        execution = await self.execution(execution_id, caller)
        return {name: target for name, target in self.targets.items() if target.execution_id == execution.id}

    async def take_lease(
        self, execution_id: str, caller: Caller, *, kind: str, client: Client, ttl_s: float | None
    ) -> Lease:
        execution = await self.execution(execution_id, caller)
        now = time.time()
        lease = Lease(f"l{next(self._numbers)}", execution.id, kind, client, now, now + ttl_s if ttl_s else None, ttl_s)
        self.lease_by_id[lease.id] = lease
        return lease

    async def renew_lease(self, execution_id: str, lease_id: str, caller: Caller) -> Lease:
        lease = await self._lease(execution_id, lease_id, caller)
        renewed = replace(lease, expires_at=time.time() + lease.ttl_s) if lease.ttl_s else lease
        self.lease_by_id[lease_id] = renewed
        return renewed

    async def drop_lease(self, execution_id: str, lease_id: str, caller: Caller) -> None:
        del self.lease_by_id[(await self._lease(execution_id, lease_id, caller)).id]

    def leases(self, execution_id: str) -> Sequence[Lease]:
        return [lease for lease in self.lease_by_id.values() if lease.execution_id == execution_id]

    async def kernels_alive(self, server: str, kernel_ids: Sequence[str]) -> None:
        self.alive[server] = tuple(kernel_ids)

    async def logs(
        self, execution_id: str, service: str, caller: Caller, *, tail: int | None, follow: bool
    ) -> AsyncIterator[bytes]:
        execution = await self.execution(execution_id, caller)
        if service and service not in execution.services:
            raise NotFound(f"there is no service {service!r}")
        for chunk in self.log_chunks:
            yield chunk
        while follow and not self.by_id[execution.id].is_ended:
            await self._news.wait()

    async def usage(self, execution_id: str, caller: Caller) -> Sequence[Sample]:
        execution = await self.execution(execution_id, caller)
        return [Sample(float(second), Usage(execution.id, "spark.master-0", 0.5, 1 << 20)) for second in range(3)]

    async def events(
        self, caller: Caller, *, since: int | None, execution_id: str = "", follow: bool
    ) -> AsyncIterator[LogEvent]:
        position = len(self.log) if since is None else since
        while True:
            news = self._news
            for event in self.log[position:]:
                position = event.seq
                if self.is_slow_reader:
                    raise Conflict(
                        "you read too slowly; resume from the last event that you have", details={"reason": "resume"}
                    )
                if self._sees(caller, event.owner) and execution_id in ("", event.execution_id):
                    yield event
            if not follow:
                return
            if position >= len(self.log):
                await news.wait()

    def last_seq(self) -> int:
        return len(self.log)

    async def cluster(self) -> Sequence[NodeUse]:
        return [NodeUse(self.node, Resources(1_000_000, 1 << 30), 2)]

    async def set_node_enabled(self, name: str, caller: Caller, *, is_enabled: bool) -> NodeUse:
        self._refuse_others(caller)
        if name != self.node.name:
            raise NotFound(f"there is no node {name!r}")
        self.node = replace(self.node, is_enabled=is_enabled)
        return (await self.cluster())[0]

    async def drain_node(self, name: str, caller: Caller, *, begins: Any) -> NodeUse:
        use = await self.set_node_enabled(name, caller, is_enabled=False)
        return replace(use, drains_at=float(begins or time.time()))

    async def quotas(self, caller: Caller) -> Sequence[QuotaUse]:
        return [self._quota_use(caller.name)]

    async def quota(self, owner: str, caller: Caller) -> QuotaUse:
        self._refuse_others(caller)
        return self._quota_use(owner)

    async def put_quota(self, owner: str, quota: Quota | None, caller: Caller) -> QuotaUse:
        self._refuse_others(caller)
        self.quota_by_owner = {key: found for key, found in self.quota_by_owner.items() if key != owner}
        if quota is not None:
            self.quota_by_owner[owner] = quota
        return self._quota_use(owner)

    def _quota_use(self, owner: str) -> QuotaUse:
        held = Resources(1_000_000, 1 << 30)
        return QuotaUse(owner, self.quota_by_owner.get(owner, Quota()), owner in self.quota_by_owner, "", 1, held)

    async def what_if(self, policy: str, limits: Mapping[str, Supposed], caller: Caller) -> Plan:
        self._refuse_others(caller)
        self.supposed.append((policy, limits))
        return self.plan

    def _refuse_others(self, caller: Caller) -> None:
        if not caller.is_admin:
            raise Forbidden("only an admin may do that")

    async def quarantine(self, caller: Caller) -> Mapping[str, Sequence[str]]:
        return self.unknown if caller.is_admin else {}

    async def stop_unknown(self, execution_id: str, caller: Caller) -> None:
        self._refuse_others(caller)
        if self.unknown.pop(execution_id, None) is None:
            raise NotFound(f"nothing unknown runs as {execution_id!r}")

    async def owners(self, caller: Caller) -> Mapping[str, tuple[int, Resources]]:
        return {caller.name: (len(self.by_id), Resources(1_000_000, 1 << 30))}

    async def queue(self, caller: Caller) -> Sequence[Waiting]:
        return [place for execution in self.by_id.values() if (place := self.waiting(execution.id)) is not None]

    def waiting(self, execution_id: str) -> Waiting | None:
        if self.by_id[execution_id].state is not State.QUEUED:
            return None
        return Waiting(execution_id, 1, Reason("no_room", "needs 8 GiB, 6 GiB are free", {"position": 1}))

    def silence(self) -> str:
        return ""

    def trouble(self) -> Reason | None:
        return None

    def lifetime_of(self, execution: Execution) -> Lifetime:
        return execution.lifetime

    def ends_at(self, execution: Execution) -> float | None:
        return None

    def metrics(self) -> bytes:
        return b"# TYPE zoe_executions gauge\nzoe_executions 1\n"

    def add(self, execution: Execution) -> Execution:
        """Put in one that a test has made."""
        self.by_id[execution.id] = execution
        self._tell("execution.submitted", execution)
        return execution

    def _new(self, submission: Submission, caller: Caller) -> Execution:
        now = time.time()
        execution_id = f"e{next(self._numbers)}"
        services = {
            "spark.master-0": Service(
                "spark.master-0", "spark.master", "here", is_core=True, state=ServiceState.RUNNING, ports={"ui": 4040}
            ),
            "spark.worker-0": Service(
                "spark.worker-0", "spark.worker", "here", is_core=True, state=ServiceState.RUNNING
            ),
        }
        return self.add(
            Execution(
                id=execution_id,
                name=submission.name or f"{submission.use or 'zapp'}-{execution_id}",
                owner=caller.name,
                application=APPLICATION,
                parameters=submission.parameters,
                entry=submission.use,
                state=State.RUNNING,
                services=services,
                client=submission.client,
                environment={"python": submission.client.python},
                labels=submission.labels,
                created_at=now,
                started_at=now,
            )
        )

    async def _aim(self, execution_id: str, caller: Caller, target: Target) -> Execution:
        execution = await self.execution(execution_id, caller)
        if execution.is_ended:
            raise Conflict(f"execution {execution.name} has ended")
        ended_at = time.time() if target.goal is Goal.STOP else None
        changed = replace(
            execution, target=target, state=LEFT_STATES[target.goal], outcome=target.outcome, reason=target.reason, ended_at=ended_at,
        )  # fmt: skip
        self.by_id[execution.id] = changed
        self._tell(f"execution.{changed.state.value}", changed)
        return changed

    async def _lease(self, execution_id: str, lease_id: str, caller: Caller) -> Lease:
        await self.execution(execution_id, caller)
        if lease_id not in self.lease_by_id:
            raise NotFound(f"there is no lease {lease_id!r}")
        return self.lease_by_id[lease_id]

    def _refuse_nonsense(self, submission: Submission) -> None:
        if submission.use == "nonsense" or "nonsense" in submission.text:
            raise InvalidDescription([Problem("no such thing", path="use", line=1), Problem("nor this", path="zoe")])
        if submission.use:
            self._shop.entry(submission.use)

    def _sees(self, caller: Caller, owner: str) -> bool:
        return caller.is_admin or caller.name == owner

    def _tell(self, kind: str, execution: Execution) -> None:
        self.log.append(
            LogEvent(
                len(self.log) + 1, time.time(), kind, execution.id, execution.owner, {"state": execution.state.value}
            )
        )
        news, self._news = self._news, asyncio.Event()
        news.set()
