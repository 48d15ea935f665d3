"""EDGE: lines that come back long after the lines around them, into rides of the past.

A dead letter that a newer parser can read is sent again by a person (`dead_letters.py`). It
cannot go through the assembly of its stream, which has gone on: it amends the ride that its bike
was on at that time. A half reading completes the reading that it was missing from. Amending
twice changes nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

import asyncpg
from msgspec.structs import replace

from deloton.feed.assembly import (
    OTHER_WORLD,
    PAIR_WINDOW,
    SAME_BEGINNING,
    Reading,
    Ride,
    Started,
    stream_key,
    unknown_bike,
    without_stranger,
)
from deloton.feed.log_lines import (
    DoubtfulLine,
    Marker,
    Refusal,
    RefusalReason,
    RideAnnounced,
    RideLine,
    RiderRequested,
    TelemetryLine,
    parse_message,
)
from deloton.rules.silence import SILENCE
from deloton.store.database import REFUSALS, Connection
from deloton.store.series import unpack_rides
from ingestor.deleted import wait_for_deletions
from ingestor.partition_state import Record, RefusedRecord
from ingestor.refusals import refused_by_database
from ingestor.riders import store_riders
from ingestor.rides import recount_ride

BEYOND_RETENTION = Refusal(RefusalReason.BEYOND_RETENTION, "its ride's readings are kept no more")
NO_RIDE_THEN = Refusal(RefusalReason.NO_RIDE, "its bike was on no ride at that time")

_BIKES_OF_STREAM = """
SELECT bike_serial FROM ingest_streams WHERE topic = $1 AND partition = $2 AND stream_key = $3
"""

# The ride with what our time has ahead of its bike's clock.
_RIDE_AT = """
SELECT ride_id, started_at - beginning AS ahead
FROM rides, unnest(coalesce(clock_beginnings, ARRAY[started_at])) AS beginning
WHERE bike_serial = ANY($1::text[]) AND beginning <= $2
AND (ended_at IS NULL OR beginning + (ended_at - started_at) >= $2::timestamptz - $3::interval)
ORDER BY beginning DESC LIMIT 1
"""

_COMPLETE_WITH_RIDE_LINE = """
WITH second AS (
    SELECT * FROM readings
    WHERE ride_id = $1 AND at >= $2 AND at < $2::timestamptz + $5::interval
), completed AS (
    UPDATE readings SET elapsed_s = $3, resistance = $4
    WHERE ride_id = $1 AND elapsed_s IS NULL
    AND at = (SELECT min(at) FROM second WHERE elapsed_s IS NULL)
    AND NOT EXISTS (SELECT FROM second WHERE elapsed_s = $3)
    RETURNING at
)
INSERT INTO readings (ride_id, at, elapsed_s, resistance)
SELECT $1, $2, $3, $4
WHERE NOT EXISTS (SELECT FROM completed) AND NOT EXISTS (SELECT FROM second WHERE elapsed_s = $3)
ON CONFLICT (ride_id, at) DO NOTHING
"""

# A reading is at the stamp of its Telemetry line: completing one moves it there. Where the topic
# was read again since, the half that was completed then stands there once more: it goes.
_COMPLETE_WITH_TELEMETRY = """
WITH told AS (
    SELECT elapsed_s FROM readings WHERE ride_id = $1 AND at = $2
), half AS (
    SELECT max(at) AS at FROM readings WHERE ride_id = $1 AND power_watts IS NULL
    AND at > $2::timestamptz - $6::interval AND at <= $2
), surplus AS (
    DELETE FROM readings USING told
    WHERE ride_id = $1 AND power_watts IS NULL AND readings.elapsed_s = told.elapsed_s
    AND at > $2::timestamptz - $6::interval AND at < $2
), completed AS (
    UPDATE readings SET at = $2, heart_rate_bpm = $3, cadence_rpm = $4, power_watts = $5
    WHERE ride_id = $1 AND at = (SELECT at FROM half) AND NOT EXISTS (SELECT FROM told)
    RETURNING at
)
INSERT INTO readings (ride_id, at, heart_rate_bpm, cadence_rpm, power_watts)
SELECT $1, $2, $3, $4, $5
WHERE NOT EXISTS (SELECT FROM completed) AND NOT EXISTS (SELECT FROM told)
ON CONFLICT (ride_id, at) DO NOTHING
"""

_RIDE_WITHOUT_RIDER = """
SELECT ride_id, bike_serial FROM rides WHERE bike_serial = ANY($1::text[])
AND started_at BETWEEN $2::timestamptz - $3::interval AND $2::timestamptz + $3::interval
ORDER BY abs(extract(epoch FROM started_at - $2)) LIMIT 1
"""

_NAME_RIDER = "UPDATE rides SET rider_id = coalesce(rider_id, $2) WHERE ride_id = $1"


async def amend_rides(
    pool: asyncpg.Pool, topic: str, partition: int, records: Iterable[Record]
) -> list[RefusedRecord]:
    """Amend rides by records that were sent again; return those that are still of no use."""
    refused = []
    async with pool.acquire() as connection:
        for record in records:
            bikes = await _bikes_of(connection, topic, partition, stream_key(record.key))
            try:
                async with connection.transaction():
                    await wait_for_deletions(connection)
                    refusal = await _amend(connection, bikes, record)
            except REFUSALS as error:
                refused.append(refused_by_database(record, error))
            else:
                if refusal is not None:
                    refused.append(RefusedRecord(record, refusal))
    return refused


async def _bikes_of(connection: Connection, topic: str, partition: int, key: bytes) -> list[str]:
    rows = await connection.fetch(_BIKES_OF_STREAM, topic, partition, key)
    return [unknown_bike(key, partition), *(row["bike_serial"] for row in rows)]


async def _amend(connection: Connection, bikes: list[str], record: Record) -> Refusal | None:
    line = parse_message(record.value)
    match line:
        case Refusal() as refusal:
            return refusal
        case DoubtfulLine(refusal=refusal):
            # Its reading is stored: only what cannot be is missing from it, and still cannot be.
            return refusal
        case RideAnnounced():
            return await _amend_rider(connection, bikes, line)
        case RideLine() | TelemetryLine():
            return await _amend_reading(connection, bikes, line)
        case Marker() | RiderRequested():
            return None  # it told when a ride was to begin: that is known by now
        case _:
            assert_never(line)


async def _amend_reading(
    connection: Connection, bikes: list[str], line: RideLine | TelemetryLine
) -> Refusal | None:
    ride = await connection.fetchrow(_RIDE_AT, bikes, line.at, SILENCE)
    if ride is None:
        return NO_RIDE_THEN
    ride_id, at = ride["ride_id"], line.at + ride["ahead"]
    if await unpack_rides(connection, [ride_id]):
        return BEYOND_RETENTION
    if isinstance(line, RideLine):
        await _complete_with_ride_line(connection, ride_id, at, line.elapsed_s, line.resistance)
    else:
        values = (line.heart_rate_bpm, line.cadence_rpm, line.power_watts)
        await _complete_with_telemetry(connection, ride_id, at, values)
    await recount_ride(connection, ride_id, at)
    return None


async def amend_halves(connection: Connection, halves: Iterable[Reading]) -> None:
    """Complete readings by late halves, or add these; belongs into the offset's transaction."""
    for half in halves:
        ride_id = half.ride.ride_id
        if half.elapsed_s is not None:
            await _complete_with_ride_line(
                connection, ride_id, half.at, half.elapsed_s, half.resistance
            )
        else:
            values = (half.heart_rate_bpm, half.cadence_rpm, half.power_watts)
            await _complete_with_telemetry(connection, ride_id, half.at, values)


async def recount_amended(connection: Connection, halves: Iterable[Reading]) -> None:
    """Total the rides anew that have ended and were amended."""
    latest: dict[int, datetime] = {}
    for half in halves:
        if half.ride.ride_id is not None:
            before = latest.get(half.ride.ride_id, half.at)
            latest[half.ride.ride_id] = max(before, half.at)
    for ride_id, at in latest.items():
        await recount_ride(connection, ride_id, at)


async def _complete_with_ride_line(
    connection: Connection,
    ride_id: int | None,
    at: datetime,
    elapsed_s: float,
    resistance: int | None,
) -> None:
    values = (ride_id, at, elapsed_s, resistance, PAIR_WINDOW)
    await connection.execute(_COMPLETE_WITH_RIDE_LINE, *values)


async def _complete_with_telemetry(
    connection: Connection,
    ride_id: int | None,
    at: datetime,
    values: tuple[int | None, int | None, float | None],
) -> None:
    await connection.execute(_COMPLETE_WITH_TELEMETRY, ride_id, at, *values, PAIR_WINDOW)


async def _amend_rider(
    connection: Connection, bikes: list[str], line: RideAnnounced
) -> Refusal | None:
    serials = [*bikes, line.bike_serial] if line.bike_serial else bikes
    found = await connection.fetchrow(_RIDE_WITHOUT_RIDER, serials, line.at, SAME_BEGINNING)
    if found is None:
        return NO_RIDE_THEN
    ride_id, bike_serial = found
    # By the ride's bike, whatever the line names.
    if without_stranger(replace(line, bike_serial=None), bike_serial).rider is not line.rider:
        return OTHER_WORLD
    if line.rider is not None:
        ride = Ride.begin(b"", serials[-1], line.at, line.rider.rider_id)
        await store_riders(connection, [Started(ride, line.firmware, line.rider)])
        await connection.execute(_NAME_RIDER, ride_id, ride.rider_id)
    return None
