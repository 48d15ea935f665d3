"""EDGE: alerts and what is known of riders, in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import asyncpg
from msgspec import Struct

from deloton.database import Connection
from deloton.heart_rate import OwnLimits
from hr_alerter.alerts import AlertState
from hr_alerter.episodes import COVERED_BY, Alert


class WhoRides(Struct, frozen=True):
    """What decides a ride's limits: the rider's day of birth, if known, and own limits."""

    ride_id: int
    rode_on: date
    born_on: date | None
    own: OwnLimits


_WHO_RIDES = """
SELECT ride_id, (started_at AT TIME ZONE $2)::date AS rode_on, born_on,
       low_bpm, high_bpm, critical_bpm, coalesce(alerts_on, true) AS alerts_on
FROM rides
LEFT JOIN riders USING (rider_id)
LEFT JOIN rider_limits USING (rider_id)
WHERE ride_id = ANY($1::bigint[])
"""

# Two alerts of one rider at once, from two bikes or two alerters: one waits for the other.
_LOCK_RIDERS = """
SELECT pg_advisory_xact_lock(hashtextextended('heart-rate alerts of ' || rider_id, 0))
FROM (SELECT DISTINCT unnest($1::bigint[]) AS rider_id ORDER BY 1) AS riders
"""

# Nothing where the ride is gone, or where its rider was told of the level (or of one that covers
# it) in this ride or during the cool-down. A row that came too late to be of use gives way.
_STORE = """
INSERT INTO heart_rate_alerts AS alerts (
    ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, state, settled_at
)
SELECT rides.ride_id, rides.rider_id, $2, $3::timestamptz, $4::smallint, $5::double precision, $6,
       new.state,
       CASE new.state WHEN 'expired' THEN now() END
FROM rides
CROSS JOIN (
    SELECT CASE WHEN $3::timestamptz < now() - $9::interval
           THEN 'expired' ELSE 'pending' END AS state
) AS new
WHERE rides.ride_id = $1
AND NOT EXISTS (
    SELECT FROM heart_rate_alerts AS told
    WHERE told.ride_id = rides.ride_id
    AND told.level = ANY($7::text[]) AND told.state IN ('pending', 'sent')
)
AND NOT EXISTS (
    SELECT FROM heart_rate_alerts AS told
    WHERE told.rider_id = rides.rider_id
    AND told.measured_at > $3::timestamptz - $8::interval
    AND told.measured_at < $3::timestamptz + $8::interval
    AND told.level = ANY($7::text[]) AND told.state IN ('pending', 'sent')
)
ON CONFLICT (ride_id, level) DO UPDATE SET
    measured_at = excluded.measured_at, heart_rate_bpm = excluded.heart_rate_bpm,
    limit_bpm = excluded.limit_bpm, limit_rule = excluded.limit_rule,
    state = excluded.state, settled_at = excluded.settled_at
WHERE alerts.state = 'expired' AND excluded.state = 'pending'
AND excluded.measured_at > alerts.measured_at
RETURNING level, state
"""

_SETTLE = """
UPDATE heart_rate_alerts
SET state = $2, settled_at = now(), attempts = attempts + $3,
    provider_message_id = $4, latency_ms = $5
WHERE alert_id = $1 AND state = 'pending'
"""


class AlertRules(Struct, frozen=True):
    """When an alert is one too many, and when it comes too late."""

    cool_down: timedelta = timedelta(minutes=15)
    max_age: timedelta = timedelta(minutes=2)


class StoredAlert(Struct, frozen=True):
    """What was stored of an alert."""

    level: str
    state: AlertState


async def who_rides(
    pool: asyncpg.Pool, ride_ids: Collection[int], time_zone: str
) -> dict[int, WhoRides]:
    """What is known of the riders of these rides, in one query; nothing of rides that are gone."""
    rows = await pool.fetch(_WHO_RIDES, list(ride_ids), time_zone)
    return {
        row["ride_id"]: WhoRides(
            row["ride_id"],
            row["rode_on"],
            row["born_on"],
            OwnLimits(row["low_bpm"], row["high_bpm"], row["critical_bpm"], row["alerts_on"]),
        )
        for row in rows
    }


async def store_alerts(
    pool: asyncpg.Pool, alerts: Sequence[Alert], rules: AlertRules
) -> list[StoredAlert]:
    """Store alerts, in their order and one transaction; return those that were new.

    Repeating it stores nothing more. One that comes too late is stored as expired.
    """
    riders = [a.sample.rider_id for a in alerts if a.sample.rider_id is not None]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK_RIDERS, riders)
        rows = await connection.fetchmany(_STORE, [_row_of(alert, rules) for alert in alerts])
    return [StoredAlert(row["level"], AlertState(row["state"])) for row in rows]


def _row_of(alert: Alert, rules: AlertRules) -> tuple[object, ...]:
    sample, limit = alert.sample, alert.limit
    return (
        sample.ride_id,
        limit.level,
        sample.measured_at,
        sample.heart_rate_bpm,
        limit.bpm,
        limit.rule,
        list(COVERED_BY[limit.level]),
        rules.cool_down,
        rules.max_age,
    )


async def settle_alert(
    pool: asyncpg.Pool | Connection,
    alert_id: int,
    state: AlertState,
    *,
    attempts: int = 0,
    provider_message_id: str | None = None,
    latency_ms: int | None = None,
) -> None:
    """Note what became of a pending alert; one that was erased meanwhile stays so."""
    await pool.execute(_SETTLE, alert_id, state, attempts, provider_message_id, latency_ms)
