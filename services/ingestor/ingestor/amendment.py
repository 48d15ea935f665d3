"""EDGE: lines that come back long after the lines around them, into rides of the past.

A dead letter that a newer parser can read is sent again by a person (`dead_letters.py`). It
cannot go through the assembly of its stream, which has gone on: it amends the ride that its bike
was on at that time. A half reading completes the reading that it was missing from. Amending
twice changes nothing.
"""

from collections.abc import Iterable

import asyncpg

from deloton.assembly import (
    PAIR_WINDOW,
    SAME_BEGINNING,
    SILENCE,
    Ride,
    Started,
    stream_key,
    unknown_bike,
)
from deloton.database import Connection
from deloton.log_lines import (
    Refusal,
    RefusalReason,
    RideAnnounced,
    RideLine,
    TelemetryLine,
    parse_message,
)
from ingestor.partition_state import Record, RefusedRecord
from ingestor.riders import store_riders
from ingestor.rides import recount_ride

NO_RIDE_THEN = Refusal(RefusalReason.NO_RIDE, "its bike was on no ride at that time")

_BIKES_OF_STREAM = """
SELECT bike_serial FROM ingest_streams WHERE topic = $1 AND partition = $2 AND stream_key = $3
"""

_RIDE_AT = """
SELECT ride_id FROM rides WHERE bike_serial = ANY($1::text[])
AND started_at <= $2
AND (ended_at IS NULL OR ended_at >= $2::timestamptz - $3::interval)
ORDER BY started_at DESC LIMIT 1
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
SELECT ride_id FROM rides WHERE bike_serial = ANY($1::text[])
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
            async with connection.transaction():
                refusal = await _amend(connection, bikes, record)
            if refusal is not None:
                refused.append(RefusedRecord(record, refusal))
    return refused


async def _bikes_of(connection: Connection, topic: str, partition: int, key: bytes) -> list[str]:
    rows = await connection.fetch(_BIKES_OF_STREAM, topic, partition, key)
    return [unknown_bike(key, partition), *(row["bike_serial"] for row in rows)]


async def _amend(connection: Connection, bikes: list[str], record: Record) -> Refusal | None:
    match parse_message(record.value):
        case Refusal() as refusal:
            return refusal
        case RideAnnounced() as line:
            return await _amend_rider(connection, bikes, line)
        case RideLine() | TelemetryLine() as line:
            return await _amend_reading(connection, bikes, line)
    return None


async def _amend_reading(
    connection: Connection, bikes: list[str], line: RideLine | TelemetryLine
) -> Refusal | None:
    ride_id = await connection.fetchval(_RIDE_AT, bikes, line.at, SILENCE)
    if ride_id is None:
        return NO_RIDE_THEN
    if isinstance(line, RideLine):
        values = (line.elapsed_s, line.resistance)
        await connection.execute(_COMPLETE_WITH_RIDE_LINE, ride_id, line.at, *values, PAIR_WINDOW)
    else:
        await connection.execute(
            _COMPLETE_WITH_TELEMETRY,
            ride_id,
            line.at,
            line.heart_rate_bpm,
            line.cadence_rpm,
            line.power_watts,
            PAIR_WINDOW,
        )
    await recount_ride(connection, ride_id, line.at)
    return None


async def _amend_rider(
    connection: Connection, bikes: list[str], line: RideAnnounced
) -> Refusal | None:
    serials = [*bikes, line.bike_serial] if line.bike_serial else bikes
    ride_id = await connection.fetchval(_RIDE_WITHOUT_RIDER, serials, line.at, SAME_BEGINNING)
    if ride_id is None:
        return NO_RIDE_THEN
    if line.rider is not None:
        ride = Ride.begin(b"", serials[-1], line.at, line.rider.rider_id)
        await store_riders(connection, [Started(ride, line.firmware, line.rider)])
        await connection.execute(_NAME_RIDER, ride_id, ride.rider_id)
    return None
