"""Who sends an alert stands in its row, and so does that nobody knows what became of its mail.

Alerters of the version before go on: they store and send `pending` alerts, and leave alone what is
`sending`. Programs that show alerts have to know the new states before an alerter writes them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COLUMNS = (
    sa.Column(
        "seen_at",
        sa.DateTime(timezone=True),
        nullable=True,
        comment="the newest reading of the same danger; NULL: measured_at",
    ),
    sa.Column("seen_bpm", sa.SmallInteger(), nullable=True, comment="that reading's heart rate"),
    sa.Column("owner", sa.Text(), nullable=True, comment="the alerter that has it in hand"),
    sa.Column(
        "owned_until",
        sa.DateTime(timezone=True),
        nullable=True,
        comment="until then it is no other's",
    ),
    sa.Column(
        "fence",
        sa.BigInteger(),
        server_default="0",
        nullable=False,
        comment="how often it was taken in hand: who knows an older number has lost it",
    ),
)

STATE = "state IN ('pending', 'sending', 'sent', 'expired', 'undeliverable', 'failed', 'unknown')"
STATE_BEFORE = "state IN ('pending', 'sent', 'expired', 'undeliverable', 'failed')"
SETTLED = "(state IN ('pending', 'sending')) = (settled_at IS NULL)"
SETTLED_BEFORE = "(state = 'pending') = (settled_at IS NULL)"
OWNED = "(state = 'sending') = (owner IS NOT NULL) AND (owner IS NULL) = (owned_until IS NULL)"

STATE_COMMENT = (
    "pending, and sending while an alerter has it in hand, until sent, expired, undeliverable, "
    "failed, or unknown: perhaps sent"
)
SETTLED_AT_COMMENT = "when its end was known; NULL: pending or sending"


def check(name: str, condition: str) -> None:
    op.drop_constraint(op.f(f"ck_heart_rate_alerts_{name}"), "heart_rate_alerts", type_="check")
    op.create_check_constraint(op.f(f"ck_heart_rate_alerts_{name}"), "heart_rate_alerts", condition)


def comment(column: str, told: str) -> None:
    op.execute(f"COMMENT ON COLUMN heart_rate_alerts.{column} IS '{told}'")


def index(name: str, states: str) -> None:
    op.create_index(
        f"ix_heart_rate_alerts_{name}",
        "heart_rate_alerts",
        ["measured_at"],
        postgresql_where=sa.text(states),
    )


def upgrade() -> None:
    for column in COLUMNS:
        op.add_column("heart_rate_alerts", column)
    check("state", STATE)
    check("settled", SETTLED)
    op.create_check_constraint(op.f("ck_heart_rate_alerts_owned"), "heart_rate_alerts", OWNED)
    op.drop_index("ix_heart_rate_alerts_pending", "heart_rate_alerts")
    index("open", "state IN ('pending', 'sending')")
    comment("state", STATE_COMMENT)
    comment("settled_at", SETTLED_AT_COMMENT)


def downgrade() -> None:
    op.drop_constraint(op.f("ck_heart_rate_alerts_owned"), "heart_rate_alerts", type_="check")
    op.execute(
        "UPDATE heart_rate_alerts SET state = CASE state WHEN 'sending' THEN 'pending' "
        "ELSE 'failed' END WHERE state IN ('sending', 'unknown')"
    )
    check("state", STATE_BEFORE)
    check("settled", SETTLED_BEFORE)
    op.drop_index("ix_heart_rate_alerts_open", "heart_rate_alerts")
    index("pending", "state = 'pending'")
    for column in COLUMNS:
        op.drop_column("heart_rate_alerts", column.name)
    comment("state", "pending until sent, expired, undeliverable or failed")
    comment("settled_at", "when it left the state pending")
