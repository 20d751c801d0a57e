"""One write transaction under the engine's epoch: rows in, numbered events out. Whoever calls it commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from zoe_jupyter.model.errors import Conflict, NotFound
from zoe_jupyter.model.execution import Execution, Lease, LogEvent, Service
from zoe_jupyter.store import reading, records
from zoe_jupyter.store.errors import Fenced, StaleWrite
from zoe_jupyter.store.records import EventDraft
from zoe_jupyter.store.schema import (
    applications,
    core,
    disabled_nodes,
    executions,
    labels,
    leases,
    services,
)
from zoe_jupyter.store.schema import events as events_table


class Transaction:
    """The row of ``zoe_core`` is locked from the beginning to the end, so that numbers are given in the order of commits."""

    def __init__(self, connection: Connection, epoch: int | None) -> None:
        self.connection = connection
        row = connection.execute(_LOCK_CORE).one()
        if epoch is not None and row.epoch != epoch:
            raise Fenced(f"another core ({row.holder}) has taken over this store; this one may not write any more")
        self.epoch: int = row.epoch
        self.seq: int = row.seq
        self.writes: int = row.writes + 1

    def close(self) -> None:
        """Keep the counters; the last thing before the commit."""
        self.connection.execute(_COUNT_ON, {"new_seq": self.seq, "new_writes": self.writes})

    def take_over(self, holder: str, now: float, *, earlier: int | None = None) -> int:
        if earlier is not None and earlier != self.epoch:
            raise Fenced("another core was quicker to take over this store")
        self.epoch += 1
        self.connection.execute(update(core).values(epoch=self.epoch, holder=holder, taken_at=now))
        return self.epoch

    def append(self, drafts: Sequence[EventDraft]) -> list[LogEvent]:
        if not drafts:
            return []
        rows = [records.event_row(draft, self.seq + number) for number, draft in enumerate(drafts, start=1)]
        self.connection.execute(insert(events_table), rows)
        self.seq += len(rows)
        return [records.event_of(row) for row in rows]


# Built once: making a statement takes as long as carrying it out.
_LOCK_CORE = select(core.c.epoch, core.c.holder, core.c.seq, core.c.writes).with_for_update()
_COUNT_ON = update(core).values(seq=bindparam("new_seq"), writes=bindparam("new_writes"))
_NEXT_VERSION = (
    update(executions)
    .where(executions.c.id == bindparam("own"), executions.c.version == bindparam("before"))
    .values({name: bindparam(f"new_{name}") for name in executions.columns.keys()})  # noqa: SIM118 (not a dict)
)
_SERVICE_BODY = (
    update(services)
    .where(services.c.execution_id == bindparam("own"), services.c.name == bindparam("called"))
    .values(body=bindparam("text"))
)
_SERVICE_NEW = insert(services)
_SERVICE_GONE = delete(services).where(
    services.c.execution_id == bindparam("own"), services.c.name == bindparam("called")
)
_Row = dict[str, Any]


def update_executions(connection: Connection, changed: Sequence[Execution], stored: Mapping[str, Execution]) -> None:
    """Write what differs from what is ``stored`` (by id; what is not in there is read first); raises StaleWrite."""
    if not changed:
        return
    rows = [
        {"own": execution.id, "before": execution.version - 1}
        | {f"new_{name}": value for name, value in records.execution_row(execution).items()}
        for execution in changed
    ]
    if connection.execute(_NEXT_VERSION, rows).rowcount != len(rows):
        raise _stale(connection, changed)
    earlier = [_update_parts(connection, execution, stored.get(execution.id)) for execution in changed]
    _write_services(connection, list(zip(changed, earlier, strict=True)))


def _stale(connection: Connection, changed: Sequence[Execution]) -> StaleWrite:
    """Which one does not follow what is stored; those that do were written, and say so."""
    query = select(executions.c.id, executions.c.version).where(executions.c.id.in_([e.id for e in changed]))
    stored = {row.id: row.version for row in connection.execute(query)}
    execution = next((e for e in changed if stored.get(e.id) != e.version), changed[0])
    if execution.id not in stored:
        return StaleWrite(f"execution {execution.id} is not stored; it may have been forgotten")
    return StaleWrite(
        f"execution {execution.id} is stored in version {stored[execution.id]};"
        f" version {execution.version} does not follow it"
    )


def _update_parts(connection: Connection, execution: Execution, earlier: Execution | None) -> Mapping[str, Service]:
    """Application and labels; answers with the services that are stored."""
    if earlier is None or earlier.version != execution.version - 1:
        earlier = _parts_of(connection, execution)
    if earlier.application is not execution.application and earlier.application != execution.application:
        body = records.application_text(execution)
        connection.execute(update(applications).where(applications.c.execution_id == execution.id).values(body=body))
    if earlier.labels != execution.labels:
        connection.execute(delete(labels).where(labels.c.execution_id == execution.id))
        _insert_labels(connection, execution)
    return earlier.services


def _parts_of(connection: Connection, execution: Execution) -> Execution:
    return reading.load(connection, executions.c.id == execution.id)[0]


def _insert_labels(connection: Connection, execution: Execution) -> None:
    if execution.labels:
        rows = [{"execution_id": execution.id, "key": k, "value": v} for k, v in execution.labels.items()]
        connection.execute(insert(labels), rows)


def _write_services(connection: Connection, changed: Sequence[tuple[Execution, Mapping[str, Service]]]) -> None:
    """Few statements, however many executions have changed; each comes with the services that are stored of it."""
    gone, new, other = list[_Row](), list[_Row](), list[_Row]()
    for execution, earlier in changed:
        wanted = execution.services
        gone += [{"own": execution.id, "called": name} for name in earlier if name not in wanted]
        new += [
            {"execution_id": execution.id, "name": name, "body": records.service_text(execution.id, service)}
            for name, service in wanted.items()
            if name not in earlier
        ]
        other += [
            {"own": execution.id, "called": name, "text": records.service_text(execution.id, service)}
            for name, service in wanted.items()
            if name in earlier and service is not earlier[name] and service != earlier[name]
        ]
    for statement, rows in ((_SERVICE_GONE, gone), (_SERVICE_NEW, new), (_SERVICE_BODY, other)):
        if rows:
            connection.execute(statement, rows)


def put_lease(connection: Connection, lease: Lease) -> None:
    """Insert or renew; raises NotFound when its execution is not stored."""
    if connection.execute(select(executions.c.id).where(executions.c.id == lease.execution_id)).first() is None:
        raise NotFound(f"there is no execution {lease.execution_id}")
    row = records.lease_row(lease)
    if connection.execute(update(leases).where(leases.c.id == lease.id).values(row)).rowcount == 0:
        connection.execute(insert(leases).values(row))


def drop_leases(connection: Connection, ids: Sequence[str]) -> None:
    for some in reading.chunks(ids):
        connection.execute(delete(leases).where(leases.c.id.in_(some)))


def forget(connection: Connection, execution_id: str) -> EventDraft:
    """Delete an ended execution and all that is its own but its events; raises NotFound and Conflict."""
    columns = (executions.c.owner, executions.c.name, executions.c.state)
    row = connection.execute(select(*columns).where(executions.c.id == execution_id)).first()
    if row is None:
        raise NotFound(f"there is no execution {execution_id}")
    if row.state != reading.ENDED:
        raise Conflict(f"execution {row.name} ({execution_id}) is {row.state}; stop it first")
    connection.execute(delete(executions).where(executions.c.id == execution_id))
    return EventDraft("execution.forgotten", execution_id, row.owner, {"name": row.name})


def enable_node(connection: Connection, name: str) -> None:
    connection.execute(delete(disabled_nodes).where(disabled_nodes.c.name == name))


def disable_node(connection: Connection, name: str, *, by: str, now: float) -> None:
    """Again by somebody else: that one counts."""
    enable_node(connection, name)
    connection.execute(insert(disabled_nodes).values(name=name, disabled_by=by, disabled_at=now))
