"""Quotas, machines that are to be drained, and what one decision leaves for the next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "zoe_quotas",
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("set_by", sa.Text(), nullable=False),
        sa.Column("set_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_zoe_quotas"),
    )
    op.create_table(
        "zoe_drained_nodes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("begins_at", sa.Double(), nullable=False),
        sa.Column("drained_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_zoe_drained_nodes"),
    )
    op.create_table(
        "zoe_kept",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_zoe_kept"),
    )
