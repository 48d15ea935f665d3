"""Addresses that take no mail, or whose owner complained; alerts whose mail came back.

Programs that show alerts have to know the new states before an alerter writes them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

STATES_BEFORE = (
    "state IN ('pending', 'sending', 'sent', 'expired', 'undeliverable', 'failed', 'unknown')"
)
STATES = STATES_BEFORE.replace("'unknown')", "'unknown', 'bounced', 'complained')")
COMMENT_BEFORE = (
    "pending, and sending while an alerter has it in hand, until sent, expired, undeliverable, "
    "failed, or unknown: perhaps sent"
)
COMMENT = f"{COMMENT_BEFORE}; a mail that was sent may have bounced, or its rider complained of it"


def check(condition: str) -> None:
    op.drop_constraint(op.f("ck_heart_rate_alerts_state"), "heart_rate_alerts", type_="check")
    op.create_check_constraint(op.f("ck_heart_rate_alerts_state"), "heart_rate_alerts", condition)


def comment(told: str) -> None:
    op.execute(f"COMMENT ON COLUMN heart_rate_alerts.state IS '{told}'")


def upgrade() -> None:
    op.create_table(
        "refused_addresses",
        sa.Column("rider_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "digest",
            sa.LargeBinary(),
            nullable=False,
            comment="SHA-256 of the address in lower case: another address takes mail again",
        ),
        sa.Column("because", sa.Text(), nullable=False, comment="bounced or complained"),
        sa.Column(
            "refused_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "because IN ('bounced', 'complained')", name=op.f("ck_refused_addresses_because")
        ),
        sa.ForeignKeyConstraint(
            ["rider_id"],
            ["riders.rider_id"],
            name=op.f("fk_refused_addresses_rider_id_riders"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rider_id", "digest", name=op.f("pk_refused_addresses")),
        comment="Riders' addresses that took no mail for good, or whose owner complained.",
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON refused_addresses TO hr_alerter")
    op.execute("GRANT SELECT ON refused_addresses TO api")
    check(STATES)
    comment(COMMENT)
    op.create_index(
        "ix_heart_rate_alerts_provider_message_id",
        "heart_rate_alerts",
        ["provider_message_id"],
        postgresql_where=sa.text("provider_message_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_heart_rate_alerts_provider_message_id", "heart_rate_alerts")
    op.execute(
        "UPDATE heart_rate_alerts SET state = CASE state WHEN 'bounced' THEN 'failed' "
        "ELSE 'sent' END WHERE state IN ('bounced', 'complained')"
    )
    check(STATES_BEFORE)
    comment(COMMENT_BEFORE)
    op.drop_table("refused_addresses")
