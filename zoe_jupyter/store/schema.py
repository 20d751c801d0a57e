"""The tables as they are today. Every change of them is a migration in ``migrations/versions`` and one more revision here."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text

REVISIONS = ("0001", "0002", "0003")
"""Oldest first; known here so that nothing has to import Alembic to see that the schema is today's."""

VERSION_TABLE = "zoe_schema_version"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# On SQLite only INTEGER PRIMARY KEY is the row id itself.
_Number = BigInteger().with_variant(Integer(), "sqlite")


def _execution_id() -> Column[str]:
    return Column("execution_id", String, ForeignKey("zoe_executions.id", ondelete="CASCADE"), primary_key=True)


core = Table(
    "zoe_core",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="always 1"),
    Column("epoch", _Number, nullable=False, doc="who may write: counts take-overs"),
    Column("holder", Text, nullable=False),
    Column("taken_at", Double, nullable=False),
    Column("seq", _Number, nullable=False, doc="of the last event"),
    Column(
        "writes", _Number, nullable=False, doc="counts transactions, to see whether one that was cut off has landed"
    ),
)

executions = Table(
    "zoe_executions",
    metadata,
    Column("id", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("name", String, nullable=False),
    Column("state", String, nullable=False),
    Column("parent", String, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("version", _Number, nullable=False),
    Column("body", Text, nullable=False, doc="JSON of all else but application and services"),
    Index(None, "created_at", "id"),
    Index(None, "owner", "created_at", "id"),
    Index(None, "owner", "name", "created_at"),
    Index(None, "state", "created_at", "id"),
    Index(None, "parent", "created_at", "id"),
    Index(None, "ended_at"),
)

applications = Table(
    "zoe_applications",
    metadata,
    _execution_id(),
    Column("body", Text, nullable=False, doc="JSON; large, and written once"),
)

services = Table(
    "zoe_services",
    metadata,
    _execution_id(),
    Column("name", String, primary_key=True),
    Column("body", Text, nullable=False, doc="JSON"),
)

labels = Table(
    "zoe_labels",
    metadata,
    _execution_id(),
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
    Index(None, "key", "value"),
)

leases = Table(
    "zoe_leases",
    metadata,
    Column("id", String, primary_key=True),
    Column("execution_id", String, ForeignKey("zoe_executions.id", ondelete="CASCADE"), nullable=False),
    Column("body", Text, nullable=False, doc="JSON"),
    Index(None, "execution_id"),
)

secrets = Table(
    "zoe_secrets",
    metadata,
    _execution_id(),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

keys = Table(
    "zoe_keys",
    metadata,
    Column("owner", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("digest", String, nullable=False, doc="of the request; another one with the same key is a mistake"),
    Column("execution_id", String, nullable=False, doc="may be forgotten already"),
    Column("created_at", Double, nullable=False),
    Index(None, "created_at"),
)

events = Table(
    "zoe_events",
    metadata,
    Column("seq", _Number, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("execution_id", String, nullable=False, doc="the log outlives what it tells of"),
    Column("owner", String, nullable=False),
    Column("data", Text, nullable=False, doc="JSON"),
    Index(None, "execution_id", "seq"),
    Index(None, "owner", "seq"),
    Index(None, "at"),
)

disabled_nodes = Table(
    "zoe_disabled_nodes",
    metadata,
    Column("name", String, primary_key=True),
    Column("disabled_by", Text, nullable=False, doc="for people"),
    Column("disabled_at", Double, nullable=False),
)

drained_nodes = Table(
    "zoe_drained_nodes",
    metadata,
    Column("name", String, primary_key=True),
    Column("begins_at", Double, nullable=False),
    Column("drained_by", Text, nullable=False, doc="for people"),
)

quotas = Table(
    "zoe_quotas",
    metadata,
    Column("owner", String, primary_key=True, doc="a user, group:NAME, or default"),
    Column("body", Text, nullable=False, doc="JSON"),
    Column("set_by", Text, nullable=False, doc="for people"),
    Column("set_at", Double, nullable=False),
)

kept = Table(
    "zoe_kept",
    metadata,
    Column("name", String, primary_key=True, doc="what one decision leaves for the next"),
    Column("body", Text, nullable=False, doc="JSON"),
)
