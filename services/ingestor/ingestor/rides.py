"""EDGE: rides begin, go on and end; the totals of an ended one are computed in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from deloton.feed.assembly import Assembled, Ride, Started
from deloton.rules.figures import FIGURES
from deloton.store.database import Connection
from deloton.store.figure_sql import of_readings, readings_for_figures
from deloton.store.series import unpack_rides

_STORE_RIDES = """
INSERT INTO rides AS known (bike_serial, started_at, rider_id, clock_beginnings)
SELECT bike_serial, started_at, rider_id,
       CASE WHEN beginnings <> '' THEN beginnings::timestamptz[] END
FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::text[])
    AS told (bike_serial, started_at, rider_id, beginnings)
ON CONFLICT (bike_serial, (coalesce(clock_beginnings[1], started_at)))
DO UPDATE SET rider_id = coalesce(known.rider_id, excluded.rider_id),
              started_at = excluded.started_at, clock_beginnings = excluded.clock_beginnings
RETURNING ride_id, bike_serial, coalesce(clock_beginnings[1], started_at) AS told_at, ended_at
"""

_READINGS_OF_ENDED = """readings
    WHERE readings.ride_id = ended.ride_id
    AND readings.at BETWEEN ended.span_from AND ended.span_to"""

_END_RIDES = f"""
UPDATE rides SET ended_at = ended.at, end_reason = ended.reason,
    {", ".join(f"{figure.name} = total.{figure.name}" for figure in FIGURES)}
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[])
    AS ended (ride_id, at, reason, span_from, span_to)
CROSS JOIN LATERAL (
    SELECT {of_readings()}
    FROM {readings_for_figures(_READINGS_OF_ENDED)}
) total
WHERE rides.ride_id = ended.ride_id
RETURNING rides.ride_id
"""  # noqa: S608 - numbers of ours and names of columns

_RESUME_RIDES = f"""
UPDATE rides SET ended_at = NULL, end_reason = NULL,
    {", ".join(f"{figure.name} = NULL" for figure in FIGURES)}
WHERE ride_id = ANY($1::bigint[])
"""  # noqa: S608

_ENDED_RIDE = """
SELECT greatest(ended_at, $2) AS ended_at, end_reason,
       least(started_at, min(at)) AS span_from, greatest(started_at, max(at)) AS span_to
FROM rides LEFT JOIN readings USING (ride_id)
WHERE ride_id = $1 AND ended_at IS NOT NULL GROUP BY rides.ride_id
"""

_SET_CLOCK = """
UPDATE rides SET started_at = $2, clock_beginnings = $3 WHERE ride_id = $1
"""

# Taken out and put in again: moved in their place, some would lie where others still are.
_TAKE_READINGS = """
DELETE FROM readings WHERE ride_id = $1
RETURNING ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
"""

_NAME_RIDER = "UPDATE rides SET rider_id = coalesce(rider_id, $2) WHERE ride_id = $1"

_COUNT_IMPLAUSIBLE = """
UPDATE rides SET implausible_count = implausible_count + told.line_count
FROM unnest($1::bigint[], $2::int[]) AS told (ride_id, line_count)
WHERE rides.ride_id = told.ride_id
"""


async def begin_rides(connection: Connection, started: Sequence[Started]) -> frozenset[int]:
    """Store rides and give each its `ride_id`; one that is told again is in progress again.

    But for those whose readings are gone, which are returned.
    """
    by_identity = {start.ride.identity: start.ride for start in started}
    rides = [by_identity[identity] for identity in sorted(by_identity)]
    rows = await connection.fetch(
        _STORE_RIDES,
        [ride.bike_serial for ride in rides],
        [ride.started_at for ride in rides],
        [ride.rider_id for ride in rides],
        [_array_of(ride.clock_beginnings) for ride in rides],
    )
    told_again = [row["ride_id"] for row in rows if row["ended_at"] is not None]
    gone = await unpack_rides(connection, told_again)
    if resumed := set(told_again) - gone:
        await connection.execute(_RESUME_RIDES, resumed)
    ids = {(row["bike_serial"], row["told_at"]): row["ride_id"] for row in rows}
    for start in started:
        start.ride.ride_id = ids[start.ride.identity]
    return gone


def _array_of(moments: Sequence[datetime] | None) -> str:
    """Moments as an array literal, since an array of arrays must not be ragged; None as ""."""
    return "{" + ",".join(moment.isoformat() for moment in moments) + "}" if moments else ""


async def set_clocks(connection: Connection, assembled: Assembled) -> None:
    """Store what was learnt of the clocks of rides; belongs into the offset's transaction.

    Must come before the batch's readings: those that are stored already move in time.
    """
    for ride in assembled.set_clocks:
        row = (ride.ride_id, ride.started_at, ride.clock_beginnings)
        await connection.execute(_SET_CLOCK, *row)
    began_now = {start.ride for start in assembled.started}
    for ride, wrong in assembled.shifted.items():
        if ride not in began_now:
            rows = await connection.fetch(_TAKE_READINGS, ride.ride_id)
            moved = [(row["ride_id"], row["at"] + wrong, *row[2:]) for row in rows]
            await connection.copy_records_to_table("readings", records=moved)


async def name_riders(connection: Connection, told_anew: Sequence[Started]) -> None:
    """Give rides the riders who were told of in mid-ride."""
    for start in told_anew:
        await connection.execute(_NAME_RIDER, start.ride.ride_id, start.ride.rider_id)


async def settle_rides(connection: Connection, rides: Sequence[Ride]) -> None:
    """Store which rides have ended, with their totals, and which go on after all."""
    resumed = [ride.ride_id for ride in rides if ride.ended_at is None]
    if resumed:
        await connection.execute(_RESUME_RIDES, resumed)
    ended = [ride for ride in rides if ride.ended_at is not None]
    if not ended:
        return
    await connection.execute(
        _END_RIDES,
        [ride.ride_id for ride in ended],
        [ride.ended_at for ride in ended],
        [ride.end_reason for ride in ended],
        [ride.started_at for ride in ended],
        [ride.ended_at for ride in ended],
    )


async def count_implausible(connection: Connection, lines: Mapping[Ride, int]) -> None:
    """Add to each ride's lines that told what cannot be; belongs into the offset's transaction."""
    ride_ids = [ride.ride_id for ride in lines]
    await connection.execute(_COUNT_IMPLAUSIBLE, ride_ids, list(lines.values()))


async def recount_ride(connection: Connection, ride_id: int, amended_at: datetime) -> None:
    """Total a ride that has ended anew, after a reading of it was amended."""
    row = await connection.fetchrow(_ENDED_RIDE, ride_id, amended_at)
    if row is not None:
        columns = ("ended_at", "end_reason", "span_from", "span_to")
        await connection.fetch(_END_RIDES, [ride_id], *([row[column]] for column in columns))
