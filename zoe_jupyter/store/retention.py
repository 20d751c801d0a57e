"""Forgetting what is old, a bounded batch at a time, so that nobody waits long for the write lock."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, delete, select, tuple_

from zoe_jupyter.store.reading import KEY_LIFE_S
from zoe_jupyter.store.schema import events, executions, keys

BATCH = 50
"""Executions of one transaction."""
_EVENT_BATCH = 2000
_KEY_BATCH = 1000


def old_executions(connection: Connection, before: float, limit: int, keeping: Collection[str]) -> list[str]:
    """Ids of those that ended before, oldest first, but of those to be kept."""
    oldest = select(executions.c.id).where(executions.c.ended_at < before)
    ordered = oldest.order_by(executions.c.ended_at, executions.c.id).limit(limit + len(keeping))
    return [each for each in connection.execute(ordered).scalars() if each not in keeping][:limit]


def delete_old_executions(connection: Connection, before: float, ids: Collection[str]) -> list[str]:
    """Delete those of a batch that ended before, with their events; returns their ids."""
    is_old = (executions.c.ended_at < before) & executions.c.id.in_(ids)
    old = list(connection.execute(select(executions.c.id).where(is_old)).scalars())
    if old:
        connection.execute(delete(events).where(events.c.execution_id.in_(old)))
        connection.execute(delete(executions).where(executions.c.id.in_(old)))
    return old


def delete_old_events(connection: Connection, before: float) -> int:
    """Delete a batch of old events of executions that were forgotten (or never were); returns how many."""
    stored = select(executions.c.id).where(executions.c.id == events.c.execution_id).exists()
    oldest = select(events.c.seq).where(events.c.at < before, ~stored).order_by(events.c.at).limit(_EVENT_BATCH)
    return connection.execute(delete(events).where(events.c.seq.in_(oldest))).rowcount


def delete_old_keys(connection: Connection, now: float) -> int:
    """Delete a batch of idempotency keys that are no longer honoured; returns how many."""
    too_old = keys.c.created_at < now - KEY_LIFE_S
    oldest = select(keys.c.owner, keys.c.key).where(too_old).order_by(keys.c.created_at).limit(_KEY_BATCH)
    return connection.execute(delete(keys).where(tuple_(keys.c.owner, keys.c.key).in_(oldest))).rowcount
