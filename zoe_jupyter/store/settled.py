"""What is settled beside executions: quotas, machines to be drained, and what one decision leaves for the next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, select

from zoe_jupyter.model.execution import State
from zoe_jupyter.model.quota import Quota
from zoe_jupyter.store.errors import StoreCorrupt
from zoe_jupyter.store.schema import disabled_nodes, drained_nodes, executions, kept, quotas

_QUOTA = TypeAdapter(Quota)
USUAL_ENDS = ("succeeded", "stopped", "expired")


@dataclass(frozen=True, slots=True)
class Settled:
    """All of it, as it is stored."""

    disabled_nodes: frozenset[str] = frozenset()
    drained_nodes: Mapping[str, float] = field(default_factory=dict)
    """Since when, or from when on; epoch seconds."""
    quotas: Mapping[str, Quota] = field(default_factory=dict)
    """By user, ``group:NAME``, or ``default``."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """JSON by name."""


def read(connection: Connection) -> Settled:
    return Settled(
        disabled_nodes=frozenset(connection.execute(select(disabled_nodes.c.name)).scalars()),
        drained_nodes={row.name: row.begins_at for row in connection.execute(select(drained_nodes))},
        quotas={row.owner: _quota(row.owner, row.body) for row in connection.execute(select(quotas))},
        kept={row.name: row.body for row in connection.execute(select(kept))},
    )


def _quota(owner: str, body: str) -> Quota:
    try:
        return _QUOTA.validate_json(body)
    except ValidationError as error:
        raise StoreCorrupt(f"the stored quota of {owner} is damaged: {error.errors()[0]['msg']}") from error


def put_quota(connection: Connection, owner: str, quota: Quota | None, *, by: str, now: float) -> None:
    """In the place of what was there; None: nothing of its own any more."""
    connection.execute(delete(quotas).where(quotas.c.owner == owner))
    if quota is not None:
        body = json.dumps(asdict(quota))
        connection.execute(insert(quotas).values(owner=owner, body=body, set_by=by, set_at=now))


def drain_node(connection: Connection, name: str, begins_at: float | None, *, by: str) -> None:
    """In the place of what was there; None: not any more."""
    connection.execute(delete(drained_nodes).where(drained_nodes.c.name == name))
    if begins_at is not None:
        connection.execute(insert(drained_nodes).values(name=name, begins_at=begins_at, drained_by=by))


def keep(connection: Connection, notes: Mapping[str, str]) -> None:
    """In the place of what was there of those names."""
    for name, body in notes.items():
        connection.execute(delete(kept).where(kept.c.name == name))
        connection.execute(insert(kept).values(name=name, body=body))


def read_runs(connection: Connection, limit: int) -> list[tuple[str, str, float]]:
    """Entry, owner and work done, in seconds, of the newest that ended well; oldest first."""
    ended = select(executions.c.owner, executions.c.body).where(executions.c.state == State.ENDED.value)
    newest = ended.order_by(executions.c.ended_at.desc()).limit(limit)
    found = []
    for row in connection.execute(newest):
        body = json.loads(row.body)
        if body.get("entry") and body.get("outcome") in USUAL_ENDS and body.get("done_s"):
            found.append((str(body["entry"]), str(row.owner), float(body["done_s"])))
    return found[::-1]
