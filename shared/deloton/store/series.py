"""EDGE: rides that have ended are packed: their readings, as arrays, into one row of `ride_series`.

A reading takes five bytes there, beside a hundred as a row. Nothing is rounded: what is left out
(a power that `bike_powers` tells, a count that is the reading's number) was compared first, value
by value. Who packs holds the ride, so that nobody changes it meanwhile; who changes it later
unpacks it first (`unpack_rides`). So a series, where there is one, tells all of the ride, and its
rows some or all of that: they may be gone with their day.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg
from msgspec import Struct

from deloton.rules.power import DEVIATION_WATTS, FASTEST_CADENCE_RPM, HIGHEST_RESISTANCE
from deloton.running.logs import get_logger
from deloton.store.database import REFUSALS, Connection
from deloton.store.figure_sql import in_words, power_is_off_by

_log = get_logger(__name__)

# Taken in hand at once, at most: as much as is sorted in a few megabytes and packed in a fraction
# of a second.
RIDES_AT_ONCE: Final = 200
READINGS_AT_ONCE: Final = 50_000
# A longer ride, of a day and more without a pause, stays as rows.
LONGEST_PACKED: Final = 100_000

# Newest first: rides of today do not wait for those of last year. Who is being changed just now
# is passed over.
_TAKE = """
SELECT ride_id, coalesce(reading_count, 0) AS reading_count
FROM rides_to_pack JOIN rides USING (ride_id)
WHERE since <= now() - $1 * interval '1 second' AND refused IS NULL AND ended_at IS NOT NULL
ORDER BY since DESC LIMIT $2
FOR UPDATE OF rides_to_pack SKIP LOCKED FOR SHARE OF rides SKIP LOCKED
"""

# What a sound bike can tell, and nothing of a broken sensor's. In order: two who learn the same
# at once wait for one another, never in a circle.
_LEARN_POWERS = f"""
INSERT INTO bike_powers (resistance, cadence_rpm, power_watts)
SELECT DISTINCT ON (resistance, cadence_rpm) resistance, cadence_rpm, power_watts
FROM (
    SELECT * FROM readings
    WHERE ride_id = ANY($1::bigint[]) AND power_watts IS NOT NULL
    AND resistance BETWEEN 0 AND {HIGHEST_RESISTANCE}
    AND cadence_rpm BETWEEN 0 AND {FASTEST_CADENCE_RPM}
    AND NOT EXISTS (
        SELECT FROM bike_powers AS known
        WHERE known.resistance = readings.resistance
        AND known.cadence_rpm = readings.cadence_rpm
    )
    OFFSET 0
) AS readings
WHERE NOT ({in_words(power_is_off_by(DEVIATION_WATTS))})
ORDER BY resistance, cadence_rpm, at
ON CONFLICT DO NOTHING
"""  # noqa: S608  numbers and words of our own

# How a number is told by bytes from -128 to 127, the lowest first.
_LOW = "((by + 128) & 255)::int - 128"
_MID = "((((by + 128) >> 8) + 128) & 255)::int - 128"
_HIGH = "(((by + 128) >> 8) + 128) >> 8"
_BY = "FROM unnest(steps) AS step, LATERAL (SELECT coalesce(step - step_us, 0)) AS differs (by)"

# Arrays are in the order of time, since that is how the window hands rows on. A count of seconds
# that is whole is told by how far it leads the reading's number; -0 and what is beyond an integer
# are not whole. Times within a century of each other differ by whole numbers that doubles hold.
_PACK = f"""
INSERT INTO ride_series (
    ride_id, reading_count, first_at, last_at, step_us, step_low, step_mid, step_high,
    elapsed_lead, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts, powerless
)
SELECT ride_id, reading_count, first_at, last_at, step_us,
       (SELECT array_agg(({_LOW})::"char") {_BY}),
       CASE WHEN is_uneven THEN (
           SELECT array_agg(({_MID})::"char") {_BY}
       ) END,
       CASE WHEN is_broken THEN (
           SELECT array_agg({_HIGH}) {_BY}
       ) END,
       CASE WHEN is_whole AND is_led THEN leads END,
       CASE WHEN NOT is_whole THEN elapsed_s END,
       heart_rate_bpm, cadence_rpm, resistance,
       CASE WHEN is_odd THEN power_watts END,
       powerless
FROM (
    SELECT *, longest > step_us + 127 OR shortest < step_us - 128 AS is_uneven,
           longest > step_us + 32639 OR shortest < step_us - 32896 AS is_broken
    FROM (
        SELECT ride_id, count(*)::int AS reading_count, min(at) AS first_at, max(at) AS last_at,
               coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY step), 0) AS step_us,
               min(step) AS shortest, max(step) AS longest, array_agg(step) AS steps,
               bool_and(is_whole) AS is_whole, bool_or(elapsed_s IS DISTINCT FROM number) AS is_led,
               array_agg(CASE WHEN is_whole THEN (elapsed_s - number)::int END) AS leads,
               array_agg(elapsed_s) AS elapsed_s, array_agg(heart_rate_bpm) AS heart_rate_bpm,
               array_agg(cadence_rpm) AS cadence_rpm, array_agg(resistance) AS resistance,
               bool_or(is_odd) AS is_odd,
               array_agg(CASE WHEN is_odd THEN power_watts END) AS power_watts,
               array_agg(number) FILTER (WHERE power_watts IS NULL AND told_watts IS NOT NULL)
                   AS powerless
        FROM (
            SELECT readings.*, told.power_watts AS told_watts,
                   row_number() OVER of_ride::int AS number,
                   round(date_part('epoch', at - lag(at) OVER of_ride) * 1e6)::bigint AS step,
                   elapsed_s IS NULL OR (
                       elapsed_s = trunc(elapsed_s) AND abs(elapsed_s) < 1e9
                       AND (elapsed_s <> 0 OR elapsed_s::text = '0')
                   ) AS is_whole,
                   readings.power_watts IS NOT NULL AND (
                       told.power_watts IS NULL OR told.power_watts <> readings.power_watts
                       OR (told.power_watts = 0
                           AND told.power_watts::text <> readings.power_watts::text)
                   ) AS is_odd
            FROM unnest($1::bigint[]) AS taken (ride_id)
            CROSS JOIN LATERAL (
                -- Ride by ride, by the index, however many partitions there are.
                SELECT * FROM readings WHERE readings.ride_id = taken.ride_id OFFSET 0
            ) AS readings
            LEFT JOIN bike_powers AS told ON told.resistance = readings.resistance
                AND told.cadence_rpm = readings.cadence_rpm
            WINDOW of_ride AS (PARTITION BY readings.ride_id ORDER BY at)
        ) AS reading
        GROUP BY ride_id
        HAVING count(*) <= {LONGEST_PACKED} AND max(at) - min(at) < interval '36500 days'
        -- Of what is left after the retention none is made a whole.
        AND count(*) >= (
            SELECT coalesce(reading_count, 0) FROM rides WHERE rides.ride_id = reading.ride_id
        )
    ) AS ride
) AS ride
ON CONFLICT (ride_id) DO NOTHING
"""  # noqa: S608

# Of rides that came to no series those without a reading need none.
_SET_APART = """
UPDATE rides_to_pack SET refused = 'too long, or incomplete'
WHERE ride_id = ANY($1::bigint[])
AND NOT EXISTS (SELECT FROM ride_series WHERE ride_series.ride_id = rides_to_pack.ride_id)
AND EXISTS (SELECT FROM readings WHERE readings.ride_id = rides_to_pack.ride_id)
"""

_DONE = "DELETE FROM rides_to_pack WHERE ride_id = ANY($1::bigint[]) AND refused IS NULL"

_REFUSE = "UPDATE rides_to_pack SET refused = $2 WHERE ride_id = $1"

_UNPACK = "SELECT unpack_rides($1::bigint[])"

_WAITING = """
SELECT count(*) FILTER (WHERE refused IS NULL) AS waiting, count(refused) AS refused
FROM rides_to_pack
"""


class Waiting(Struct, frozen=True):
    """How many rides wait to be packed, and how many cannot be: `rides_to_pack` says why."""

    ride_count: int
    refused_count: int


async def waiting_rides(pool: asyncpg.Pool) -> Waiting:
    """What is still to be packed, of all rides."""
    [waiting] = await pool.fetch(_WAITING)
    return Waiting(waiting["waiting"], waiting["refused"])


async def unpack_rides(connection: Connection, ride_ids: Iterable[int | None]) -> frozenset[int]:
    """Make packed rides rows again; belongs before whatever changes their readings.

    Returns those that have ended and have fewer readings than they were counted by: the others
    went after the retention, and nothing that is told of such a ride may be counted anew. Nobody
    packs the rides until the transaction ends.
    """
    chosen = [ride_id for ride_id in ride_ids if ride_id is not None]
    rows = await connection.fetch(_UNPACK, chosen) if chosen else []
    return frozenset(ride_id for (ride_id,) in rows)


async def pack_rides(pool: asyncpg.Pool, ended_for_s: float) -> int:
    """Pack some of the rides that wait for it and ended so long ago; return how many, 0 of none.

    Several may pack at once. What is interrupted left everything as it was. A ride that cannot be
    packed is set apart and stays as rows: its neighbours are packed all the same.
    """
    async with pool.acquire() as connection:
        try:
            async with connection.transaction():
                ride_ids = await _take(connection, ended_for_s, RIDES_AT_ONCE)
                await _pack(connection, ride_ids)
                return len(ride_ids)
        except REFUSALS:
            return await _pack_singly(connection, ended_for_s)


async def _take(connection: Connection, ended_for_s: float, most: int) -> list[int]:
    """Rides that nobody changes until the transaction ends; at least one where there are any."""
    waiting = await connection.fetch(_TAKE, ended_for_s, most)
    return _first_of(waiting, READINGS_AT_ONCE)


def _first_of(waiting: Sequence[asyncpg.Record], reading_count: int) -> list[int]:
    taken: list[int] = []
    for ride in waiting:
        reading_count -= ride["reading_count"]
        if taken and reading_count < 0:
            break
        taken.append(ride["ride_id"])
    return taken


async def _pack(connection: Connection, ride_ids: Sequence[int]) -> None:
    for step in (_LEARN_POWERS, _PACK, _SET_APART, _DONE) if ride_ids else ():
        await connection.execute(step, ride_ids)


async def _pack_singly(connection: Connection, ended_for_s: float) -> int:
    """As many as a batch, each in a transaction of its own; who is to blame is set apart."""
    for number in range(RIDES_AT_ONCE):
        async with connection.transaction():
            ride_ids = await _take(connection, ended_for_s, 1)
            if not ride_ids:
                return number
            try:
                async with connection.transaction():
                    await _pack(connection, ride_ids)
            except REFUSALS as error:
                await connection.execute(_REFUSE, ride_ids[0], str(error))
                _log.error("ride cannot be packed", ride_id=ride_ids[0], reason=str(error))
    return RIDES_AT_ONCE
