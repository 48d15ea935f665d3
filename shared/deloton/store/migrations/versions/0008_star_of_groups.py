"""What the sheets ask of the star lies in its rides, in the order in which riders are counted."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ROLE = "tableau_reader"

# name: (columns, columns that come along). PostgreSQL counts the distinct riders of a group in
# their order: an index that has them in it, with all else that a sheet asks, spares the sorting.
INDEXES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ix_star_rides_day": (("started_on", "rider_gender", "rider_key"), ("ride_id",)),
    "ix_star_rides_hour": (("started_hour", "started_weekday", "rider_key"), ("ride_id",)),
    "ix_star_rides_age_band": (
        ("rider_age_band", "rider_key"),
        ("mean_power_watts", "mean_heart_rate_bpm"),
    ),
    "ix_star_rides_cohort": (("rider_joined_month", "months_since_joining", "rider_key"), ()),
}

# view: (query, new column: comment); what it had before stays, and stays in front.
VIEWS = {
    "fact_rides": (
        """
        SELECT ride_id, rider_key, bike_serial, started_at, started_local_at, started_on,
               started_hour, duration_s, reading_count, heart_rate_count,
               heart_rate_count::float8 / nullif(reading_count, 0) AS contact_share,
               mean_heart_rate_bpm, max_heart_rate_bpm, mean_cadence_rpm, max_cadence_rpm,
               mean_resistance, mean_power_watts, max_power_watts, mean_power_watts_per_kg,
               energy_kj,
               zone_1_s / 60.0::float8 AS zone_1_minutes, zone_2_s / 60.0::float8 AS zone_2_minutes,
               zone_3_s / 60.0::float8 AS zone_3_minutes, zone_4_s / 60.0::float8 AS zone_4_minutes,
               zone_5_s / 60.0::float8 AS zone_5_minutes,
               power_deviation_s, started_weekday, rider_gender, rider_age_band,
               rider_joined_month, months_since_joining
        FROM public.star_rides
        """,
        {
            "power_deviation_s": (
                "The longest run of seconds whose power was not what resistance and cadence give: "
                "with 30 and more, leave the ride's power out. Empty: not known."
            ),
            "started_weekday": "The day of the week, from 1 for Monday to 7 for Sunday.",
            "rider_gender": (
                "The rider's gender, as it was known when the ride was taken up here: "
                "female, male, other or unknown."
            ),
            "rider_age_band": (
                "The rider's age on the day of the ride, in bands of ten years; "
                "unknown where it is."
            ),
            "rider_joined_month": (
                "The first day of the month in which the rider's account was created."
            ),
            "months_since_joining": (
                "Months from the one of joining, which is 0, to the one of the ride. "
                "Negative: the ride came before."
            ),
        },
    ),
    "fact_alerts": (
        """
        SELECT a.alert_id, a.ride_id, k.rider_key, a.level, a.measured_at,
               a.measured_at AT TIME ZONE z.time_zone AS measured_local_at,
               (a.measured_at AT TIME ZONE z.time_zone)::date AS measured_on,
               a.heart_rate_bpm, a.limit_bpm, a.state, a.latency_ms / 1000.0::float8 AS latency_s,
               date_trunc('week', a.measured_at AT TIME ZONE z.time_zone)::date AS measured_week
        FROM public.heart_rate_alerts a
        CROSS JOIN public.star_refreshes z
        LEFT JOIN public.star_riders k USING (rider_id)
        """,
        {"measured_week": "The Monday of the company's week in which it was measured."},
    ),
    "dim_bikes": (
        """
        SELECT bike_serial, firmware, deviation_s >= 30 AS power_sensor_is_faulty
        FROM (
            SELECT serial AS bike_serial, coalesce(firmware, 'unknown') AS firmware, (
                SELECT power_deviation_s FROM public.rides
                WHERE bike_serial = serial AND ended_at IS NOT NULL
                ORDER BY started_at DESC LIMIT 1
            ) AS deviation_s
            FROM public.bikes
            -- Once a bike, not once a ride that is joined to the bike.
            OFFSET 0
        ) told
        """,
        {
            "power_sensor_is_faulty": (
                "Whether in its latest ride the power deviated for 30 seconds and more, "
                "without a break. Empty: not known."
            )
        },
    ),
}


def upgrade() -> None:
    for column in _columns():
        op.add_column("star_rides", column)
    for name, (columns, along) in INDEXES.items():
        op.create_index(name, "star_rides", list(columns), postgresql_include=list(along))
    # The first of them begins with the same column.
    op.drop_index("ix_star_rides_started_on", "star_rides")
    # An index answers alone for pages that were vacuumed since: again after each 2 %.
    op.execute("ALTER TABLE star_rides SET (autovacuum_vacuum_scale_factor = 0.02)")
    op.execute("ALTER TABLE star_rides SET (autovacuum_vacuum_insert_scale_factor = 0.02)")
    for view, (query, meanings) in VIEWS.items():
        op.execute(f"CREATE OR REPLACE VIEW analytics.{view} AS {query}")
        _comment(view, meanings)
    # The next refresh fills the new columns.
    op.execute("INSERT INTO star_changes (ride_id) SELECT ride_id FROM star_rides")


def downgrade() -> None:
    former = context.script.get_revision("0005").module
    for view in VIEWS:
        comment, query, meanings = former.VIEWS[view]
        op.execute(f"DROP VIEW analytics.{view}")
        op.execute(f"CREATE VIEW analytics.{view} AS {query}")
        op.execute(f"COMMENT ON VIEW analytics.{view} IS {_quoted(comment)}")
        _comment(view, meanings)
        op.execute(f"GRANT SELECT ON analytics.{view} TO {ROLE}")
    op.execute("ALTER TABLE star_rides RESET (autovacuum_vacuum_insert_scale_factor)")
    op.execute("ALTER TABLE star_rides RESET (autovacuum_vacuum_scale_factor)")
    op.create_index("ix_star_rides_started_on", "star_rides", ["started_on"])
    for name in INDEXES:
        op.drop_index(name, "star_rides")
    for column in _columns():
        op.drop_column("star_rides", column.name)


def _columns() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("power_deviation_s", sa.Integer()),
        sa.Column(
            "started_weekday", sa.SmallInteger(), comment="from 1 for Monday to 7 for Sunday"
        ),
        sa.Column(
            "rider_gender",
            sa.Text(),
            comment="this and the next two: of the rider, as known when the ride was taken up",
        ),
        sa.Column("rider_age_band", sa.Text(), comment="on the day of the ride"),
        sa.Column("rider_joined_month", sa.Date(), comment="its first day"),
        sa.Column("months_since_joining", sa.Integer(), comment="0 is the month of joining"),
    )


def _comment(view: str, meanings: dict[str, str]) -> None:
    for column, meaning in meanings.items():
        op.execute(f"COMMENT ON COLUMN analytics.{view}.{column} IS {_quoted(meaning)}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
