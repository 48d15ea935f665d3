"""EDGE: what analysts are told of groups: small tables of groups of ten riders or more alone.

Views of `analytics` read them as they are. Were a view to count raw rows and leave small groups
out, whoever asks could still learn of them: a plan that is explained tells how many rows a filter
took, an error of an expression that it met a row.
"""

from typing import Final

from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from deloton.store.database import Connection
from deloton.store.star_cells import FEWEST

# Neither the sandbox's nor the canary's.
_REAL = f"a.rider_id < {FIRST_SANDBOX_RIDER_ID}"

# Of months and weeks that are over: a group that still grows tells who was last to enter.
_COUNTS: Final = {
    "star_retention": f"""
        SELECT rider_joined_month AS joined_month, months_since_joining,
               (rider_joined_month + make_interval(months => months_since_joining))::date
                   AS ridden_month,
               count(DISTINCT rider_key) AS rider_count, count(*) AS ride_count
        FROM star_rides
        WHERE rider_joined_month + make_interval(months => months_since_joining)
            < date_trunc('month', now() AT TIME ZONE $1)
        GROUP BY 1, 2
        HAVING count(DISTINCT rider_key) >= {FEWEST}
    """,  # noqa: S608
    "star_alerts": f"""
        SELECT (date_trunc('week', a.measured_at AT TIME ZONE $1))::date AS measured_week,
               a.level, count(DISTINCT a.rider_id) AS rider_count, count(*) AS alert_count,
               CASE WHEN count(DISTINCT a.rider_id) FILTER (WHERE a.latency_ms IS NOT NULL)
                   >= {FEWEST} THEN avg(a.latency_ms)::float8 / 1000.0 END AS mean_latency_s,
               CASE WHEN count(DISTINCT a.rider_id) FILTER (WHERE r.measured_at IS NOT NULL)
                   >= {FEWEST} THEN avg(extract(epoch FROM r.measured_at - a.measured_at))::float8
                   END AS mean_recovered_s
        FROM heart_rate_alerts a LEFT JOIN heart_rate_recoveries r USING (alert_id)
        WHERE {_REAL}
        AND a.measured_at < date_trunc('week', now() AT TIME ZONE $1) AT TIME ZONE $1
        GROUP BY 1, 2
        HAVING count(DISTINCT a.rider_id) >= {FEWEST}
    """,  # noqa: S608
    "star_alert_limits": f"""
        SELECT a.level, (floor(a.limit_bpm / 10) * 10)::int AS limit_from_bpm,
               count(DISTINCT a.rider_id) / 10 * 10 AS rider_count,
               count(*) / 10 * 10 AS alert_count
        FROM heart_rate_alerts a
        WHERE {_REAL}
        AND a.measured_at < date_trunc('week', now() AT TIME ZONE $1) AT TIME ZONE $1
        GROUP BY 1, 2
        HAVING count(DISTINCT a.rider_id) >= {FEWEST}
    """,  # noqa: S608
}

# When riders get cells: once a day of the company's, and once there are a tenth more. Noted apart,
# so that a refresh of the version before, which counts no groups, takes nobody's turn.
_IS_TIME = """
UPDATE star_refreshes SET groups_on = today, groups_rider_count = riders
FROM (
    SELECT count(*)::int AS riders, (now() AT TIME ZONE $1)::date AS today FROM star_riders
) found
WHERE groups_on IS DISTINCT FROM today OR riders > groups_rider_count * 1.1
RETURNING true
"""


async def count_groups(connection: Connection, time_zone: str) -> bool:
    """Count all groups anew, where it is time to; return whether it was.

    Within a transaction of the caller's: analysts see the former counts until it ends.
    """
    if not await connection.fetchval(_IS_TIME, time_zone):
        return False
    for table, counts in _COUNTS.items():
        await connection.execute(f"DELETE FROM {table}")  # noqa: S608  names of our own
        await connection.execute(f"INSERT INTO {table} {counts}", time_zone)
    return True
