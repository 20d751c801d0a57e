"""The store as the engine sees it: plain methods, dataclasses in and out, one transaction each."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TypeVar

from sqlalchemy import Connection, RootTransaction, event
from sqlalchemy.exc import DBAPIError

from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.execution import Execution, Lease, LogEvent, State
from zoe_jupyter.model.quota import Quota
from zoe_jupyter.store import connections, migration, reading, retention, settled, submitting, writing
from zoe_jupyter.store.connections import file_url, shared_name
from zoe_jupyter.store.errors import Fenced, StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreGone, StoreUnwritable
from zoe_jupyter.store.footing import Footing, NoFooting
from zoe_jupyter.store.records import EventDraft
from zoe_jupyter.store.reserve import NoReserve, Reserve
from zoe_jupyter.store.schema import executions as executions_table
from zoe_jupyter.store.settled import Settled
from zoe_jupyter.store.submitting import NewExecution, Submitted
from zoe_jupyter.store.writing import Transaction

T = TypeVar("T")

__all__ = ["EventDraft", "NewExecution", "Settled", "Store", "Submitted", "file_url", "shared_name"]

_EXPIRE_BATCHES = 10
"""Of one call of ``expire``."""
_LANDED_PAUSE_S = 0.25
NOTHING: Mapping[str, str] = {}


class Store:
    """Reads from any thread; writes too, one after the other, and only after ``take_over``.

    Every method raises StoreBusy, StoreFull, StoreCorrupt or StoreError when the database fails; every write raises
    Fenced once another core has taken over. A write that raised has changed nothing, unless the error's details say
    ``outcome: unknown``. After StoreUnwritable that holds for as long as this process lives: what a failing disk took of
    the last commit is either overwritten by the next one, or found by the next start.
    """

    def __init__(self, url: str) -> None:
        """Connects to nothing yet; raises StoreError for a URL that Zoe cannot use."""
        self._url = connections.parse_url(url)
        self._place = connections.shown(self._url)
        self._engines = connections.open_engines(self._url)
        self._one_writer = Lock()
        is_file = connections.is_sqlite(self._url)
        file = Path(str(self._url.database))
        self._reserve: Reserve | NoReserve = Reserve(file) if is_file else NoReserve()
        self._footing: Footing | NoFooting = Footing(file) if is_file else NoFooting()
        event.listen(self._engines.writing, "connect", lambda *_: self._footing.lose())
        self._epoch: int | None = None
        self._damage: StoreCorrupt | None = None
        # What is stored now of the executions that live, so that a save sees which services changed without reading them.
        self._stored: dict[str, Execution] = {}

    def migrate(self) -> None:
        """Create the database or bring it up to date; raises StoreTooNew, StoreCorrupt, StoreError, with nothing changed."""
        self._with_reserve(self._bring_up_to_date)

    def _bring_up_to_date(self) -> None:
        with self._one_writer, connections.translated(self._place):
            try:
                migration.bring_up_to_date(self._url, self._engines.writing)
            except OSError as error:
                raise StoreError(f"{self._place} cannot be opened: {error.strerror or error}") from error

    def close(self) -> None:
        self._engines.dispose()

    @property
    def is_shared(self) -> bool:
        """Whether cores of other folders and hosts may use it too."""
        return not connections.is_sqlite(self._url)

    @property
    def place(self) -> str:
        """Where it is, as people may see it."""
        return self._place

    def seat(self) -> tuple[int, str, int]:
        """Epoch, holder, and how often it has written."""
        return self._read(reading.seat)

    def step_down(self, now: float) -> None:
        """Leave the seat, so that the next core need not wait; raises Fenced when another has it already."""
        self._write(lambda transaction: transaction.take_over("", now))
        self._epoch = None

    def take_over(self, holder: str, now: float, *, earlier: int | None = None) -> int:
        """Become the one writer; ``holder`` is for people. Returns the new epoch.

        Raises Fenced when ``earlier`` is given and is not the epoch any more: then somebody else was quicker.
        """
        epoch = self._write(lambda transaction: transaction.take_over(holder, now, earlier=earlier), is_fenced=False)
        self._reserve.hold()
        self._stored.clear()
        self._epoch = epoch
        return epoch

    def submit(self, new: NewExecution, *, now: float) -> Submitted:
        """Store a new execution, with all that belongs to it; with a known key of its owner, return the earlier one and False.

        Raises Conflict when the key stood for another request (``digest``) in the last seven days, StoreFull as soon as there is
        too little room to be sure that it can be stopped again, and StoreGone when the next start would not find it.
        """
        (outcome,) = self.submit_all([new], now=now)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def submit_all(self, wanted: Sequence[NewExecution], *, now: float) -> list[Submitted | Exception]:
        """Store several, with one commit for all; the error of one harms no other. Raises what concerns all of them, as ``submit`` does.

        Where not all can share a commit, what concerns all is the outcome of those only that came after it.
        """
        if not self._reserve.hold():
            raise StoreFull(connections.full_text(self._place))
        try:
            with self._transaction() as transaction:
                if not self._footing.is_firm():
                    raise StoreGone(connections.gone_text(self._place))
                outcomes = submitting.submit_all(transaction, wanted, now)
        except (Fenced, StoreBusy, StoreFull, StoreUnwritable, StoreGone, StoreCorrupt):
            raise
        except Exception as error:
            return [error] if len(wanted) == 1 else self._submitted_one_by_one(wanted, now=now)
        self._remember([outcome[0] for outcome in outcomes if not isinstance(outcome, Exception) and outcome[1]])
        return outcomes

    def _submitted_one_by_one(self, wanted: Sequence[NewExecution], *, now: float) -> list[Submitted | Exception]:
        """What concerns all is told to those that come after it without another try, which may take long: the earlier ones are stored."""
        outcomes: list[Submitted | Exception] = []
        try:
            for new in wanted:
                outcomes += self.submit_all([new], now=now)
        except StoreError as error:
            untried = type(error)(error.message)  # whatever is not known of the one, these were not stored
            outcomes += [error, *[untried] * (len(wanted) - len(outcomes) - 1)]
        return outcomes

    def find_by_key(self, owner: str, key: str, *, digest: str, now: float) -> Execution | None:
        """What was submitted with this key before; raises Conflict as ``submit`` does.

        Spares a repeated submit the checks that its first one passed.
        """
        return self._read(lambda connection: reading.find_by_key(connection, owner, key, digest=digest, now=now))

    def save(
        self, executions: Sequence[Execution], events: Sequence[EventDraft], *, kept: Mapping[str, str] = NOTHING
    ) -> list[LogEvent]:
        """Store changed executions, what happened, and what is to be kept by name; raises StaleWrite unless each version follows the stored one."""

        def update(transaction: Transaction) -> list[LogEvent]:
            writing.update_executions(transaction.connection, executions, self._stored)
            settled.keep(transaction.connection, kept)
            return transaction.append(events)

        logged = self._write(update)
        self._remember(executions)
        return logged

    def live(self) -> list[Execution]:
        """All that have not ended, newest first."""
        return self._read(reading.live)

    def get(self, execution_id: str) -> Execution | None:
        found = self._read(lambda connection: reading.load(connection, executions_table.c.id == execution_id))
        return found[0] if found else None

    def find_by_name(self, owner: str, name: str) -> Execution | None:
        """The newest of that name that lives, else the newest that ended."""
        return self._read(lambda connection: reading.find_by_name(connection, owner, name))

    def find(
        self,
        *,
        states: Sequence[State] = (),
        owner: str = "",
        labels: Mapping[str, str] | None = None,
        parent: str = "",
        limit: int = 100,
        cursor: str | None = None,
    ) -> tuple[list[Execution], str | None]:
        """One page, newest first, and the cursor of the next; empty filters filter nothing.

        Raises UserError for a cursor that is none.
        """
        return self._read(
            lambda connection: reading.find(
                connection,
                states=states,
                owner=owner,
                wanted=labels or {},
                parent=parent,
                limit=limit,
                cursor=cursor or "",
            )
        )

    def forget(self, execution_id: str, *, now: float | None = None) -> list[LogEvent]:
        """Delete an ended execution and all that is its own, but for its events; raises NotFound, Conflict while it lives."""

        def delete(transaction: Transaction) -> list[LogEvent]:
            draft = writing.forget(transaction.connection, execution_id)
            return transaction.append([replace(draft, at=time.time() if now is None else now)])

        return self._write(delete)

    def events(self, *, since: int, limit: int, owner: str = "", execution_id: str = "") -> list[LogEvent]:
        """At most ``limit`` events after number ``since``, in order."""
        return self._read(
            lambda connection: reading.read_events(
                connection, since=since, limit=limit, owner=owner, execution_id=execution_id
            )
        )

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these executions that it has ever heard of, also of ended and forgotten ones."""
        return self._read(lambda connection: reading.known(connection, ids))

    def last_seq(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._read(reading.last_seq)

    def put_lease(self, lease: Lease, events: Sequence[EventDraft] = ()) -> list[LogEvent]:
        """Take or renew it; raises NotFound when its execution is gone."""
        return self._change(lambda connection: writing.put_lease(connection, lease), events)

    def drop_leases(self, ids: Sequence[str], events: Sequence[EventDraft] = ()) -> list[LogEvent]:
        """Ids that are not stored are passed over."""
        return self._change(lambda connection: writing.drop_leases(connection, ids), events)

    def leases(self) -> list[Lease]:
        """Of all executions that live, oldest first."""
        return self._read(reading.read_leases)

    def settled(self) -> Settled:
        """Quotas, machines out of use, and what one decision left for the next."""
        return self._read(settled.read)

    def put_quota(
        self, owner: str, quota: Quota | None, *, by: str, now: float, events: Sequence[EventDraft] = ()
    ) -> list[LogEvent]:
        """None: nothing of its own any more."""
        return self._change(lambda connection: settled.put_quota(connection, owner, quota, by=by, now=now), events)

    def drain_node(
        self, name: str, begins_at: float | None, *, by: str, events: Sequence[EventDraft] = ()
    ) -> list[LogEvent]:
        """None: not any more."""
        return self._change(lambda connection: settled.drain_node(connection, name, begins_at, by=by), events)

    def runs(self, limit: int) -> list[tuple[str, str, float]]:
        """Entry, owner, and work done, in seconds, of the newest that ended well; oldest first."""
        return self._read(lambda connection: settled.read_runs(connection, limit))

    def disable_node(self, name: str, *, by: str, now: float, events: Sequence[EventDraft] = ()) -> list[LogEvent]:
        return self._change(lambda connection: writing.disable_node(connection, name, by=by, now=now), events)

    def enable_node(self, name: str, *, events: Sequence[EventDraft] = ()) -> list[LogEvent]:
        """One that is enabled stays so."""
        return self._change(lambda connection: writing.enable_node(connection, name), events)

    def secrets(self, execution_id: str) -> dict[str, str]:
        return self._read(lambda connection: reading.read_secrets(connection, execution_id))

    def expiring(self, now: float, history_s: float, *, keeping: Collection[str] = ()) -> list[str]:
        """Ids of executions that ended longer ago than ``history_s``, oldest first, without ``keeping``; bounded."""
        most = _EXPIRE_BATCHES * retention.BATCH
        return self._read(lambda connection: retention.old_executions(connection, now - history_s, most, keeping))

    def expire(self, now: float, history_s: float, *, only: Sequence[str] | None = None) -> list[str]:
        """Delete some of what ended longer ago than ``history_s``, its events, and keys of the past; returns the executions' ids.

        ``only``: no other executions than these. Bounded: call it again soon as long as it returns any.
        """
        before = now - history_s
        ids = self.expiring(now, history_s) if only is None else only
        forgotten: list[str] = []
        for first in range(0, len(ids), retention.BATCH):
            forgotten += self._forget_old(before, ids[first : first + retention.BATCH])
        self._write(lambda transaction: retention.delete_old_events(transaction.connection, before))
        self._write(lambda transaction: retention.delete_old_keys(transaction.connection, now))
        return forgotten

    def _forget_old(self, before: float, ids: Sequence[str]) -> list[str]:
        return self._write(lambda transaction: retention.delete_old_executions(transaction.connection, before, ids))

    def _read(self, query: Callable[[Connection], T]) -> T:
        with connections.translated(self._place), self._engines.reading.begin() as connection:
            return query(connection)

    def _change(self, change: Callable[[Connection], None], events: Sequence[EventDraft]) -> list[LogEvent]:
        def apply(transaction: Transaction) -> list[LogEvent]:
            change(transaction.connection)
            return transaction.append(events)

        return self._write(apply)

    def _write(self, work: Callable[[Transaction], T], *, is_fenced: bool = True) -> T:
        """One transaction of what already lives: on a full disk the reserve makes room for it."""

        def write() -> T:
            with self._transaction(is_fenced=is_fenced) as transaction:
                return work(transaction)

        return self._with_reserve(write)

    def _with_reserve(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except StoreFull:
            if not self._reserve.give_up():
                raise
        return self._with_reserve(work)

    @contextmanager
    def _transaction(self, *, is_fenced: bool = True) -> Iterator[Transaction]:
        if is_fenced and self._epoch is None:
            raise Fenced("this core has not taken over the store; it may not write")
        epoch = self._epoch if is_fenced else None
        if self._damage is not None:
            raise self._damage
        with (
            self._noticing_damage(),
            self._one_writer,
            connections.translated(self._place),
            self._engines.writing.connect() as connection,
        ):
            begun = connection.begin()
            transaction = Transaction(connection, epoch)
            yield transaction
            transaction.close()
            failpoint("commit.before")
            # Leaving without having come here gives the connection back, which rolls back.
            self._commit(begun, transaction)
            self._footing.take()

    @contextmanager
    def _noticing_damage(self) -> Iterator[None]:
        """Nothing more is written to a file that was found damaged: what can be saved of it is in it as it is."""
        try:
            yield
        except StoreCorrupt as error:
            self._damage = error
            raise

    def _commit(self, begun: RootTransaction, transaction: Transaction) -> None:
        try:
            begun.commit()
        except DBAPIError as error:
            if not error.connection_invalidated or not self._has_landed(transaction):
                raise

    def _has_landed(self, transaction: Transaction) -> bool:
        """See whether a commit whose answer was lost was made; raises StoreBusy when that cannot be seen soon."""
        deadline = time.monotonic() + connections.BUSY_S
        while time.monotonic() < deadline:
            writes = self._count_writes(transaction.epoch)
            if writes is not None:
                return writes >= transaction.writes
            time.sleep(_LANDED_PAUSE_S)
        raise StoreBusy(f"{self._place} was cut off during a commit", details={"outcome": "unknown"})

    def _count_writes(self, epoch: int) -> int | None:
        """None while the database cannot be asked."""
        try:
            # Locks the row, and so waits for a commit that is still being made.
            with self._engines.writing.begin() as connection:
                return Transaction(connection, epoch).writes - 1
        except DBAPIError:
            return None

    def _remember(self, saved: Sequence[Execution]) -> None:
        for execution in saved:
            if execution.is_ended:
                self._stored.pop(execution.id, None)
            else:
                self._stored[execution.id] = execution
