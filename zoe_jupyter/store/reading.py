"""Reading executions, events and leases: only what is asked for is fetched and parsed."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select, tuple_

from zoe_jupyter.model.errors import Conflict, UserError
from zoe_jupyter.model.execution import Execution, Lease, LogEvent, State
from zoe_jupyter.store import records
from zoe_jupyter.store.schema import (
    applications,
    core,
    events,
    executions,
    keys,
    labels,
    leases,
    secrets,
    services,
)

ENDED = State.ENDED.value
LIVE = tuple(state.value for state in State if state is not State.ENDED)
MOST = 1000
"""Of one page."""
KEY_LIFE_S = 7 * 86400.0
"""How long an idempotency key is remembered."""
_CHUNK = 500

_NEWEST_FIRST = (executions.c.created_at.desc(), executions.c.id.desc())


def chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """Databases limit how many values one statement may name."""
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]


def load(connection: Connection, *where: ColumnElement[bool]) -> list[Execution]:
    """Newest first."""
    return _whole(connection, select(executions).where(*where).order_by(*_NEWEST_FIRST))


def live(connection: Connection) -> list[Execution]:
    return load(connection, executions.c.state.in_(LIVE))


def find_by_name(connection: Connection, owner: str, name: str) -> Execution | None:
    """The newest that lives, else the newest that ended."""
    named = select(executions).where(executions.c.owner == owner, executions.c.name == name)
    order = ((executions.c.state == ENDED).asc(), *_NEWEST_FIRST)
    found = _whole(connection, named.order_by(*order).limit(1))
    return found[0] if found else None


_KEY = select(keys).where(keys.c.owner == bindparam("owner"), keys.c.key == bindparam("key"))
"""Built once: it is asked for at every submit."""


def find_by_key(connection: Connection, owner: str, key: str, *, digest: str, now: float) -> Execution | None:
    """The execution that this key stands for; raises Conflict when it stands for another request, or for a forgotten one."""
    row = connection.execute(_KEY, {"owner": owner, "key": key}).first()
    if row is None or row.created_at < now - KEY_LIFE_S:
        return None
    details = {"execution": row.execution_id}
    if row.digest != digest:
        used = (
            f"the idempotency key {key!r} was used for another request (execution {row.execution_id}); take a new key"
        )
        raise Conflict(used, details=details)
    found = load(connection, executions.c.id == row.execution_id)
    if not found:
        gone = (
            f"the idempotency key {key!r} stands for execution {row.execution_id}, which is forgotten; take a new key"
        )
        raise Conflict(gone, details=details)
    return found[0]


def find(
    connection: Connection,
    *,
    states: Sequence[State],
    owner: str,
    wanted: Mapping[str, str],
    parent: str,
    limit: int,
    cursor: str,
) -> tuple[list[Execution], str | None]:
    limit = min(max(limit, 1), MOST)
    query = _filtered(states=states, owner=owner, wanted=wanted, parent=parent)
    if cursor:
        query = query.where(tuple_(executions.c.created_at, executions.c.id) < tuple_(*_read_cursor(cursor)))
    # One more than asked for tells whether there is another page; only the page itself is parsed.
    rows = connection.execute(query.order_by(*_NEWEST_FIRST).limit(limit + 1)).mappings().all()
    page = _assemble(connection, rows[:limit])
    return page, _write_cursor(page[-1]) if len(rows) > limit else None


def _filtered(*, states: Sequence[State], owner: str, wanted: Mapping[str, str], parent: str) -> Select[Any]:
    query = select(executions)
    if states:
        query = query.where(executions.c.state.in_([state.value for state in states]))
    if owner:
        query = query.where(executions.c.owner == owner)
    if parent:
        query = query.where(executions.c.parent == parent)
    for key, value in wanted.items():
        carrying = select(labels.c.execution_id).where(labels.c.key == key, labels.c.value == value)
        query = query.where(executions.c.id.in_(carrying))
    return query


def _write_cursor(last: Execution) -> str:
    return base64.urlsafe_b64encode(json.dumps([last.created_at, last.id]).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[float, str]:
    try:
        created_at, own = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(own, str):
            raise TypeError
        return float(created_at), own
    except (ValueError, TypeError) as error:
        raise UserError("this cursor is not one that Zoe gave; ask without it for the first page") from error


def _whole(connection: Connection, query: Select[Any]) -> list[Execution]:
    return _assemble(connection, connection.execute(query).mappings().all())


def _assemble(connection: Connection, rows: Sequence[Mapping[Any, Any]]) -> list[Execution]:
    """Bring applications and services to the rows of executions."""
    found: dict[str, str] = {}
    parts: dict[str, dict[str, str]] = defaultdict(dict)
    for ids in chunks([row["id"] for row in rows]):
        bodies = select(applications.c.execution_id, applications.c.body).where(applications.c.execution_id.in_(ids))
        found.update((row.execution_id, row.body) for row in connection.execute(bodies))
        columns = (services.c.execution_id, services.c.name, services.c.body)
        for row in connection.execute(select(*columns).where(services.c.execution_id.in_(ids))):
            parts[row.execution_id][row.name] = row.body
    return [records.execution_of(dict(row), found[row["id"]], parts.get(row["id"], {})) for row in rows]


def read_events(connection: Connection, *, since: int, limit: int, owner: str, execution_id: str) -> list[LogEvent]:
    query = select(events).where(events.c.seq > since)
    if owner:
        query = query.where(events.c.owner == owner)
    if execution_id:
        query = query.where(events.c.execution_id == execution_id)
    rows = connection.execute(query.order_by(events.c.seq).limit(limit)).mappings()
    return [records.event_of(dict(row)) for row in rows]


def known(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those that are stored, or of which the event log tells."""
    found: set[str] = set()
    for some in chunks(ids):
        found.update(connection.execute(select(executions.c.id).where(executions.c.id.in_(some))).scalars())
        told = select(events.c.execution_id).where(events.c.execution_id.in_(some)).distinct()
        found.update(connection.execute(told).scalars())
    return found


def seat(connection: Connection) -> tuple[int, str, int]:
    """Epoch, holder, and how often it has written."""
    row = connection.execute(select(core.c.epoch, core.c.holder, core.c.writes)).one()
    return int(row.epoch), str(row.holder), int(row.writes)


def last_seq(connection: Connection) -> int:
    return int(connection.execute(select(core.c.seq)).scalar_one())


def read_leases(connection: Connection) -> list[Lease]:
    """Of executions that have not ended, oldest first."""
    query = select(leases.c.body).join(executions).where(executions.c.state.in_(LIVE))
    found = [records.lease_of(body) for body in connection.execute(query).scalars()]
    return sorted(found, key=lambda lease: (lease.created_at, lease.id))


def read_secrets(connection: Connection, execution_id: str) -> dict[str, str]:
    query = select(secrets.c.name, secrets.c.value).where(secrets.c.execution_id == execution_id)
    return {row.name: row.value for row in connection.execute(query)}
