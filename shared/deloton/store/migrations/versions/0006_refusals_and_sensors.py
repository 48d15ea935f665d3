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
    op.create_table(
        "refused_lines",
        sa.Column(
            "refused_in",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the quarter of an hour in which Kafka was given the line, by its beginning",
        ),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="why, as the dead letter's header tells",
        ),
        sa.Column("line_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "refused_in", "topic", "partition", "reason", name=op.f("pk_refused_lines")
        ),
        comment="How many lines became dead letters; counted once each, when they were first met.",
    )


def downgrade() -> None:
    op.drop_table("refused_lines")
    op.drop_column("rides", "power_deviation_s")
