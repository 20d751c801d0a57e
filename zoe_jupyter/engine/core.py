"""The core: store, backend, scheduler, loop and leases put together, behind ``door.CoreDoor``. The only composition root."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from zoe_jupyter.backends.base import Backend, Bounds, Capabilities
from zoe_jupyter.engine import lifetimes, metrics, views, wishes
from zoe_jupyter.engine.actions import Actions
from zoe_jupyter.engine.clock import Clock
from zoe_jupyter.engine.configured import open_backend, open_policy, tell_misspelt
from zoe_jupyter.engine.door import (
    Caller,
    Check,
    EndpointTarget,
    NodeUse,
    Page,
    QuotaUse,
    Sample,
    Submission,
    Waiting,
)
from zoe_jupyter.engine.estimates import Estimates
from zoe_jupyter.engine.gate import Gate
from zoe_jupyter.engine.holding import Holding
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.loop import Loop
from zoe_jupyter.engine.nodes import Nodes
from zoe_jupyter.engine.outlook import Outlook
from zoe_jupyter.engine.quotas import Book
from zoe_jupyter.engine.reach import Reach
from zoe_jupyter.engine.reception import Reception, told_to_users
from zoe_jupyter.engine.rendering import Renderer
from zoe_jupyter.engine.retention import expiring
from zoe_jupyter.engine.sampling import Sampler
from zoe_jupyter.engine.scaling import elastic_counts
from zoe_jupyter.engine.secrets import Secrets
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.engine.submitting import Submitter
from zoe_jupyter.engine.succession import DOUBT, TAKEN_OVER, Seat, find_turn, holder
from zoe_jupyter.engine.supposing import installed_policy
from zoe_jupyter.engine.timekeeping import Timekeeper
from zoe_jupyter.engine.wording import in_own_words
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.lifecycle.events import (
    Event,
    RestartRequested,
    ResumeRequested,
    ScaleRequested,
    StopRequested,
    SuspendRequested,
)
from zoe_jupyter.lifecycle.story import story
from zoe_jupyter.model.application import Lifetime
from zoe_jupyter.model.errors import Conflict, Forbidden, InvalidTransition, NotFound, Unavailable
from zoe_jupyter.model.execution import Client, Execution, Lease, LogEvent, Reason, State, Story
from zoe_jupyter.model.quota import Quota, Supposed
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.scheduler.decide import decide
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.shop.catalogue import Catalogue, open_catalogue
from zoe_jupyter.store.repository import Store, file_url

logger = logging.getLogger(__name__)

STORY_EVENTS = 2000
RUNS = 1000
"""So many of the newest executions that ended tell how long things take."""


async def open_core(settings: Settings) -> Core:
    """Open the store, adopt what runs, start the loop. Raises ZoeError (StoreError, Unavailable) with the way out."""
    backend = open_backend(settings)
    url = settings.database_url or file_url(settings.data_dir / "zoe.db")
    core = Core(settings=settings, backend=backend, store=Store(url))
    await core.open()
    tell_misspelt(settings.backend_options, core.shop().entries)
    return core


class Core:
    """Everything that the server may ask for. All methods run on the core's own loop."""

    def __init__(self, *, settings: Settings, backend: Backend, store: Store, clock: Clock | None = None) -> None:
        self._settings = settings
        self._backend = backend
        self._store = store
        self._clock = clock = clock or Clock()
        self._policy = open_policy(settings)
        self._catalogue = open_catalogue(settings.shop_sources, trusted=settings.trusted_sources)
        self._estimates = Estimates()
        self._ledger = Ledger(
            store,
            clock,
            carry_out=self._carry_out,
            on_change=lambda: self._loop.on_change(),  # noqa: PLW0108 (there is no loop yet)
            on_end=self._estimates.note,
            on_doubt=lambda: self._leave(DOUBT),
        )
        self._outlook = self._open_outlook()
        self._timekeeper = Timekeeper(self._ledger, clock)
        self._renderer = Renderer(backend, Secrets(self._ledger, store).of, settings.deployment)
        self._reach = Reach(self._renderer)
        self._actions = Actions(
            backend,
            self._renderer,
            find=self._living,
            apply=self._ledger.apply,
            bounds=self._bounds,
            prove=lambda: self._seat.prove(),  # noqa: PLW0108
            look=lambda: self._loop.look_soon(),  # noqa: PLW0108
        )
        self._seat = Seat(self._ledger, is_shared=store.is_shared, on_fenced=lambda: self._leave(TAKEN_OVER))
        self._nodes = Nodes(backend, self._ledger, clock)
        self._loop = Loop(
            backend=backend,
            nodes=self._nodes,
            ledger=self._ledger,
            actions=self._actions,
            policy=self._policy,
            outlook=self._outlook,
            clock=clock,
            notice_time=self._timekeeper.notice,
            bounds=self._bounds,
            on_fenced=lambda: self._leave(TAKEN_OVER),
        )
        self._holding = Holding(self._ledger, clock, clock.awake)
        self._sampler = Sampler(backend, self._ledger, clock, self._holding.count)
        self._book = Book(self._ledger, self._outlook.groups)
        self._reception = self._open_reception()
        self._tasks: list[asyncio.Task[None]] = []
        self.fenced = asyncio.Event()
        self._why_left = ""

    def _open_outlook(self) -> Outlook:
        is_multi_node = self._backend.capabilities().is_multi_node
        return Outlook(self._settings, self._ledger.executions, is_multi_node=is_multi_node)

    def _open_reception(self) -> Reception:
        submitter = Submitter(
            catalogue=self._catalogue,
            backend=self._backend,
            policy=self._policy,
            clock=self._clock,
            estimates=self._estimates,
            outlook=self._outlook,
            classes=self._settings.priority_classes,
        )
        return Reception(
            ledger=self._ledger,
            store=self._store,
            nodes=self._nodes,
            submitter=submitter,
            holding=self._holding,
            book=self._book,
            gate=Gate(most=self._settings.submits_at_once),
            clock=self._clock,
        )

    async def open(self) -> None:
        await self._ledger.open(holder(), find_turn)
        self._outlook.recall(self._ledger.settled.kept)
        self._estimates.learn(await self._ledger.read(self._store.runs, RUNS))
        try:
            await self._backend.start()
            await self._holding.settle(list(self._ledger.executions))
            await self._loop.start()
        except BaseException:
            await self.close()
            raise
        history_s = self._settings.history_days * 86400
        for name, work in (
            ("seat", self._seat.beating()),
            ("leases", self._holding.sweeping(self._timekeeper.notice)),
            ("usage", self._sampler.sampling()),
            (
                "retention",
                expiring(
                    self._ledger, store=self._store, backend=self._backend, clock=self._clock, history_s=history_s
                ),
            ),
        ):
            self._tasks.append(asyncio.get_running_loop().create_task(work, name=f"zoe {name}"))

    async def close(self) -> None:
        """Let go of everything; executions run on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.close()
        await self._actions.close()
        await self._backend.close()
        await self._ledger.close()

    @property
    def is_fenced(self) -> bool:
        """Whether another core acts for this store now, or has to be opened for it."""
        return self.fenced.is_set()

    def capabilities(self) -> Capabilities:
        return self._backend.capabilities()

    def policy(self) -> str:
        return self._policy.told

    def shop(self) -> Catalogue:
        return self._catalogue

    def has_live(self) -> bool:
        """Whether anything lives or waits."""
        return bool(self._ledger.executions)

    async def check(self, submission: Submission, caller: Caller) -> Check:
        return await self._reception.check(submission, caller, is_reachable=self._loop.is_reachable)

    async def submit(self, submission: Submission, caller: Caller, *, key: str | None) -> tuple[Execution, bool]:
        self._refuse_when_fenced()
        execution, is_new = await self._reception.submit(submission, caller, key=key)
        if is_new:
            self._loop.on_change()
        return execution, is_new

    async def execution(self, execution_id: str, caller: Caller) -> Execution:
        """By id, or by name: the caller's own that lives, else the newest that has ended."""
        found = self._ledger.executions.get(execution_id) or self._named(execution_id, caller)
        if found is None:
            found = await self._ledger.read(self._store.get, execution_id)
        if found is None:
            found = await self._ledger.read(self._store.find_by_name, caller.name, execution_id)
        if found is None or not (caller.is_admin or found.owner == caller.name):
            raise NotFound(
                f"there is no execution {execution_id[:80]!r} of yours{views.closest(execution_id, caller.name, self._ledger.executions.values())}"
            )
        return found

    def _named(self, name: str, caller: Caller) -> Execution | None:
        named = [e for e in self._ledger.executions.values() if e.name == name and e.owner == caller.name]
        return max(named, key=lambda e: e.created_at, default=None)

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
        owner = owner if caller.is_admin else caller.name
        items, next_cursor = await self._ledger.read(
            lambda: self._store.find(
                states=list(states),
                owner=owner,
                labels=dict(labels or {}),
                parent=parent,
                limit=limit,
                cursor=cursor or None,
            )
        )
        return Page([self._ledger.executions.get(item.id, item) for item in items], next_cursor)

    async def story(self, execution_id: str, caller: Caller) -> Sequence[Story]:
        execution = await self.execution(execution_id, caller)
        events = await self._ledger.read(
            lambda: self._store.events(since=0, limit=STORY_EVENTS, execution_id=execution.id)
        )
        return story(events, reader=caller.name)

    async def stop(self, execution_id: str, caller: Caller) -> Execution:
        return await self._ask(
            execution_id,
            caller,
            StopRequested(reason=Reason("stopped_by_user", f"stopped by {caller.name}", {"user": caller.name})),
        )

    async def restart(self, execution_id: str, caller: Caller) -> Execution:
        return await self._ask(execution_id, caller, RestartRequested())

    async def suspend(self, execution_id: str, caller: Caller) -> Execution:
        return await self._ask(execution_id, caller, SuspendRequested())

    async def resume(self, execution_id: str, caller: Caller) -> Execution:
        return await self._ask(execution_id, caller, ResumeRequested())

    async def scale(self, execution_id: str, caller: Caller, *, counts: Mapping[str, int]) -> Execution:
        execution = await self.execution(execution_id, caller)
        return await self._ask(execution.id, caller, ScaleRequested(elastic_counts(execution.application, counts)))

    async def _ask(self, execution_id: str, caller: Caller, event: Event) -> Execution:
        self._refuse_when_fenced()
        execution = await self.execution(execution_id, caller)
        if execution.is_ended:
            if isinstance(event, StopRequested):
                return execution
            raise Conflict(
                f"execution {execution.name} has ended ({execution.outcome.value if execution.outcome else 'unknown'}); start a new one"
            )
        try:
            return await self._ledger.apply(execution.id, event) or execution
        except InvalidTransition as error:
            raise Conflict(f"execution {execution.name} is {execution.state.value}: {_first_line(error)}") from error

    async def forget(self, execution_id: str, caller: Caller) -> None:
        execution = await self.execution(execution_id, caller)
        if not execution.is_ended:
            raise Conflict(f"execution {execution.name} is {execution.state.value}; stop it first")
        await self._actions.settle(execution.id)
        with told_to_users():
            await self._backend.clean(execution.id, keep_logs=False)
        failpoint("forget.before")
        await self._ledger.forget(execution.id)
        failpoint("forget.after")

    async def connection(self, execution_id: str, name: str, caller: Caller) -> Mapping[str, Any]:
        execution = await self.execution(execution_id, caller)
        with told_to_users():
            return await self._reach.connection(execution, name, caller)

    async def endpoints(self, execution_id: str, caller: Caller) -> Mapping[str, EndpointTarget]:
        """The pages of services that have an address now."""
        return await self._reach.endpoints(await self.execution(execution_id, caller), caller)

    async def take_lease(
        self, execution_id: str, caller: Caller, *, kind: str, client: Client, ttl_s: float | None
    ) -> Lease:
        execution = await self.execution(execution_id, caller)
        if execution.is_ended:
            raise Conflict(f"execution {execution.name} has ended; start a new one")
        return await self._holding.take(execution.id, kind=kind, client=client, ttl_s=ttl_s)

    async def renew_lease(self, execution_id: str, lease_id: str, caller: Caller) -> Lease:
        return await self._holding.renew((await self.execution(execution_id, caller)).id, lease_id)

    async def drop_lease(self, execution_id: str, lease_id: str, caller: Caller) -> None:
        await self._holding.drop((await self.execution(execution_id, caller)).id, lease_id)

    def leases(self, execution_id: str) -> Sequence[Lease]:
        """Who holds it now."""
        return [lease for lease in self._ledger.leases.values() if lease.execution_id == execution_id]

    async def kernels_alive(self, server: str, kernel_ids: Sequence[str]) -> None:
        await self._holding.hear(server, kernel_ids)

    async def logs(
        self, execution_id: str, service: str, caller: Caller, *, tail: int | None, follow: bool
    ) -> AsyncIterator[bytes]:
        execution = await self.execution(execution_id, caller)
        name = service or views.main_service(execution)
        chunks = self._backend.logs(execution.id, name, tail=tail, follow=follow and not execution.is_ended)
        try:
            async for chunk in chunks:
                yield chunk
        except NotFound:
            raise NotFound(f"there is no log of {name or 'any service'} of {execution.name}: it has not run") from None

    async def usage(self, execution_id: str, caller: Caller) -> Sequence[Sample]:
        return self._sampler.of((await self.execution(execution_id, caller)).id)

    async def events(
        self, caller: Caller, *, since: int | None, execution_id: str = "", follow: bool
    ) -> AsyncIterator[LogEvent]:
        if execution_id:
            execution_id = (await self.execution(execution_id, caller)).id
        async for event in self._ledger.feed.after(since, follow=follow):
            if (caller.is_admin or event.owner == caller.name) and (
                not execution_id or event.execution_id == execution_id
            ):
                yield event

    def last_seq(self) -> int:
        """Number of the newest event."""
        return self._ledger.feed.last_seq

    async def cluster(self) -> Sequence[NodeUse]:
        return self._nodes.uses()

    async def set_node_enabled(self, name: str, caller: Caller, *, is_enabled: bool) -> NodeUse:
        self._refuse_when_fenced()
        return await self._nodes.set_enabled(name, caller, is_enabled=is_enabled)

    async def drain_node(self, name: str, caller: Caller, *, begins: Any) -> NodeUse:
        self._refuse_when_fenced()
        now = self._clock()
        return await self._nodes.drain(name, wishes.begin(begins, now) or now, caller)

    async def quotas(self, caller: Caller) -> Sequence[QuotaUse]:
        return self._book.uses(caller)

    async def quota(self, owner: str, caller: Caller) -> QuotaUse:
        _refuse_others(caller, "see the quotas of others")
        return self._book.use(owner)

    async def put_quota(self, owner: str, quota: Quota | None, caller: Caller) -> QuotaUse:
        self._refuse_when_fenced()
        return await self._book.put(owner, quota, caller)

    async def what_if(self, policy: str, limits: Mapping[str, Supposed], caller: Caller) -> Plan:
        _refuse_others(caller, "ask what would be")
        quotas = self._book.supposed(limits)
        now = self._clock()
        snapshot = self._outlook.snapshot(
            self._nodes.at(now), quotas=quotas, is_reachable=self._loop.is_reachable, now=now
        )
        supposed = installed_policy(policy) if policy else self._policy
        return await asyncio.to_thread(decide, snapshot, supposed, now)

    async def quarantine(self, caller: Caller) -> Mapping[str, Sequence[str]]:
        return self._loop.quarantine.now if caller.is_admin else {}

    async def stop_unknown(self, execution_id: str, caller: Caller) -> None:
        self._refuse_when_fenced()
        _refuse_others(caller, "stop what this Zoe does not know")
        if execution_id not in self._loop.quarantine.now:
            raise NotFound(f"nothing unknown runs as {execution_id[:80]!r}; `jupyter zoe nodes` lists what does")
        await self._ledger.disown(execution_id, by=caller.name)
        self._loop.look_soon()

    async def owners(self, caller: Caller) -> Mapping[str, tuple[int, Resources]]:
        """Executions and reserved room by owner; the caller's own, for admins everyone's."""
        seen = (e for e in self._ledger.executions.values() if caller.is_admin or e.owner == caller.name)
        return {caller.name: (0, Resources()), **views.by_owner(seen)}

    async def queue(self, caller: Caller) -> Sequence[Waiting]:
        places = [
            self.waiting(e.id) for e in self._ledger.executions.values() if caller.is_admin or e.owner == caller.name
        ]
        return sorted((place for place in places if place is not None), key=lambda place: place.position)

    def waiting(self, execution_id: str) -> Waiting | None:
        execution = self._ledger.executions.get(execution_id)
        if execution is None or execution.state not in (State.SUBMITTED, State.QUEUED):
            return None
        planned, trouble = self._loop.plan.waiting.get(execution_id), self.trouble()
        if planned is None:
            return None if trouble is None else Waiting(execution_id, 1, trouble)
        position = int(planned.numbers.get("position", 1))
        return Waiting(execution_id, position, trouble or in_own_words(planned, execution.application))

    def silence(self) -> str:
        return self._loop.silence

    def trouble(self) -> Reason | None:
        return self._ledger.trouble or self._loop.trouble

    def lifetime_of(self, execution: Execution) -> Lifetime:
        return execution.lifetime

    def ends_at(self, execution: Execution) -> float | None:
        """When it would go away by itself as things stand now."""
        return None if execution.is_ended else lifetimes.ends_at(execution)

    def metrics(self) -> bytes:
        return metrics.text(
            self._ledger.executions.values(),
            last_seq=self._ledger.feed.last_seq,
            leases=len(self._ledger.leases),
            is_reachable=self._loop.is_reachable,
        )

    def _carry_out(self, execution: Execution, effects: Sequence[Any]) -> None:
        if not self.is_fenced:
            self._actions.carry_out(execution, effects)

    def _leave(self, why: str) -> None:
        """Another core acts for this store now, or has to be opened for it: this one must not, not even with what it began."""
        if not self.is_fenced:
            self._why_left = why
            self.fenced.set()
            closing = (self._loop.close, self._actions.close)
            self._tasks.append(asyncio.get_running_loop().create_task(_call_all(closing), name="zoe fenced"))

    def _living(self, execution_id: str) -> Execution | None:
        return self._ledger.executions.get(execution_id)

    def _refuse_when_fenced(self) -> None:
        if self.is_fenced:
            raise Unavailable(self._why_left)

    def _bounds(self, execution: Execution) -> Bounds:
        return lifetimes.bounds(execution, silence_s=self._settings.silence_s, is_embedded=self._settings.is_embedded)


def _refuse_others(caller: Caller, what: str) -> None:
    if not caller.is_admin:
        raise Forbidden(f"only an admin may {what}")


async def _call_all(functions: Sequence[Callable[[], Awaitable[None]]]) -> None:
    for function in functions:
        await function()


def _first_line(error: InvalidTransition) -> str:
    return error.message.partition("\n")[0]
