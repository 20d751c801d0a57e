"""First tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_core()
    _create_events()
    _create_executions()
    _create_keys()
    _create_parts()


def _create_core() -> None:
    core = op.create_table(
        "zoe_core",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", _NUMBER, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("taken_at", sa.Double(), nullable=False),
        sa.Column("seq", _NUMBER, nullable=False),
        sa.Column("writes", _NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_zoe_core"),
    )
    assert core is not None
    op.bulk_insert(core, [{"id": 1, "epoch": 0, "holder": "", "taken_at": 0.0, "seq": 0, "writes": 0}])


def _create_events() -> None:
    op.create_table(
        "zoe_events",
        sa.Column("seq", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_zoe_events"),
    )
    _index("zoe_events", "at")
    _index("zoe_events", "execution_id", "seq")
    _index("zoe_events", "owner", "seq")


def _create_executions() -> None:
    op.create_table(
        "zoe_executions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("version", _NUMBER, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_zoe_executions"),
    )
    _index("zoe_executions", "created_at", "id")
    _index("zoe_executions", "ended_at")
    _index("zoe_executions", "owner", "created_at", "id")
    _index("zoe_executions", "owner", "name", "created_at")
    _index("zoe_executions", "parent", "created_at", "id")
    _index("zoe_executions", "state", "created_at", "id")


def _create_keys() -> None:
    op.create_table(
        "zoe_keys",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_zoe_keys"),
    )
    _index("zoe_keys", "created_at")


def _create_parts() -> None:
    _create_part("zoe_applications", sa.Column("body", sa.Text(), nullable=False))
    _create_part("zoe_services", _named("name"), sa.Column("body", sa.Text(), nullable=False))
    _create_part("zoe_labels", _named("key"), sa.Column("value", sa.String(), nullable=False))
    _index("zoe_labels", "key", "value")
    _create_part("zoe_secrets", _named("name"), sa.Column("value", sa.Text(), nullable=False))
    op.create_table(
        "zoe_leases",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("execution_id", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        _of_execution("zoe_leases"),
        sa.PrimaryKeyConstraint("id", name="pk_zoe_leases"),
    )
    _index("zoe_leases", "execution_id")


def _named(column: str) -> sa.Column[str]:
    return sa.Column(column, sa.String(), nullable=False)


def _create_part(table: str, *columns: sa.Column[str]) -> None:
    """Make a table whose key is the execution and, where there are several, the first column."""
    key = ["execution_id", *(column.name for column in columns[:-1])]
    op.create_table(
        table,
        sa.Column("execution_id", sa.String(), nullable=False),
        *columns,
        _of_execution(table),
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
    )


def _of_execution(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_execution_id"
    return sa.ForeignKeyConstraint(["execution_id"], ["zoe_executions.id"], name=name, ondelete="CASCADE")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), unique=False)
