"""Those who show or count rides and alerts see nothing of the canary's.

PostgreSQL itself leaves its rows out, so that no question can forget to. The tables' owner sees
everything; so do who stores rides and who mails. The views read with their owner's rights and leave
them out by themselves. Riders are met through rides; the one place that counts them says so.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# As `deloton.rules.canary` has them: a test compares.
BIKE = "CANARY"
FIRST_RIDER_ID = 9_000_000_000_000_000_000

# Only comparisons that are leakproof: indexes serve whoever is bound by them as before.
NOT_THE_CANARYS = {
    "bikes": f"serial <> '{BIKE}'",
    "rides": f"bike_serial <> '{BIKE}'",
    "heart_rate_alerts": f"rider_id IS NULL OR rider_id < {FIRST_RIDER_ID}",
}
SEE_ALL = ("ingestor", "hr_alerter")

FACT_ALERTS = """
SELECT a.alert_id, a.ride_id, k.rider_key, a.level, a.measured_at,
       a.measured_at AT TIME ZONE z.time_zone AS measured_local_at,
       (a.measured_at AT TIME ZONE z.time_zone)::date AS measured_on,
       a.heart_rate_bpm, a.limit_bpm, a.state, a.latency_ms / 1000.0::float8 AS latency_s,
       date_trunc('week', a.measured_at AT TIME ZONE z.time_zone)::date AS measured_week
FROM public.heart_rate_alerts a
CROSS JOIN public.star_refreshes z
LEFT JOIN public.star_riders k USING (rider_id)
"""

DIM_BIKES = """
SELECT bike_serial, firmware, deviation_s >= 30 AS power_sensor_is_faulty
FROM (
    SELECT serial AS bike_serial, coalesce(firmware, 'unknown') AS firmware, (
        SELECT power_deviation_s FROM public.rides
        WHERE bike_serial = serial AND ended_at IS NOT NULL
        ORDER BY started_at DESC LIMIT 1
    ) AS deviation_s
    FROM public.bikes
    {condition}
    -- Once a bike, not once a ride that is joined to the bike.
    OFFSET 0
) told
"""


def set_views(alerts: str, bikes: str) -> None:
    op.execute(f"CREATE OR REPLACE VIEW analytics.fact_alerts AS {FACT_ALERTS} {alerts}")
    dim_bikes = DIM_BIKES.format(condition=bikes)
    op.execute(f"CREATE OR REPLACE VIEW analytics.dim_bikes AS {dim_bikes}")


def upgrade() -> None:
    for table, condition in NOT_THE_CANARYS.items():
        op.execute(f"CREATE POLICY all_but_the_canary ON {table} USING ({condition})")
        op.execute(f"CREATE POLICY the_canary_too ON {table} TO {', '.join(SEE_ALL)} USING (true)")
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    set_views(
        f"WHERE a.rider_id IS NULL OR a.rider_id < {FIRST_RIDER_ID}", f"WHERE serial <> '{BIKE}'"
    )


def downgrade() -> None:
    set_views("", "")
    for table in NOT_THE_CANARYS:
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY all_but_the_canary ON {table}")
        op.execute(f"DROP POLICY the_canary_too ON {table}")
