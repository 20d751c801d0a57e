"""Machines that an admin has taken out of use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "zoe_disabled_nodes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=False),
        sa.Column("disabled_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_zoe_disabled_nodes"),
    )
