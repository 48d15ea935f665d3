"""Refused lines, counted, and rides whose power sensor deviates."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # NULL for rides that ended before this: their readings may be gone, and are many.
    op.add_column(
        "rides",
        sa.Column(
            "power_deviation_s",
            sa.Integer(),
            nullable=True,
            comment="longest run of seconds whose power is not what resistance and cadence give",
        ),
    )


def downgrade() -> None:
    op.drop_column("rides", "power_deviation_s")
