"""Storing what is submitted: several at once, in few statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, delete, insert, select, tuple_

from zoe_jupyter.model.errors import Conflict
from zoe_jupyter.model.execution import Execution, Lease, LogEvent
from zoe_jupyter.store import reading, records, writing
from zoe_jupyter.store.records import EventDraft
from zoe_jupyter.store.schema import applications, executions, keys, labels, secrets, services
from zoe_jupyter.store.writing import Transaction


@dataclass(frozen=True, slots=True)
class NewExecution:
    """What is submitted: an execution, and what is stored with it."""

    execution: Execution
    key: str | None
    digest: str
    """Of the request, which makes two with one key the same."""
    events: Sequence[EventDraft]
    secrets: Mapping[str, str]
    lease: Lease | None


Submitted = tuple[Execution, bool, list[LogEvent]]
"""What is stored, whether it is new, and what happened."""
Key = tuple[str, str]


def submit_all(transaction: Transaction, wanted: Sequence[NewExecution], now: float) -> list[Submitted | Exception]:
    """What became of each, in order; a key that stands for another request is the trouble of its submit only."""
    connection = transaction.connection
    used = _used_keys(connection, wanted)
    outcomes = {number: _earlier(connection, new, used, now) for number, new in enumerate(wanted)}
    fresh = [new for number, new in enumerate(wanted) if outcomes[number] is None]
    _remember_keys(connection, fresh, used, now)
    _insert(connection, fresh)
    logged = iter(transaction.append([event for new in fresh for event in new.events]))
    stored = ((new.execution, True, list(islice(logged, len(new.events)))) for new in fresh)
    return [outcome or next(stored) for outcome in outcomes.values()]


def _key(new: NewExecution) -> Key:
    return new.execution.owner, new.key or ""


def _used_keys(connection: Connection, wanted: Sequence[NewExecution]) -> set[Key]:
    asked = [_key(new) for new in wanted if new.key is not None]
    if not asked:
        return set()
    query = select(keys.c.owner, keys.c.key).where(tuple_(keys.c.owner, keys.c.key).in_(asked))
    return {(row.owner, row.key) for row in connection.execute(query)}


def _earlier(connection: Connection, new: NewExecution, used: set[Key], now: float) -> Submitted | Exception | None:
    """What the key stands for already; None when this one is to be stored."""
    if new.key is None or _key(new) not in used:
        return None
    try:
        known = reading.find_by_key(connection, new.execution.owner, new.key, digest=new.digest, now=now)
    except Conflict as error:
        return error
    return None if known is None else (known, False, [])


def _remember_keys(connection: Connection, fresh: Sequence[NewExecution], used: set[Key], now: float) -> None:
    """One that is no longer honoured makes room."""
    for owner, key in (_key(new) for new in fresh if new.key is not None and _key(new) in used):
        connection.execute(delete(keys).where(keys.c.owner == owner, keys.c.key == key))
    rows = [
        {
            "owner": new.execution.owner,
            "key": new.key,
            "digest": new.digest,
            "execution_id": new.execution.id,
            "created_at": now,
        }
        for new in fresh
        if new.key is not None
    ]
    if rows:
        connection.execute(insert(keys), rows)


def _insert(connection: Connection, fresh: Sequence[NewExecution]) -> None:
    found = [new.execution for new in fresh]
    rows = {
        executions: [records.execution_row(e) for e in found],
        applications: [{"execution_id": e.id, "body": records.application_text(e)} for e in found],
        labels: [{"execution_id": e.id, "key": key, "value": value} for e in found for key, value in e.labels.items()],
        services: [
            {"execution_id": e.id, "name": service.name, "body": records.service_text(e.id, service)}
            for e in found
            for service in e.services.values()
        ],
        secrets: [
            {"execution_id": new.execution.id, "name": name, "value": value}
            for new in fresh
            for name, value in new.secrets.items()
        ],
    }
    for table, those in rows.items():
        if those:
            connection.execute(insert(table), those)
    for new in fresh:
        if new.lease is not None:
            writing.put_lease(connection, new.lease)
