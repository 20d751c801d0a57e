"""The executions that live, in memory and in the store: the one place where a status changes.

A change is: ``step`` says what follows, one transaction stores it with its events, memory takes it over, the feed tells it. Effects come back to the
caller only after the commit (crash rule: intent is written before the action).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from zoe_jupyter.engine.feed import Feed
from zoe_jupyter.engine.living import Living
from zoe_jupyter.engine.waiting import wait_set
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.lifecycle.effects import Effect, Record
from zoe_jupyter.lifecycle.events import Accepted, Event
from zoe_jupyter.lifecycle.step import step
from zoe_jupyter.model.errors import InvalidTransition, Unavailable, ZoeError
from zoe_jupyter.model.execution import Execution, Lease, LogEvent, Reason
from zoe_jupyter.model.quota import Quota
from zoe_jupyter.store.errors import StaleWrite, StoreBusy, StoreError, StoreFull, StoreGone, StoreUnwritable
from zoe_jupyter.store.repository import NOTHING, EventDraft, NewExecution, Settled, Store, Submitted

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
Happened = Mapping[str, Sequence[Event]]
GATHER_S = 0.006
"""So long a commit of submits waits for more of them than the last one had, where that had several: few large commits cost less than many small
ones (group commit; PostgreSQL's ``commit_delay`` with ``commit_siblings`` 1)."""
Kept = Mapping[str, str]
"""JSON by name: what a decision leaves for the next."""
TOLD_S = 45.0
"""So long a failed write is told of; what waits for the store tries again sooner than that."""
_PASSING = (StoreFull, StoreUnwritable, StoreBusy, StoreGone)
"""What is wrong with the store and not with what was to be written; somebody may put it right."""
CarryOut = Callable[[Execution, Sequence[Effect]], None]


@dataclass(slots=True)
class _Arrival:
    """A submit that waits to be stored, and what became of it."""

    new: NewExecution
    admit: Callable[[Execution], Execution]
    outcome: Submitted | BaseException = field(default_factory=lambda: AssertionError("not stored yet"))


@dataclass(slots=True)
class _Wish:
    """What is to happen, and what became of it."""

    happened: Happened
    results: dict[str, Execution] = field(default_factory=dict)
    error: Exception | None = None


class Ledger:
    """Memory and store as one. All methods run on the core's loop; SQL runs in one writer thread and a few readers."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        *,
        carry_out: CarryOut,
        on_change: Callable[[], None],
        on_end: Callable[[Execution], None],
        on_doubt: Callable[[], None],
    ) -> None:
        """``on_doubt`` is called when the store may have what memory has not: it must be read again before anything else is done."""
        self._store = store
        self._clock = clock
        self._carry_out = carry_out
        self._on_change = on_change
        self._on_end = on_end
        self._on_doubt = on_doubt
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="zoe-store-writer")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="zoe-store-reader")
        self._turn = asyncio.Lock()
        self._changes: set[asyncio.Task[Any]] = set()
        self._arrived: list[_Arrival] = []
        self._together = 0
        """So many submits had the last commit of them."""
        self._is_more = asyncio.Event()
        self._wishes: list[_Wish] = []
        self.executions = Living()
        self.leases: dict[str, Lease] = {}
        self.settled = Settled()
        self.feed = Feed(self._read_log, 0)
        self._trouble: tuple[Reason, float] | None = None

    async def open(self, holder: str, find_turn: Callable[[Store], int | None]) -> None:
        """Bring the schema up to date, become the only writer, and read all that lives."""
        await self.write(self._store.migrate)
        failpoint("open.migrated")
        earlier = await self.write(find_turn, self._store)
        await self.write(lambda: self._store.take_over(holder, self._clock(), earlier=earlier))
        failpoint("open.taken")
        self.executions.fill(await self.read(self._store.live))
        self.leases = {lease.id: lease for lease in await self.read(self._store.leases)}
        self.settled = await self.read(self._store.settled)
        self.feed.last_seq = await self.read(self._store.last_seq)

    async def close(self) -> None:
        """What was begun is done first."""
        await asyncio.gather(*self._changes, return_exceptions=True)
        async with self._turn:
            if self._store.is_shared:
                with suppress(StoreError):
                    await self.write(self._store.step_down, self._clock())
            for pool in (self._writer, self._readers):
                await asyncio.to_thread(pool.shutdown)
            self._store.close()

    async def write(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            done = await _in(self._writer, lambda: function(*args, **kwargs))
        except StoreError as error:
            self._note_failure(error)
            raise
        self._trouble = None
        return done

    def _note_failure(self, error: StoreError) -> None:
        if isinstance(error, StaleWrite) or error.details.get("outcome") == "unknown":
            self._on_doubt()
        if isinstance(error, _PASSING):
            self._trouble = Reason(error.reason, error.message), asyncio.get_running_loop().time() + TOLD_S

    @property
    def trouble(self) -> Reason | None:
        """What the last write failed of: it cannot be stored, and is told from memory."""
        if self._trouble is None or asyncio.get_running_loop().time() > self._trouble[1]:
            return None
        return self._trouble[0]

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await _in(self._readers, lambda: function(*args, **kwargs))

    async def _read_log(self, since: int, limit: int) -> Sequence[LogEvent]:
        return await self.read(lambda: self._store.events(since=since, limit=limit))

    async def submit(
        self,
        execution: Execution,
        *,
        key: str | None,
        digest: str,
        secrets: Mapping[str, str],
        lease: Lease | None,
        admit: Callable[[Execution], Execution] = lambda execution: execution,
    ) -> tuple[Execution, bool]:
        """Store a new execution durably; with a known key the earlier one and False. Those that come together share a commit.

        ``admit`` has the last word about what is stored, in the turn that stores it: nothing changes in between.
        """
        drafts = [self._draft(execution, "execution.submitted", {"name": execution.name, "entry": execution.entry})]
        arrival = _Arrival(NewExecution(execution, key, digest, drafts, secrets, lease), admit)
        self._arrived.append(arrival)
        if len(self._arrived) > self._together:
            self._is_more.set()
        await self._in_turn(self._store_arrived)
        if isinstance(arrival.outcome, BaseException):
            raise arrival.outcome
        stored, is_new, _ = arrival.outcome
        return self.executions.get(stored.id, stored), is_new

    async def _store_arrived(self) -> None:
        """All that wait to be stored; nothing when an earlier turn has stored them."""
        await self._gather()
        arrived, self._arrived = [a for a in self._arrived if self._is_admitted(a)], []
        if not arrived:
            return
        failpoint("submit.before")
        try:
            outcomes = await self.write(lambda: self._store.submit_all([a.new for a in arrived], now=self._clock()))
        except Exception as error:
            for arrival in arrived:
                arrival.outcome = error
            return
        failpoint("submit.after")
        for arrival, outcome in zip(arrived, outcomes, strict=True):
            arrival.outcome = outcome
            if isinstance(outcome, StoreError):
                self._note_failure(outcome)
            elif not isinstance(outcome, Exception):
                self._take_in(arrival.new, *outcome)

    async def _gather(self) -> None:
        """Let those come who submit at the same time. Who comes alone waits only right after several, and once."""
        if 0 < len(self._arrived) <= self._together > 1:
            self._is_more.clear()
            await wait_set(self._is_more, GATHER_S)
        self._together = len(self._arrived) or self._together

    def _is_admitted(self, arrival: _Arrival) -> bool:
        """What is admitted waits from the moment it is stored: its place in the queue is part of the same transaction.

        Whatever goes wrong with one is its own trouble: the others wait for the same commit.
        """
        try:
            execution, effects = step(arrival.admit(arrival.new.execution), Accepted(), self._clock())
        except Exception as error:
            arrival.outcome = error
            return False
        drafts = [self._draft(execution, one.kind, one.data, one) for one in effects if isinstance(one, Record)]
        arrival.new = replace(arrival.new, execution=execution, events=[*arrival.new.events, *drafts])
        return True

    def _take_in(self, new: NewExecution, stored: Execution, is_new: bool, events: Sequence[LogEvent]) -> None:
        if is_new:
            self.executions[stored.id] = stored
            if new.lease is not None:
                self.leases[new.lease.id] = new.lease
        self.feed.publish(events)

    async def _in_turn(self, change: Callable[[], Awaitable[T]]) -> T:
        """One change after the other, each to its end also when whoever asked for it goes away in the middle:

        what the store has and memory has not would make the store refuse every later change.
        """

        async def turn() -> T:
            async with self._turn:
                return await change()

        task = asyncio.get_running_loop().create_task(turn(), name="zoe change")
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)

    async def apply(self, execution_id: str, *events: Event) -> Execution | None:
        """Let events happen to one execution, in one transaction; None when it does not live."""
        return (await self.apply_all({execution_id: events})).get(execution_id)

    async def apply_all(self, happened: Happened) -> dict[str, Execution]:
        """Let events happen to several executions, in one transaction; answers with those that live or just ended.

        What waits for its turn at the same time shares the transaction, each after the other.
        """
        wish = _Wish(happened)
        self._wishes.append(wish)
        await self._in_turn(self._apply_wishes)
        if wish.error is not None:
            raise wish.error
        return wish.results

    async def _apply_wishes(self) -> None:
        """All that wait; nothing when an earlier turn has done them."""
        wishes, self._wishes = self._wishes, []
        if wishes:
            await self._apply_together(wishes)

    async def apply_to_all(self, event: Event, *, then: Callable[[], None] = lambda: None) -> None:
        """Let one event happen to all that live, and do ``then`` before anything else can happen."""

        async def apply() -> None:
            await self._apply_now({execution_id: [event] for execution_id in self.executions})
            then()

        await self._in_turn(apply)

    async def decide(self, make: Callable[[], Awaitable[tuple[Happened, Kept]]]) -> dict[str, Execution]:
        """Look and act in one turn: nothing changes between what ``make`` saw and what follows from it.

        What it says is to be kept is stored in the same transaction.
        """

        async def look_and_act() -> dict[str, Execution]:
            happened, kept = await make()
            return await self._apply_now(happened, kept)

        return await self._in_turn(look_and_act)

    async def _apply_now(self, happened: Happened, kept: Kept = NOTHING) -> dict[str, Execution]:
        wish = _Wish(happened)
        await self._apply_together([wish], kept)
        if wish.error is not None:
            raise wish.error
        return wish.results

    async def _apply_together(self, wishes: Sequence[_Wish], kept: Kept = NOTHING) -> None:
        """One transaction for all; an event that is refused is the trouble of its own wish."""
        steps = _Steps(self.executions, self._clock())
        for wish in wishes:
            steps.take(wish)
        drafts = [self._draft(one, record.kind, record.data, record) for one, record in steps.records]
        try:
            await self._commit(list(steps.changed.values()), drafts, kept)
        except Exception as error:
            for wish in wishes:
                wish.error = wish.error or error
            return
        for wish in wishes:
            wish.results = {key: steps.now.get(key, found) for key, found in wish.results.items()}
        for execution_id, effects in steps.effects:
            self._carry_out(steps.now[execution_id], effects)
        if steps.changed:
            self._on_change()

    async def _commit(self, changed: Sequence[Execution], drafts: Sequence[EventDraft], kept: Kept = NOTHING) -> None:
        if not changed and not drafts and not kept:
            return
        failpoint("save.before")
        events = await self.write(lambda: self._store.save(changed, drafts, kept=kept))
        failpoint("save.after")
        for execution in changed:
            if execution.is_ended:
                self._on_end(execution)
                del self.executions[execution.id]
                self._forget_leases(execution.id)
            else:
                self.executions[execution.id] = execution
        self.feed.publish(events)

    def _forget_leases(self, execution_id: str) -> None:
        for key in [key for key, lease in self.leases.items() if lease.execution_id == execution_id]:
            del self.leases[key]

    async def prove(self) -> None:
        """Raises Fenced when another core has taken over: what this one does not know may be that one's."""
        await self._in_turn(lambda: self.write(self._store.save, (), ()))

    async def note(self, notes: Iterable[tuple[Execution, str, Mapping[str, object]]]) -> None:
        """Append events that change no status, such as new places in the queue."""
        drafts = [self._draft(execution, kind, data) for execution, kind, data in notes]
        await self._in_turn(lambda: self._commit((), drafts))

    async def put_lease(self, lease: Lease) -> None:

        async def put() -> None:
            failpoint("lease.before")
            await self.write(self._store.put_lease, lease)
            failpoint("lease.after")
            self.leases[lease.id] = lease

        await self._in_turn(put)

    async def drop_leases(self, ids: Sequence[str]) -> None:

        async def drop() -> None:
            failpoint("lease_end.before")
            await self.write(self._store.drop_leases, list(ids))
            failpoint("lease_end.after")
            for lease_id in ids:
                self.leases.pop(lease_id, None)

        await self._in_turn(drop)

    async def set_node_enabled(self, name: str, *, is_enabled: bool, by: str) -> None:

        async def change() -> None:
            kind, now = ("node.enabled" if is_enabled else "node.disabled"), self._clock()
            events = [EventDraft(kind, execution_id="", owner="", data={"node": name, "by": by}, at=now)]
            if is_enabled:
                logged = await self.write(lambda: self._store.enable_node(name, events=events))
                disabled = self.settled.disabled_nodes - {name}
            else:
                logged = await self.write(lambda: self._store.disable_node(name, by=by, now=now, events=events))
                disabled = self.settled.disabled_nodes | {name}
            self.settled = replace(self.settled, disabled_nodes=disabled)
            self.feed.publish(logged)

        await self._in_turn(change)
        self._on_change()

    async def drain_node(self, name: str, begins_at: float | None, *, by: str) -> None:
        """From then on nothing is to be there; None: not any more."""

        async def change() -> None:
            kind = "node.drained" if begins_at is not None else "node.undrained"
            events = [EventDraft(kind, "", "", {"node": name, "by": by, "begins_at": begins_at}, at=self._clock())]
            logged = await self.write(lambda: self._store.drain_node(name, begins_at, by=by, events=events))
            others = {key: at for key, at in self.settled.drained_nodes.items() if key != name}
            drained = others if begins_at is None else {**others, name: begins_at}
            self.settled = replace(self.settled, drained_nodes=drained)
            self.feed.publish(logged)

        await self._in_turn(change)
        self._on_change()

    async def put_quota(self, owner: str, quota: Quota | None, *, by: str) -> None:
        """None: nothing of its own any more."""

        async def change() -> None:
            now, data = self._clock(), {"of": owner, "by": by, "quota": None if quota is None else asdict(quota)}
            events = [EventDraft("quota.changed", "", "", data, at=now)]
            logged = await self.write(lambda: self._store.put_quota(owner, quota, by=by, now=now, events=events))
            others = {key: found for key, found in self.settled.quotas.items() if key != owner}
            self.settled = replace(self.settled, quotas=others if quota is None else {**others, owner: quota})
            self.feed.publish(logged)

        await self._in_turn(change)
        self._on_change()

    async def known(self, ids: Collection[str]) -> set[str]:
        """Those that the store has ever heard of."""
        return await self.read(self._store.known, sorted(ids))

    async def disown(self, execution_id: str, *, by: str) -> None:
        """Write down that what is not known under this id is to be ended: from now on it is known."""
        drafts = [EventDraft("quarantine.stopped", execution_id, "", {"by": by}, at=self._clock())]

        async def write() -> None:
            self.feed.publish(await self.write(self._store.save, (), drafts))

        await self._in_turn(write)

    async def forget(self, execution_id: str) -> None:

        async def forget() -> None:
            self.feed.publish(await self.write(self._store.forget, execution_id))

        await self._in_turn(forget)

    def _draft(
        self, execution: Execution, kind: str, data: Mapping[str, object], record: Record | None = None
    ) -> EventDraft:
        body = dict(data)
        if record is not None and record.reason is not None:
            body["reason"] = asdict(record.reason)
        return EventDraft(kind=kind, execution_id=execution.id, owner=execution.owner, data=body, at=self._clock())


async def _in(pool: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    """What it comes to in one of these threads; raises Unavailable when they were let go of."""
    try:
        doing = asyncio.get_running_loop().run_in_executor(pool, work)
    except RuntimeError:
        raise Unavailable("Zoe is being closed, and nothing was done; ask again when it is back") from None
    return await doing


class _Steps:
    """What becomes of executions, one wish after the other."""

    def __init__(self, executions: Mapping[str, Execution], moment: float) -> None:
        self._executions = executions
        self._moment = moment
        self.now: dict[str, Execution] = {}
        """Those that were touched, as they are now."""
        self.changed: dict[str, Execution] = {}
        """Those of them that are to be stored."""
        self.records: list[tuple[Execution, Record]] = []
        self.effects: list[tuple[str, list[Effect]]] = []

    def take(self, wish: _Wish) -> None:
        for execution_id, events in wish.happened.items():
            self._try_step(wish, execution_id, events)

    def _try_step(self, wish: _Wish, execution_id: str, events: Sequence[Event]) -> None:
        """An impossible event among others is a defect that holds up none of them."""
        try:
            self._step(wish, execution_id, events)
        except ZoeError as error:
            if isinstance(error, InvalidTransition) and len(wish.happened) > 1:
                logger.exception("execution %s: event refused", execution_id)
            else:
                wish.error = error

    def _step(self, wish: _Wish, execution_id: str, events: Sequence[Event]) -> None:
        stored = self._executions.get(execution_id)
        before = self.now.get(execution_id, stored)
        if before is None or stored is None:
            return
        after, effects = before, list[Effect]()
        for event in events:
            after, more = step(after, event, self._moment)
            effects += more
        records = [effect for effect in effects if isinstance(effect, Record)]
        self.records += [(after, record) for record in records]
        if after != before or records:
            after = self.changed[execution_id] = replace(after, version=stored.version + 1)
        wish.results[execution_id] = self.now[execution_id] = after
        actions: list[Effect] = [effect for effect in effects if not isinstance(effect, Record)]
        if actions:
            self.effects.append((execution_id, actions))
