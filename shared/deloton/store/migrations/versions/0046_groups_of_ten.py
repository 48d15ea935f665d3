"""Views of groups read small tables that hold groups of ten riders or more, and nothing else.

Until now they counted raw rows: EXPLAIN and errors told of the groups that they left out. The
refresh that follows fills the tables; until then, as while one of the version before runs alone,
no group is told of. The views keep their names and columns.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

FEWEST = 10
REFRESHER = "star_refresher"
# view: its table.
TABLES = {
    "fact_retention": "star_retention",
    "fact_alerts": "star_alerts",
    "fact_alert_limits": "star_alert_limits",
}
# What is counted: never whose heart rate was what.
COUNTED = {
    "heart_rate_alerts": "alert_id, rider_id, level, measured_at, limit_bpm, latency_ms",
    "heart_rate_recoveries": "alert_id, measured_at",
}


def upgrade() -> None:
    _create_tables()
    op.add_column(
        "star_refreshes",
        sa.Column("groups_on", sa.Date(), comment="the company's day on which groups were counted"),
    )
    op.add_column(
        "star_refreshes",
        sa.Column("groups_rider_count", sa.Integer(), comment="how many riders there were by then"),
    )
    for table, columns in COUNTED.items():
        op.execute(f"GRANT SELECT ({columns}) ON {table} TO {REFRESHER}")
    for view, table in TABLES.items():
        op.execute(f"GRANT SELECT, INSERT, DELETE ON {table} TO {REFRESHER}")
        columns = ", ".join(_revision("0039").VIEWS[view][2])
        op.execute(
            f"CREATE OR REPLACE VIEW analytics.{view} AS SELECT {columns} FROM public.{table}"  # noqa: S608
        )


def downgrade() -> None:
    for view in TABLES:
        op.execute(f"CREATE OR REPLACE VIEW analytics.{view} AS {_revision('0039').VIEWS[view][1]}")
    for table, columns in COUNTED.items():
        op.execute(f"REVOKE SELECT ({columns}) ON {table} FROM {REFRESHER}")  # noqa: S608
    op.drop_column("star_refreshes", "groups_rider_count")
    op.drop_column("star_refreshes", "groups_on")
    for table in TABLES.values():
        op.drop_table(table)


def _create_tables() -> None:
    op.create_table(
        "star_retention",
        sa.Column("joined_month", sa.Date(), nullable=False, comment="its first day"),
        sa.Column("months_since_joining", sa.Integer(), nullable=False),
        sa.Column("ridden_month", sa.Date(), nullable=False, comment="its first day"),
        sa.Column("rider_count", sa.BigInteger(), nullable=False),
        sa.Column("ride_count", sa.BigInteger(), nullable=False),
        _of_ten("star_retention"),
        sa.PrimaryKeyConstraint(
            "joined_month", "months_since_joining", name=op.f("pk_star_retention")
        ),
        comment="Months of joining and of rides in which ten riders or more rode.",
    )
    op.create_table(
        "star_alerts",
        sa.Column("measured_week", sa.Date(), nullable=False, comment="its Monday"),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("rider_count", sa.BigInteger(), nullable=False),
        sa.Column("alert_count", sa.BigInteger(), nullable=False),
        sa.Column("mean_latency_s", sa.Double(), comment="NULL: mails of fewer than ten riders"),
        sa.Column("mean_recovered_s", sa.Double(), comment="NULL: seen of fewer than ten riders"),
        _of_ten("star_alerts"),
        sa.PrimaryKeyConstraint("measured_week", "level", name=op.f("pk_star_alerts")),
        comment="Weeks and levels of abnormal heart rates of ten riders or more.",
    )
    op.create_table(
        "star_alert_limits",
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("limit_from_bpm", sa.Integer(), nullable=False, comment="of ten whole beats"),
        sa.Column("rider_count", sa.BigInteger(), nullable=False, comment="in full tens"),
        sa.Column("alert_count", sa.BigInteger(), nullable=False, comment="in full tens"),
        _of_ten("star_alert_limits"),
        sa.PrimaryKeyConstraint("level", "limit_from_bpm", name=op.f("pk_star_alert_limits")),
        comment="Limits that ten riders or more passed, in tens of beats.",
    )


def _of_ten(table: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"rider_count >= {FEWEST}", name=op.f(f"ck_{table}_of_ten"))


def _revision(number: str) -> Any:  # noqa: ANN401
    return context.script.get_revision(number).module
