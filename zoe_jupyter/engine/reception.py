"""Where submissions come in: one after the other for each user, each key once, names and quotas settled in the turn that stores them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.engine.door import Caller, Check, Submission
from zoe_jupyter.engine.gate import Gate
from zoe_jupyter.engine.holding import Holding
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.engine.nodes import Nodes
from zoe_jupyter.engine.quotas import Book
from zoe_jupyter.engine.submitting import Submitter, digest, new_lease, new_secrets
from zoe_jupyter.engine.under_way import UnderWay
from zoe_jupyter.model.errors import BackendError, Unavailable, ZoeError
from zoe_jupyter.model.execution import Execution, Lease
from zoe_jupyter.store.repository import Store


class Reception:
    def __init__(
        self,
        *,
        ledger: Ledger,
        store: Store,
        nodes: Nodes,
        submitter: Submitter,
        holding: Holding,
        book: Book,
        gate: Gate,
        clock: Callable[[], float],
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._nodes = nodes
        self._submitter = submitter
        self._holding = holding
        self._book = book
        self._gate = gate
        self._clock = clock
        self._under_way = UnderWay()

    async def check(self, submission: Submission, caller: Caller, *, is_reachable: bool) -> Check:
        """What would become of it now; changes nothing."""
        async with self._gate.turn(caller.name):
            with told_to_users():
                return await self._submitter.check(
                    submission,
                    caller,
                    nodes=self._nodes.now,
                    book=self._book,
                    is_reachable=is_reachable,
                )

    async def submit(self, submission: Submission, caller: Caller, *, key: str | None) -> tuple[Execution, bool]:
        """Store it, or find what was stored with that key before."""
        body = digest(submission)
        async with self._gate.turn(caller.name), self._under_way.one_by_one(caller.name, key):
            try:
                return await self._store_new(submission, caller, key=key, body=body)
            except ZoeError:
                # A repeated submit is not judged by what it itself takes up: its name, for one.
                if key is not None and (earlier := await self._earlier(caller, key, body)) is not None:
                    return earlier, False
                raise

    async def _store_new(
        self, submission: Submission, caller: Caller, *, key: str | None, body: str
    ) -> tuple[Execution, bool]:
        with told_to_users():
            execution = await self._submitter.execution(submission, caller, nodes=self._nodes.now)
        secrets, lease = new_secrets(execution.application), self._first_lease(execution, submission)
        with self._under_way.named(submission, execution, self._ledger.executions.names(execution.owner)) as named:
            stored, is_new = await self._ledger.submit(
                named,
                key=key,
                digest=body,
                secrets=secrets,
                lease=lease,
                admit=lambda one: self._book.admit(one, has_own_end=submission.lifetime is not None),
            )
        if is_new and lease is not None:
            await self._holding.settle([stored.id])
        return self._ledger.executions.get(stored.id, stored), is_new

    def _first_lease(self, execution: Execution, submission: Submission) -> Lease | None:
        if not submission.lease:
            return None
        return new_lease(execution.id, kind=submission.lease, client=submission.client, ttl_s=None, now=self._clock())

    async def _earlier(self, caller: Caller, key: str, body: str) -> Execution | None:
        """What was submitted with this key before."""
        found = await self._ledger.read(
            lambda: self._store.find_by_key(caller.name, key, digest=body, now=self._clock())
        )
        return None if found is None else self._ledger.executions.get(found.id, found)


@contextmanager
def told_to_users() -> Iterator[None]:
    """A backend that does not answer or refuses now is nobody's fault and passes."""
    try:
        yield
    except (Unreachable, BackendError) as error:
        raise Unavailable(f"the machines do not answer now: {error}; ask again") from error
