"""EDGE: that riders are out of danger, in PostgreSQL: at most once for each mailed alert."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
from msgspec import Struct

from hr_alerter.recovery import Recovery

# Of a ride's alerts the newest, if it was mailed: of several in one danger it is the last word, and
# who was not told of the worst is not told to ride on. What was normal before that danger was last
# seen says nothing of its end. A row that came to nothing gives way: the danger had come back and
# is over anew, or the row came, or no provider took the mail, in time.
_STORE = """
INSERT INTO heart_rate_recoveries AS recoveries (
    alert_id, level, measured_at, seen_at, heart_rate_bpm, state, settled_at
)
SELECT alert_id, level, said.since, said.seen_at, said.bpm, new.state,
       CASE new.state WHEN 'expired' THEN now() END
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::smallint[])
     AS said (ride_id, since, seen_at, bpm)
CROSS JOIN LATERAL (
    SELECT alert_id, level, alerts.state, coalesce(alerts.seen_at, measured_at) AS danger_at
    FROM heart_rate_alerts AS alerts
    WHERE alerts.ride_id = said.ride_id
    ORDER BY measured_at DESC, alert_id DESC LIMIT 1
) AS told
CROSS JOIN LATERAL (
    SELECT CASE WHEN said.seen_at < $5 THEN 'expired' ELSE 'pending' END AS state
) AS new
WHERE told.state = 'sent' AND told.danger_at < said.since
ORDER BY alert_id
ON CONFLICT (alert_id) DO UPDATE SET
    measured_at = excluded.measured_at, seen_at = excluded.seen_at,
    heart_rate_bpm = excluded.heart_rate_bpm, state = 'pending', settled_at = NULL
WHERE recoveries.state = 'expired' AND excluded.state = 'pending'
AND (excluded.measured_at > recoveries.measured_at OR recoveries.seen_at < $5)
RETURNING state
"""

_ON_THEIR_WAY = """
SELECT DISTINCT ride_id FROM heart_rate_alerts
WHERE ride_id = ANY($1::bigint[]) AND state IN ('pending', 'sending')
"""

# One that is with the provider cannot be called back: its end is noted as a fact.
_WITHDRAW = """
UPDATE heart_rate_recoveries AS recoveries
SET state = 'expired', settled_at = now(), owner = NULL, owned_until = NULL
FROM heart_rate_alerts AS alerts
WHERE alerts.alert_id = recoveries.alert_id AND alerts.ride_id = ANY($1::bigint[])
AND recoveries.state IN ('pending', 'sending')
"""


class Stored(Struct, frozen=True):
    """What became of recoveries that were said: the states of the new rows; whose alert is mailed.

    `waiting`: rides whose alert is still on its way; that it is over has to be said again.
    """

    states: Sequence[str]
    waiting: Collection[int]


async def store_recoveries(
    pool: asyncpg.Pool, recoveries: Sequence[Recovery], max_age: timedelta
) -> Stored:
    """Store that dangers are over, one of each ride, where a mail told of it.

    Repeating it stores nothing more.

    What was seen longer ago than `max_age`, by our clock, is stored as expired.
    """
    rides = [one.sample.ride_id for one in recoveries]
    # Asked first: an alert that is mailed after this is one that is waited for.
    waiting = {row["ride_id"] for row in await pool.fetch(_ON_THEIR_WAY, rides)}
    rows = await pool.fetch(
        _STORE,
        rides,
        [one.since for one in recoveries],
        [one.sample.measured_at for one in recoveries],
        [one.sample.heart_rate_bpm for one in recoveries],
        datetime.now(UTC) - max_age,
    )
    return Stored([row["state"] for row in rows], waiting)


async def withdraw_recoveries(pool: asyncpg.Pool, ride_ids: Collection[int]) -> None:
    """The danger has come back: say no more that it is over."""
    await pool.execute(_WITHDRAW, list(ride_ids))
