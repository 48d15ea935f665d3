"""A mail that says that all is well again: one an alert, with an end of its own.

Alerters of the version before know nothing of it and go on: a ride that they watch ends without
one. The star tells of it, and of every state that an alert can be in.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

STATES = (
    "state IN ('pending', 'sending', 'sent', 'expired', 'undeliverable', 'failed', 'unknown', "
    "'bounced', 'complained')"
)
STATE_COMMENT = "as an alert's; expired also where the danger came back, or the ride was over"
GRANTS = {
    "hr_alerter": "SELECT, INSERT, UPDATE",
    "api": "SELECT",
    "dashboard": "SELECT",
    "on_call": "SELECT",
}

FACT_ALERTS = """
SELECT a.alert_id, a.ride_id, k.rider_key, a.level, a.measured_at,
       a.measured_at AT TIME ZONE z.time_zone AS measured_local_at,
       (a.measured_at AT TIME ZONE z.time_zone)::date AS measured_on,
       a.heart_rate_bpm, a.limit_bpm, a.state, a.latency_ms / 1000.0::float8 AS latency_s,
       date_trunc('week', a.measured_at AT TIME ZONE z.time_zone)::date AS measured_week,
       extract(epoch FROM r.measured_at - a.measured_at)::float8 AS recovered_s,
       r.state AS recovery_state
FROM public.heart_rate_alerts a
CROSS JOIN public.star_refreshes z
LEFT JOIN public.star_riders k USING (rider_id)
LEFT JOIN public.heart_rate_recoveries r USING (alert_id)
"""
MEANINGS = {
    "state": (
        "What became of the mail: pending (on its way), sending (being sent now), sent, expired "
        "(too old to be of use), undeliverable (no address, or not wanted), failed (refused), "
        "unknown (perhaps sent), bounced (it came back) or complained (the rider called it spam)."
    ),
    "recovered_s": (
        "Seconds from the reading that made it an alert until the heart rate was back to normal, "
        "where it stayed so while the rider rode. Empty: not seen, or the alert was not mailed."
    ),
    "recovery_state": (
        "What became of the mail that said so, in the words of state. Empty: there was none."
    ),
}


def upgrade() -> None:
    op.create_table(
        "heart_rate_recoveries",
        sa.Column("alert_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("level", sa.Text(), nullable=False, comment="the alert's"),
        sa.Column(
            "measured_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the first of the readings that are normal",
        ),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="the newest of them, by which it had been so for long enough",
        ),
        sa.Column(
            "heart_rate_bpm", sa.SmallInteger(), nullable=False, comment="that reading's heart rate"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment=STATE_COMMENT),
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
            comment="when its end was known; NULL: pending or sending",
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
            comment="from that reading to the provider's acceptance",
        ),
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
        sa.CheckConstraint(
            "level IN ('low', 'high', 'critical')", name=op.f("ck_heart_rate_recoveries_level")
        ),
        sa.CheckConstraint(STATES, name=op.f("ck_heart_rate_recoveries_state")),
        sa.CheckConstraint(
            "(state IN ('pending', 'sending')) = (settled_at IS NULL)",
            name=op.f("ck_heart_rate_recoveries_settled"),
        ),
        sa.CheckConstraint(
            "(state = 'sending') = (owner IS NOT NULL) AND (owner IS NULL) = (owned_until IS NULL)",
            name=op.f("ck_heart_rate_recoveries_owned"),
        ),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["heart_rate_alerts.alert_id"],
            name=op.f("fk_heart_rate_recoveries_alert_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_heart_rate_recoveries")),
        comment="A heart back to normal after an alert that was mailed, and the mail about it.",
    )
    op.create_index(
        "ix_heart_rate_recoveries_open",
        "heart_rate_recoveries",
        ["measured_at"],
        postgresql_where=sa.text("state IN ('pending', 'sending')"),
    )
    op.create_index(
        "ix_heart_rate_recoveries_provider_message_id",
        "heart_rate_recoveries",
        ["provider_message_id"],
        postgresql_where=sa.text("provider_message_id IS NOT NULL"),
    )
    for role, privileges in GRANTS.items():
        op.execute(f"GRANT {privileges} ON heart_rate_recoveries TO {role}")
    query = f"{FACT_ALERTS} {_but_the_canarys()}"
    op.execute(f"CREATE OR REPLACE VIEW analytics.fact_alerts AS {query}")
    for column, meaning in MEANINGS.items():
        _comment(column, meaning)


def downgrade() -> None:
    # A view's columns go only with the view: it is made anew, with its meanings and rights.
    comment, _, meanings = _revision("0005").VIEWS["fact_alerts"]
    _, later_meanings = _revision("0008").VIEWS["fact_alerts"]
    query = _revision("0013").FACT_ALERTS
    op.execute("DROP VIEW analytics.fact_alerts")
    op.execute(f"CREATE VIEW analytics.fact_alerts AS {query} {_but_the_canarys()}")
    op.execute(f"COMMENT ON VIEW analytics.fact_alerts IS '{comment}'")
    for column, meaning in {**meanings, **later_meanings}.items():
        _comment(column, meaning)
    op.execute(f"GRANT SELECT ON analytics.fact_alerts TO {_revision('0008').ROLE}")
    op.drop_table("heart_rate_recoveries")


def _but_the_canarys() -> str:
    return f"WHERE a.rider_id IS NULL OR a.rider_id < {_revision('0013').FIRST_RIDER_ID}"


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module


def _comment(column: str, meaning: str) -> None:
    quoted = meaning.replace("'", "''")
    op.execute(f"COMMENT ON COLUMN analytics.fact_alerts.{column} IS '{quoted}'")
