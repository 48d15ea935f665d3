"""Heart-rate alerts, and riders' own limits."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rider_limits",
        sa.Column("rider_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "low_bpm",
            sa.SmallInteger(),
            nullable=True,
            comment="this and the next two: NULL is the rule's own limit",
        ),
        sa.Column("high_bpm", sa.SmallInteger(), nullable=True),
        sa.Column("critical_bpm", sa.SmallInteger(), nullable=True),
        sa.Column("alerts_on", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "low_bpm < high_bpm AND high_bpm <= critical_bpm AND low_bpm < critical_bpm",
            name=op.f("ck_rider_limits_order"),
        ),
        sa.CheckConstraint(
            "low_bpm BETWEEN 20 AND 250 AND high_bpm BETWEEN 20 AND 250 "
            "AND critical_bpm BETWEEN 20 AND 250",
            name=op.f("ck_rider_limits_plausible"),
        ),
        sa.ForeignKeyConstraint(
            ["rider_id"],
            ["riders.rider_id"],
            name=op.f("fk_rider_limits_rider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rider_id", name=op.f("pk_rider_limits")),
        comment="A rider's own heart-rate limits, agreed with a doctor, or alerts switched off.",
    )
    op.create_table(
        "heart_rate_alerts",
        sa.Column("alert_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ride_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "rider_id", sa.BigInteger(), nullable=True, comment="NULL: who rode is not known"
        ),
        sa.Column("level", sa.Text(), nullable=False, comment="low, high or critical"),
        sa.Column(
            "measured_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the reading that made it an alert",
        ),
        sa.Column(
            "heart_rate_bpm", sa.SmallInteger(), nullable=False, comment="that reading's heart rate"
        ),
        sa.Column(
            "limit_bpm", sa.Double(), nullable=False, comment="the rider's limit that it passed"
        ),
        sa.Column("limit_rule", sa.Text(), nullable=False, comment="where that limit comes from"),
        sa.Column(
            "state",
            sa.Text(),
            nullable=False,
            comment="pending until sent, expired, undeliverable or failed",
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "settled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when it left the state pending",
        ),
        sa.Column(
            "attempts", sa.Integer(), server_default="0", nullable=False, comment="tries to send it"
        ),
        sa.Column(
            "provider_message_id",
            sa.Text(),
            nullable=True,
            comment="what the mail provider calls the mail",
        ),
        sa.Column(
            "latency_ms",
            sa.Integer(),
            nullable=True,
            comment="from the reading to the provider's acceptance",
        ),
        sa.CheckConstraint(
            "(state = 'pending') = (settled_at IS NULL)", name=op.f("ck_heart_rate_alerts_settled")
        ),
        sa.CheckConstraint(
            "level IN ('low', 'high', 'critical')", name=op.f("ck_heart_rate_alerts_level")
        ),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'expired', 'undeliverable', 'failed')",
            name=op.f("ck_heart_rate_alerts_state"),
        ),
        sa.ForeignKeyConstraint(
            ["ride_id"],
            ["rides.ride_id"],
            name=op.f("fk_heart_rate_alerts_ride_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["rider_id"],
            ["riders.rider_id"],
            name=op.f("fk_heart_rate_alerts_rider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_heart_rate_alerts")),
        sa.UniqueConstraint("ride_id", "level", name=op.f("uq_heart_rate_alerts_ride_id_level")),
        comment="An abnormal heart rate and the mail about it: at most one a ride and level.",
    )
    op.create_index(
        "ix_heart_rate_alerts_measured_at", "heart_rate_alerts", ["measured_at"], unique=False
    )
    op.create_index(
        "ix_heart_rate_alerts_pending",
        "heart_rate_alerts",
        ["measured_at"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_heart_rate_alerts_rider_id_measured_at",
        "heart_rate_alerts",
        ["rider_id", "measured_at"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_table("heart_rate_alerts")
    op.drop_table("rider_limits")
