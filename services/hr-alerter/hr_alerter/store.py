"""EDGE: alerts and what is known of riders, in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import asyncpg
from msgspec import Struct

from deloton.rules.heart_rate import OwnLimits, Proof
from deloton.rules.whose import Whose, whose_bike
from deloton.store.proven import PROVEN_OF_RIDER
from hr_alerter.alerts import AlertState
from hr_alerter.episodes import COVERED_BY, Alert


class WhoRides(Struct, frozen=True):
    """What decides a ride's limits: the rider's day of birth, own limits, and what was proven.

    `awaits_recovery`: a mail told of a danger in this ride, or is on its way, and none of its end.
    """

    ride_id: int
    rode_on: date
    born_on: date | None
    own: OwnLimits
    proof: Proof | None = None
    awaits_recovery: bool = False


_WHO_RIDES = f"""
SELECT ride_id, (started_at AT TIME ZONE $2)::date AS rode_on, born_on,
       low_bpm, high_bpm, critical_bpm, coalesce(alerts_on, true) AS alerts_on,
       proven_bpm, proven_rides,
       EXISTS (
           SELECT FROM heart_rate_alerts AS alerts
           LEFT JOIN heart_rate_recoveries AS recoveries USING (alert_id)
           WHERE alerts.ride_id = rides.ride_id AND alerts.state IN ('pending', 'sending', 'sent')
           AND (recoveries.state IS NULL OR recoveries.state = 'expired')
       ) AS awaits_recovery
FROM rides
LEFT JOIN riders USING (rider_id)
LEFT JOIN rider_limits USING (rider_id)
CROSS JOIN LATERAL ({PROVEN_OF_RIDER}) AS proven
WHERE ride_id = ANY($1::bigint[])
"""  # noqa: S608  a statement of our own

_STORE_PROOFS = """
INSERT INTO ride_hearts (ride_id, proven_bpm, proven_rides)
SELECT ride_id, new.proven_bpm, new.proven_rides
FROM unnest($1::bigint[], $2::smallint[], $3::smallint[]) AS new (ride_id, proven_bpm, proven_rides)
JOIN rides USING (ride_id)
ORDER BY ride_id
ON CONFLICT (ride_id) DO UPDATE
SET proven_bpm = excluded.proven_bpm, proven_rides = excluded.proven_rides
"""

_STORE_HELD = """
INSERT INTO ride_hearts AS hearts (ride_id, held_bpm)
SELECT ride_id, new.held_bpm
FROM unnest($1::bigint[], $2::smallint[]) AS new (ride_id, held_bpm) JOIN rides USING (ride_id)
ORDER BY ride_id
ON CONFLICT (ride_id) DO UPDATE SET held_bpm = greatest(hearts.held_bpm, excluded.held_bpm)
"""

# Two alerts of one rider at once, from two bikes or two alerters: one waits for the other.
_LOCK_RIDERS = """
SELECT FROM riders WHERE rider_id = ANY($1::bigint[]) ORDER BY rider_id FOR NO KEY UPDATE
"""

# An alert that is said again and again is mostly one that has come to its end long ago.
_ARE_DUE = """
SELECT number FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY AS said (ride_id, level, number)
WHERE NOT EXISTS (
    SELECT FROM heart_rate_alerts AS told
    WHERE told.ride_id = said.ride_id
    AND (told.level = said.level OR (said.level = 'high' AND told.level = 'critical'))
    AND told.state NOT IN ('pending', 'sending', 'expired')
)
"""

# Nothing where the ride is gone, or where its rider was told of the level (or of one that covers
# it) in this ride, or in another during the cool-down before the episode. What is on its way learns
# of the newest reading. A row that no provider took in time gives way.
_STORE = """
INSERT INTO heart_rate_alerts AS alerts (
    ride_id, rider_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, state, settled_at
)
SELECT rides.ride_id, rides.rider_id, $2, $3::timestamptz, $4::smallint, $5::double precision, $6,
       new.state,
       CASE new.state WHEN 'expired' THEN now() END
FROM rides
CROSS JOIN (
    SELECT CASE WHEN $3::timestamptz < $9::timestamptz
           THEN 'expired' ELSE 'pending' END AS state
) AS new
WHERE rides.ride_id = $1
AND NOT EXISTS (
    SELECT FROM heart_rate_alerts AS told
    WHERE told.ride_id = rides.ride_id AND told.level = ANY($7::text[])
    AND told.state <> 'expired'
    AND NOT (told.level = $2 AND told.state IN ('pending', 'sending'))
)
AND NOT EXISTS (
    SELECT FROM heart_rate_alerts AS told
    WHERE told.rider_id = rides.rider_id AND told.ride_id <> rides.ride_id
    AND told.measured_at > $10::timestamptz - $8::interval
    AND told.measured_at < $10::timestamptz + $8::interval
    AND told.level = ANY($7::text[]) AND told.state IN ('pending', 'sending', 'sent', 'unknown')
)
ON CONFLICT (ride_id, level) DO UPDATE SET
    measured_at = CASE alerts.state WHEN 'expired' THEN excluded.measured_at
                  ELSE alerts.measured_at END,
    heart_rate_bpm = CASE alerts.state WHEN 'expired' THEN excluded.heart_rate_bpm
                     ELSE alerts.heart_rate_bpm END,
    state = CASE alerts.state WHEN 'expired' THEN 'pending' ELSE alerts.state END,
    settled_at = NULL, limit_bpm = excluded.limit_bpm, limit_rule = excluded.limit_rule,
    seen_at = excluded.measured_at, seen_bpm = excluded.heart_rate_bpm
WHERE alerts.state IN ('expired', 'pending', 'sending') AND excluded.state = 'pending'
AND excluded.measured_at > coalesce(alerts.seen_at, alerts.measured_at)
RETURNING ride_id, level, state, measured_at = $3 AS is_new,
    (SELECT bike_serial FROM rides WHERE rides.ride_id = alerts.ride_id) AS bike_serial
"""


class AlertRules(Struct, frozen=True):
    """When an alert is one too many, and when it comes too late."""

    cool_down: timedelta = timedelta(minutes=15)
    max_age: timedelta = timedelta(minutes=2)


class StoredAlert(Struct, frozen=True):
    """What was stored of an alert."""

    ride_id: int
    level: str
    state: AlertState
    whose: Whose = Whose.RIDER


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
            Proof(row["proven_bpm"], row["proven_rides"]) if row["proven_rides"] else None,
            row["awaits_recovery"],
        )
        for row in rows
    }


async def store_proofs(pool: asyncpg.Pool, proofs: Mapping[int, Proof]) -> None:
    """Store by which proofs rides are watched, so that pages show the same limits."""
    bpm, rides = [one.bpm for one in proofs.values()], [one.rides for one in proofs.values()]
    await pool.execute(_STORE_PROOFS, list(proofs), bpm, rides)


async def store_held_rates(pool: asyncpg.Pool, held: Mapping[int, int]) -> None:
    """Store the highest rate that hearts held, in bpm, by ride; a higher one stays."""
    await pool.execute(_STORE_HELD, list(held), list(held.values()))


async def store_alerts(
    pool: asyncpg.Pool, alerts: Sequence[Alert], rules: AlertRules
) -> list[StoredAlert]:
    """Store alerts, in their order and one transaction; return those that were new.

    Repeating it stores nothing more. One that comes too late, by our clock and not the database's,
    is stored as expired.
    """
    due = await _due(pool, alerts)
    if not due:
        return []
    riders = [a.sample.rider_id for a in due if a.sample.rider_id is not None]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK_RIDERS, riders)
        fresh_from = datetime.now(UTC) - rules.max_age
        new = [_row_of(alert, rules.cool_down, fresh_from) for alert in due]
        rows = await connection.fetchmany(_STORE, new)
    return [
        StoredAlert(
            row["ride_id"], row["level"], AlertState(row["state"]), whose_bike(row["bike_serial"])
        )
        for row in rows
        if row["is_new"]
    ]


async def _due(pool: asyncpg.Pool, alerts: Sequence[Alert]) -> list[Alert]:
    """Those that are new, and those said again that have not come to their end, in their order."""
    again = [alert for alert in alerts if not alert.is_new]
    if not again:
        return list(alerts)
    rides, levels = [a.sample.ride_id for a in again], [a.limit.level for a in again]
    rows = await pool.fetch(_ARE_DUE, rides, levels)
    due = {id(again[row["number"] - 1]) for row in rows}
    return [alert for alert in alerts if alert.is_new or id(alert) in due]


def _row_of(alert: Alert, cool_down: timedelta, fresh_from: datetime) -> tuple[object, ...]:
    sample, limit = alert.sample, alert.limit
    return (
        sample.ride_id,
        limit.level,
        sample.measured_at,
        sample.heart_rate_bpm,
        limit.bpm,
        limit.rule,
        list(COVERED_BY[limit.level]),
        cool_down,
        fresh_from,
        alert.began_at,
    )
