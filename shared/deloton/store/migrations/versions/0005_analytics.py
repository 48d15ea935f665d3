"""The star for analysts: schema `analytics`, what it is filled from, and its role."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ROLE = "tableau_reader"

# A row a ride that changed, in the transaction that changed it: nothing is ever overlooked,
# however late it comes, and nobody has to look at all rides to find out.
TRIGGERS = (
    """
    CREATE FUNCTION note_star_changes() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO star_changes (ride_id) SELECT ride_id FROM changed;
        RETURN NULL;
    END $$
    """,
    "REVOKE EXECUTE ON FUNCTION note_star_changes() FROM PUBLIC",
    (
        "CREATE TRIGGER note_star_updates AFTER UPDATE ON rides REFERENCING NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION note_star_changes()"
    ),
    (
        "CREATE TRIGGER note_star_inserts AFTER INSERT ON rides REFERENCING NEW TABLE AS changed "
        "FOR EACH STATEMENT EXECUTE FUNCTION note_star_changes()"
    ),
    "INSERT INTO star_changes (ride_id) SELECT ride_id FROM rides WHERE ended_at IS NOT NULL",
)

AGE_BANDS = """
    CASE WHEN age IS NULL OR age NOT BETWEEN 5 AND 110 THEN 'unknown'
         WHEN age < 25 THEN 'under 25'
         WHEN age < 35 THEN '25–34'
         WHEN age < 45 THEN '35–44'
         WHEN age < 55 THEN '45–54'
         WHEN age < 65 THEN '55–64'
         ELSE '65 and over' END
"""

# view: (comment, query, column: comment)
VIEWS: dict[str, tuple[str, str, dict[str, str]]] = {
    "fact_rides": (
        "One row a ride that has ended.",
        """
        SELECT ride_id, rider_key, bike_serial, started_at, started_local_at, started_on,
               started_hour, duration_s, reading_count, heart_rate_count,
               heart_rate_count::float8 / nullif(reading_count, 0) AS contact_share,
               mean_heart_rate_bpm, max_heart_rate_bpm, mean_cadence_rpm, max_cadence_rpm,
               mean_resistance, mean_power_watts, max_power_watts, mean_power_watts_per_kg,
               energy_kj,
               zone_1_s / 60.0::float8 AS zone_1_minutes, zone_2_s / 60.0::float8 AS zone_2_minutes,
               zone_3_s / 60.0::float8 AS zone_3_minutes, zone_4_s / 60.0::float8 AS zone_4_minutes,
               zone_5_s / 60.0::float8 AS zone_5_minutes
        FROM public.star_rides
        """,
        {
            "ride_id": "The ride's number.",
            "rider_key": "Who rode: the key of dim_riders. Empty: not known.",
            "bike_serial": "The bike: the key of dim_bikes.",
            "started_at": "When the ride began, in UTC.",
            "started_local_at": "When the ride began, by the clocks of the company's time zone.",
            "started_on": "The company's day on which it began: the key of dim_dates.",
            "started_hour": "The hour of that day in which it began, 0 to 23.",
            "duration_s": "How long it took, in seconds, by the bike's own count.",
            "reading_count": "Readings that came; one stands for one second.",
            "heart_rate_count": "Readings with a heart rate: the hands were on the bar.",
            "contact_share": "Share of the readings that hold a heart rate, from 0 to 1.",
            "mean_heart_rate_bpm": "Mean heart rate in beats a minute, of readings that hold one.",
            "max_heart_rate_bpm": "Highest heart rate, in beats a minute.",
            "mean_cadence_rpm": "Mean cadence, in turns of the pedals a minute.",
            "max_cadence_rpm": "Highest cadence, in turns of the pedals a minute.",
            "mean_resistance": "Mean resistance: the bike's own level, without a unit.",
            "mean_power_watts": "Mean power, in watts.",
            "max_power_watts": "Highest power of a second, in watts.",
            "mean_power_watts_per_kg": (
                "Mean power in watts a kilogram of the rider's weight, "
                "as it was known when the ride was taken up here."
            ),
            "energy_kj": "Energy put into the pedals, in kilojoules.",
            "zone_1_minutes": (
                "Minutes below 60 % of the maximum heart rate to be expected at the rider's age. "
                "This and the other zones: empty where the age is not known."
            ),
            "zone_2_minutes": "Minutes from 60 % to below 70 % of that maximum.",
            "zone_3_minutes": "Minutes from 70 % to below 80 % of that maximum.",
            "zone_4_minutes": "Minutes from 80 % to below 90 % of that maximum.",
            "zone_5_minutes": "Minutes from 90 % of that maximum on.",
        },
    ),
    "fact_reading_minutes": (
        "One row a ride and minute, of rides that have ended.",
        """
        SELECT ride_id, minute, reading_count, heart_rate_count, mean_heart_rate_bpm,
               max_heart_rate_bpm, mean_cadence_rpm, mean_resistance, mean_power_watts,
               max_power_watts, energy_kj
        FROM public.star_reading_minutes
        """,
        {
            "ride_id": "The ride: the key of fact_rides.",
            "minute": "Full minutes since the ride began; 0 is the first minute.",
            "reading_count": "Readings that came in this minute; one stands for one second.",
            "heart_rate_count": "Those of them that hold a heart rate.",
            "mean_heart_rate_bpm": "Mean heart rate in beats a minute, of readings that hold one.",
            "max_heart_rate_bpm": "Highest heart rate, in beats a minute.",
            "mean_cadence_rpm": "Mean cadence, in turns of the pedals a minute.",
            "mean_resistance": "Mean resistance: the bike's own level, without a unit.",
            "mean_power_watts": "Mean power, in watts.",
            "max_power_watts": "Highest power of a second, in watts.",
            "energy_kj": "Energy put into the pedals in this minute, in kilojoules.",
        },
    ),
    "fact_alerts": (
        "One row an abnormal heart rate and the mail about it.",
        """
        SELECT a.alert_id, a.ride_id, k.rider_key, a.level, a.measured_at,
               a.measured_at AT TIME ZONE z.time_zone AS measured_local_at,
               (a.measured_at AT TIME ZONE z.time_zone)::date AS measured_on,
               a.heart_rate_bpm, a.limit_bpm, a.state, a.latency_ms / 1000.0::float8 AS latency_s
        FROM public.heart_rate_alerts a
        CROSS JOIN public.star_refreshes z
        LEFT JOIN public.star_riders k USING (rider_id)
        """,
        {
            "alert_id": "The alert's number.",
            "ride_id": "The ride: the key of fact_rides, where it has ended.",
            "rider_key": "Who rode: the key of dim_riders. Empty: not known.",
            "level": "low, high or critical.",
            "measured_at": "The reading that made it an alert, in UTC.",
            "measured_local_at": "The same by the clocks of the company's time zone.",
            "measured_on": "The company's day on which it was measured: the key of dim_dates.",
            "heart_rate_bpm": "That reading's heart rate, in beats a minute.",
            "limit_bpm": "The rider's limit that it passed, in beats a minute.",
            "state": "What became of the mail: pending, sent, expired, undeliverable or failed.",
            "latency_s": "Seconds from the reading to the mail provider's acceptance.",
        },
    ),
    "dim_riders": (
        "One row a rider who has ended a ride, under a key that says nothing about the person.",
        f"""
        SELECT rider_key, {AGE_BANDS} AS age_band,
               extract(year FROM born_on)::int AS birth_year, gender, town,
               substring(upper(postcode) FROM '^([A-Z]{{1,2}})[0-9]') AS postcode_area,
               date_trunc('month', account_created_on)::date AS joined_month,
               coalesce(original_source, 'unknown') AS source
        FROM (
            SELECT *, date_part('year', age(current_date, born_on)) AS age
            FROM public.star_riders JOIN public.riders USING (rider_id)
            -- Here and below: once a rider, not once a ride that is joined to the rider.
            OFFSET 0
        ) told
        OFFSET 0
        """,  # noqa: S608  made of our own words
        {
            "rider_key": "A random number that stands for the rider, and for nobody else.",
            "age_band": "The rider's age today, in bands of ten years; unknown where it is.",
            "birth_year": "The year of birth.",
            "gender": "female, male, other or unknown.",
            "town": "The town of the rider's address.",
            "postcode_area": "The letters a British postcode begins with, such as EX for Exeter.",
            "joined_month": "The first day of the month in which the account was created.",
            "source": "How the rider came to us.",
        },
    ),
    "dim_bikes": (
        "One row a bike that was ever ridden.",
        "SELECT serial AS bike_serial, coalesce(firmware, 'unknown') AS firmware FROM public.bikes",
        {
            "bike_serial": "The serial number; unknown:… until a bike has told it.",
            "firmware": "The firmware that the bike last told.",
        },
    ),
    "dim_dates": (
        "One row a day, from the first day with a ride to the end of the year.",
        """
        SELECT day::date AS date, extract(isoyear FROM day)::int AS iso_year,
               extract(year FROM day)::int AS year, extract(quarter FROM day)::int AS quarter,
               extract(month FROM day)::int AS month, date_trunc('month', day)::date AS month_start,
               extract(week FROM day)::int AS iso_week, date_trunc('week', day)::date AS week_start,
               extract(isodow FROM day)::int AS weekday,
               (ARRAY['Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday',
                      'Sunday'])[extract(isodow FROM day)::int] AS weekday_name,
               extract(isodow FROM day) >= 6 AS is_weekend
        FROM (SELECT min(started_on) AS first FROM public.star_rides) began,
             generate_series(
                 first::timestamp, date_trunc('year', current_date) + interval '1 year - 1 day',
                 interval '1 day'
             ) AS day
        """,
        {
            "date": "The day, in the company's time zone.",
            "iso_year": "The year to which the week belongs (ISO 8601).",
            "year": "The calendar year.",
            "quarter": "The quarter, 1 to 4.",
            "month": "The month, 1 to 12.",
            "month_start": "The first day of the month.",
            "iso_week": "The week, 1 to 53 (ISO 8601).",
            "week_start": "The Monday of the week.",
            "weekday": "The day of the week, from 1 for Monday to 7 for Sunday.",
            "weekday_name": "The day of the week, by its English name.",
            "is_weekend": "Whether it is a Saturday or a Sunday.",
        },
    ),
    "refreshes": (
        "One row: how fresh the facts are.",
        """
        SELECT refreshed_at, time_zone,
               (SELECT count(DISTINCT ride_id) FROM public.star_changes) AS waiting_ride_count
        FROM public.star_refreshes
        """,
        {
            "refreshed_at": (
                "When the facts were last brought up to date, in UTC. Empty: they never were."
            ),
            "time_zone": "The company's time zone, by which days and hours are told.",
            "waiting_ride_count": "Rides that have begun, gone on or ended since.",
        },
    ),
}

# Roles belong to the whole server: another database of it may have made this one before, or
# make it at this moment.
MAKE_ROLE = f"""
DO $$
BEGIN
    PERFORM FROM pg_roles WHERE rolname = '{ROLE}';
    IF NOT FOUND THEN
        BEGIN
            CREATE ROLE {ROLE} LOGIN NOINHERIT CONNECTION LIMIT 20;
            ALTER ROLE {ROLE} SET default_transaction_read_only = on;
            ALTER ROLE {ROLE} SET statement_timeout = '30s';
            ALTER ROLE {ROLE} SET idle_in_transaction_session_timeout = '60s';
            ALTER ROLE {ROLE} SET search_path = analytics;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$;
"""

_UTC = sa.DateTime(timezone=True)
_ZONES = "this and the next four: seconds in each heart-rate zone; NULL: age or readings not known"


def upgrade() -> None:
    _create_tables()
    op.execute("INSERT INTO star_refreshes (time_zone) VALUES ('Europe/London')")
    for statement in TRIGGERS:
        op.execute(statement)
    op.execute(MAKE_ROLE)
    op.execute("CREATE SCHEMA analytics")
    op.execute("COMMENT ON SCHEMA analytics IS 'A star of rides for analysts; no one is named.'")
    for name, (comment, query, columns) in VIEWS.items():
        op.execute(f"CREATE VIEW analytics.{name} AS {query}")
        op.execute(f"COMMENT ON VIEW analytics.{name} IS {quoted(comment)}")
        for column, meaning in columns.items():
            op.execute(f"COMMENT ON COLUMN analytics.{name}.{column} IS {quoted(meaning)}")
    op.execute(f"GRANT USAGE ON SCHEMA analytics TO {ROLE}")
    op.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO {ROLE}")


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _create_tables() -> None:
    op.create_table(
        "star_riders",
        sa.Column("rider_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rider_key", sa.BigInteger(), nullable=False, comment="random, below 2^52"),
        sa.ForeignKeyConstraint(
            ["rider_id"],
            ["riders.rider_id"],
            name=op.f("fk_star_riders_rider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("rider_id", name=op.f("pk_star_riders")),
        sa.UniqueConstraint("rider_key", name=op.f("uq_star_riders_rider_key")),
        comment="Under which key analysts see a rider; goes with the rider.",
    )
    op.create_table(
        "star_rides",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rider_key", sa.BigInteger()),
        sa.Column("bike_serial", sa.Text(), nullable=False),
        sa.Column("started_at", _UTC, nullable=False),
        sa.Column(
            "started_local_at", sa.DateTime(), nullable=False, comment="in the company's time zone"
        ),
        sa.Column("started_on", sa.Date(), nullable=False, comment="the company's day"),
        sa.Column("started_hour", sa.SmallInteger(), nullable=False),
        sa.Column("duration_s", sa.Double()),
        sa.Column("reading_count", sa.Integer()),
        sa.Column("heart_rate_count", sa.Integer()),
        sa.Column("mean_heart_rate_bpm", sa.Double()),
        sa.Column("max_heart_rate_bpm", sa.SmallInteger()),
        sa.Column("mean_cadence_rpm", sa.Double()),
        sa.Column("max_cadence_rpm", sa.SmallInteger()),
        sa.Column("mean_resistance", sa.Double()),
        sa.Column("mean_power_watts", sa.Double()),
        sa.Column("max_power_watts", sa.Double()),
        sa.Column("mean_power_watts_per_kg", sa.Double()),
        sa.Column("energy_kj", sa.Double()),
        sa.Column("zone_1_s", sa.Integer(), comment=_ZONES),
        *(sa.Column(f"zone_{number}_s", sa.Integer()) for number in range(2, 6)),
        sa.ForeignKeyConstraint(
            ["ride_id"], ["rides.ride_id"], name=op.f("fk_star_rides_ride_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("ride_id", name=op.f("pk_star_rides")),
        comment="What analysts see of a ride that has ended; goes with the ride.",
    )
    op.create_index("ix_star_rides_started_on", "star_rides", ["started_on"])
    op.create_table(
        "star_reading_minutes",
        sa.Column("ride_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reading_count", sa.Integer(), nullable=False),
        sa.Column("heart_rate_count", sa.Integer(), nullable=False),
        sa.Column("mean_heart_rate_bpm", sa.Double()),
        sa.Column("max_heart_rate_bpm", sa.SmallInteger()),
        sa.Column("mean_cadence_rpm", sa.Double()),
        sa.Column("mean_resistance", sa.Double()),
        sa.Column("mean_power_watts", sa.Double()),
        sa.Column("max_power_watts", sa.Double()),
        sa.Column("energy_kj", sa.Double()),
        sa.ForeignKeyConstraint(
            ["ride_id"],
            ["star_rides.ride_id"],
            name=op.f("fk_star_reading_minutes_ride_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("ride_id", "minute", name=op.f("pk_star_reading_minutes")),
        comment="What analysts see of a ride's minutes; stays when readings grow too old.",
    )
    op.create_table(
        "star_changes",
        sa.Column("change_id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("ride_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_star_changes")),
        comment="Rides that changed since the star was refreshed; written by triggers on rides.",
    )
    op.create_table(
        "star_refreshes",
        sa.Column("only_row", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("refreshed_at", _UTC, comment="NULL: never"),
        sa.Column(
            "time_zone", sa.Text(), nullable=False, comment="by which days and hours are told"
        ),
        sa.CheckConstraint("only_row", name=op.f("ck_star_refreshes_only_row")),
        sa.PrimaryKeyConstraint("only_row", name=op.f("pk_star_refreshes")),
        comment="One row: when the star was last brought up to date.",
    )


def downgrade() -> None:
    # The role stays: other databases of the server may have it too.
    op.execute("DROP SCHEMA analytics CASCADE")
    op.execute("DROP TRIGGER note_star_updates ON rides")
    op.execute("DROP TRIGGER note_star_inserts ON rides")
    op.execute("DROP FUNCTION note_star_changes()")
    for table in (
        "star_refreshes",
        "star_changes",
        "star_reading_minutes",
        "star_rides",
        "star_riders",
    ):
        op.drop_table(table)
