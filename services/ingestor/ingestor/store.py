"""EDGE: riders, bikes, rides and readings into PostgreSQL, exactly once.

A worker *claims* a partition when it is assigned: the claim's number goes up by one, and every
later write of the partition names that number. A worker that lost the partition without knowing
names an old number, and none of its writes take place. The offset moves in the same transaction
as the rows that it stands for.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime

import asyncpg
from msgspec import Struct

from deloton.assembly import Assembled, Reading, Ride, Started, Stream
from deloton.database import Connection
from deloton.errors import PartitionLost
from deloton.events import EndReason, Rider
from ingestor.copy_format import READING_COLUMNS, encode_readings
from ingestor.partition_state import PartitionState

_CLAIM = """
INSERT INTO ingest_offsets AS own (topic, partition, next_offset, claim, notes)
VALUES ($1, $2, 0, 1, '')
ON CONFLICT (topic, partition) DO UPDATE SET claim = own.claim + 1
RETURNING claim, next_offset, notes
"""

# The last reading, and the last that counted the seconds; a ride is looked for near its start.
_STREAMS = """
SELECT s.stream_key, s.bike_serial AS stream_bike,
       s.previous_started_at, s.previous_counted_at, s.previous_elapsed_s,
       r.ride_id, r.bike_serial, r.started_at,
       r.rider_id, r.ended_at, r.end_reason, last.at AS last_at,
       counted.at AS counted_at, counted.elapsed_s
FROM ingest_streams s
LEFT JOIN rides r USING (ride_id)
LEFT JOIN LATERAL (
    SELECT at FROM readings WHERE ride_id = r.ride_id
    AND at BETWEEN r.started_at AND r.started_at + interval '2 days' ORDER BY at DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT at, elapsed_s FROM readings WHERE ride_id = r.ride_id AND elapsed_s IS NOT NULL
    AND at BETWEEN r.started_at AND r.started_at + interval '2 days' ORDER BY at DESC LIMIT 1
) counted ON true
WHERE s.topic = $1 AND s.partition = $2
"""

_HOLD_CLAIM = """
SELECT FROM ingest_offsets WHERE topic = $1 AND partition = $2 AND claim = $3 FOR SHARE
"""

_MOVE_OFFSET = """
UPDATE ingest_offsets SET next_offset = $5, notes = $6, updated_at = now()
WHERE topic = $1 AND partition = $2 AND claim = $3 AND next_offset = $4
RETURNING next_offset
"""

_HAS_MOVED = """
SELECT FROM ingest_offsets
WHERE topic = $1 AND partition = $2 AND claim = $3 AND next_offset = $4 AND notes = $5
"""

_STORE_BIKES = """
INSERT INTO bikes (serial, firmware) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (serial) DO UPDATE SET firmware = excluded.firmware
WHERE excluded.firmware IS NOT NULL AND bikes.firmware IS DISTINCT FROM excluded.firmware
"""

_STORE_RIDER = """
INSERT INTO riders AS known (
    rider_id, title, first_name, last_name, gender, born_on, email, height_cm, weight_kg,
    flat, street, town, postcode, account_created_on, original_source, seen_at
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (rider_id) DO UPDATE SET
    title = excluded.title, first_name = excluded.first_name, last_name = excluded.last_name,
    gender = excluded.gender, born_on = excluded.born_on, email = excluded.email,
    height_cm = excluded.height_cm, weight_kg = excluded.weight_kg, flat = excluded.flat,
    street = excluded.street, town = excluded.town, postcode = excluded.postcode,
    account_created_on = excluded.account_created_on,
    original_source = excluded.original_source, seen_at = excluded.seen_at
WHERE known.seen_at <= excluded.seen_at
"""

_ERASED = "SELECT rider_id, erased_at FROM erasures WHERE rider_id = ANY($1::bigint[])"

_FORGET_ERASED = """
DELETE FROM riders USING erasures
WHERE riders.rider_id = erasures.rider_id AND riders.rider_id = ANY($1::bigint[])
AND riders.seen_at <= erasures.erased_at
"""

_STORE_RIDES = """
INSERT INTO rides AS known (bike_serial, started_at, rider_id)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[])
ON CONFLICT (bike_serial, started_at)
DO UPDATE SET rider_id = coalesce(known.rider_id, excluded.rider_id)
RETURNING ride_id, bike_serial, started_at, ended_at
"""

_STORE_STREAMS = """
INSERT INTO ingest_streams (
    topic, partition, stream_key, bike_serial, ride_id,
    previous_started_at, previous_counted_at, previous_elapsed_s
)
SELECT $1, $2, * FROM unnest(
    $3::bytea[], $4::text[], $5::bigint[], $6::timestamptz[], $7::timestamptz[], $8::float8[]
)
ON CONFLICT (topic, partition, stream_key) DO UPDATE SET
    bike_serial = excluded.bike_serial, ride_id = excluded.ride_id,
    previous_started_at = excluded.previous_started_at,
    previous_counted_at = excluded.previous_counted_at,
    previous_elapsed_s = excluded.previous_elapsed_s
"""

_END_RIDES = """
UPDATE rides SET
    ended_at = ended.at,
    end_reason = ended.reason,
    reading_count = total.reading_count,
    duration_s = total.duration_s,
    mean_heart_rate_bpm = total.mean_heart_rate_bpm,
    max_heart_rate_bpm = total.max_heart_rate_bpm,
    heart_rate_count = total.heart_rate_count,
    mean_cadence_rpm = total.mean_cadence_rpm,
    max_cadence_rpm = total.max_cadence_rpm,
    mean_power_watts = total.mean_power_watts,
    max_power_watts = total.max_power_watts,
    total_power_watts = total.total_power_watts,
    energy_kj = total.total_power_watts / 1000,
    mean_resistance = total.mean_resistance
FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::timestamptz[], $5::timestamptz[])
    AS ended (ride_id, at, reason, span_from, span_to)
CROSS JOIN LATERAL (
    SELECT count(*) AS reading_count,
           coalesce(max(elapsed_s), 0) AS duration_s,
           avg(heart_rate_bpm) AS mean_heart_rate_bpm,
           max(heart_rate_bpm) AS max_heart_rate_bpm,
           count(heart_rate_bpm) AS heart_rate_count,
           avg(cadence_rpm) AS mean_cadence_rpm,
           max(cadence_rpm) AS max_cadence_rpm,
           avg(power_watts) AS mean_power_watts,
           max(power_watts) AS max_power_watts,
           coalesce(sum(power_watts), 0) AS total_power_watts,
           avg(resistance) AS mean_resistance
    FROM readings
    WHERE readings.ride_id = ended.ride_id
    AND readings.at BETWEEN ended.span_from AND ended.span_to
) total
WHERE rides.ride_id = ended.ride_id
RETURNING rides.ride_id
"""

_RESUME_RIDES = """
UPDATE rides SET
    ended_at = NULL, end_reason = NULL, reading_count = NULL, duration_s = NULL,
    mean_heart_rate_bpm = NULL, max_heart_rate_bpm = NULL, heart_rate_count = NULL,
    mean_cadence_rpm = NULL, max_cadence_rpm = NULL, mean_power_watts = NULL,
    max_power_watts = NULL, total_power_watts = NULL, energy_kj = NULL, mean_resistance = NULL
WHERE ride_id = ANY($1::bigint[])
"""

_ENDED_RIDE = """
SELECT greatest(ended_at, $2) AS ended_at, end_reason,
       least(started_at, min(at)) AS span_from, greatest(started_at, max(at)) AS span_to
FROM rides LEFT JOIN readings USING (ride_id)
WHERE ride_id = $1 AND ended_at IS NOT NULL GROUP BY rides.ride_id
"""

# A ride that somebody deleted while it went on takes its late readings with it.
_DROP_ORPHANS = "DELETE FROM readings WHERE ride_id = ANY($1::bigint[])"


class Claim(Struct, frozen=True):
    """A worker's right to write a partition, until another worker claims it."""

    topic: str
    partition: int
    number: int


class ClaimedPartition(Struct, frozen=True):
    """A claim with where to go on and what is in progress there."""

    claim: Claim
    next_offset: int
    state: PartitionState


async def claim_partition(pool: asyncpg.Pool, topic: str, partition: int) -> ClaimedPartition:
    """Take a partition over; waits for the transaction that its former owner may be in."""
    async with pool.acquire() as connection, connection.transaction():
        [claimed] = await connection.fetch(_CLAIM, topic, partition)
        streams = await connection.fetch(_STREAMS, topic, partition)
    return ClaimedPartition(
        claim=Claim(topic, partition, claimed["claim"]),
        next_offset=claimed["next_offset"],
        state=PartitionState(map(_restore_stream, streams), claimed["notes"], partition),
    )


async def store_rides(pool: asyncpg.Pool, claim: Claim, started: Sequence[Started]) -> None:
    """Store new riders, bikes and rides; give each ride its `ride_id`. A repeat gives the same.

    A ride that is told again is in progress again, until its end is told again too. A ride whose
    rider has been erased since loses its `rider_id`. Raises `PartitionLost`.
    """
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchrow(_HOLD_CLAIM, *_identity(claim)) is None:
            raise PartitionLost(claim.topic, claim.partition)
        await store_bikes(connection, started)
        await store_riders(connection, started)
        await _store_rides(connection, started)


async def commit_batch(
    pool: asyncpg.Pool,
    claim: Claim,
    offsets: tuple[int, int],
    assembled: Assembled,
    notes: bytes,
) -> None:
    """Store what was assembled and move the offset from `offsets[0]` to `offsets[1]`, or neither.

    Rides must be stored before. Raises `PartitionLost`, having written nothing. Repeating a
    commit whose answer was lost does nothing.
    """
    try:
        await _commit(pool, claim, offsets, assembled, notes, merge=False)
    except asyncpg.UniqueViolationError:
        # Some readings are there already, as when a topic is read again from its beginning.
        await _commit(pool, claim, offsets, assembled, notes, merge=True)
    except asyncpg.CheckViolationError:
        # Their day got a partition of its own just now: the second time they find there.
        await _commit(pool, claim, offsets, assembled, notes, merge=True)


async def rewind(pool: asyncpg.Pool, claim: Claim, offsets: tuple[int, int]) -> None:
    """Move the offset back: the topic was made anew. What was waiting goes on waiting."""
    async with pool.acquire() as connection, connection.transaction():
        notes = await connection.fetchval(
            "SELECT notes FROM ingest_offsets WHERE topic = $1 AND partition = $2",
            claim.topic,
            claim.partition,
        )
        await _move_offset(connection, claim, offsets, notes or b"")


async def recount_ride(connection: Connection, ride_id: int, amended_at: datetime) -> None:
    """Total a ride that has ended anew, after a reading of it was amended."""
    row = await connection.fetchrow(_ENDED_RIDE, ride_id, amended_at)
    if row is not None:
        columns = ("ended_at", "end_reason", "span_from", "span_to")
        await connection.fetch(_END_RIDES, [ride_id], *([row[column]] for column in columns))


async def _commit(
    pool: asyncpg.Pool,
    claim: Claim,
    offsets: tuple[int, int],
    assembled: Assembled,
    notes: bytes,
    *,
    merge: bool,
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        if not await _move_offset(connection, claim, offsets, notes):
            return
        if assembled.readings:
            await _copy_readings(connection, assembled.readings, merge=merge)
        if assembled.moved:
            await _store_streams(connection, claim, assembled.moved.values())
        if assembled.settled:
            await _settle_rides(connection, list(assembled.settled.values()))


async def _move_offset(
    connection: Connection, claim: Claim, offsets: tuple[int, int], notes: bytes
) -> bool:
    """Whether the offset moved now; False where an earlier attempt had already moved it."""
    before, after = offsets
    if await connection.fetchval(_MOVE_OFFSET, *_identity(claim), before, after, notes) is not None:
        return True
    if await connection.fetchrow(_HAS_MOVED, *_identity(claim), after, notes) is not None:
        return False
    raise PartitionLost(claim.topic, claim.partition)


async def _copy_readings(
    connection: Connection, readings: Sequence[Reading], *, merge: bool
) -> None:
    table = "readings"
    if merge:
        table = "incoming"
        await connection.execute("CREATE TEMP TABLE incoming (LIKE readings) ON COMMIT DROP")
    await connection.copy_to_table(
        table,
        source=_one_chunk(encode_readings(readings)),
        columns=READING_COLUMNS,
        format="binary",
    )
    if merge:
        await connection.execute(
            "INSERT INTO readings SELECT * FROM incoming ON CONFLICT (ride_id, at) DO NOTHING"
        )


async def _one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def store_bikes(connection: Connection, started: Sequence[Started]) -> None:
    """Store the bikes of rides; a known firmware is not overwritten by an unknown one."""
    firmware: dict[str, str | None] = {}
    for start in started:
        serial = start.ride.bike_serial
        firmware[serial] = start.firmware or firmware.get(serial)
    # In the order of their keys, so that two workers never wait for each other in a circle.
    serials = sorted(firmware)
    await connection.execute(_STORE_BIKES, serials, [firmware[serial] for serial in serials])


async def store_riders(connection: Connection, started: Sequence[Started]) -> None:
    """Store the riders of rides: the newest stamp wins, and who was erased since stays away."""
    newest: dict[int, tuple[datetime, Rider]] = {}
    for start in started:
        rider, seen_at = start.rider, start.ride.started_at
        if rider is not None and (
            rider.rider_id not in newest or newest[rider.rider_id][0] <= seen_at
        ):
            newest[rider.rider_id] = (seen_at, rider)
    if not newest:
        return
    by_id = sorted(newest.items())
    await connection.executemany(
        _STORE_RIDER, [_rider_row(rider, seen_at) for _, (seen_at, rider) in by_id]
    )
    # Asked after the riders' rows are ours: an erasure that comes later waits for us.
    rows = await connection.fetch(_ERASED, list(newest))
    erased: dict[int, datetime] = {row["rider_id"]: row["erased_at"] for row in rows}
    if not erased:
        return
    await connection.execute(_FORGET_ERASED, list(erased))
    for start in started:
        ride = start.ride
        if ride.rider_id in erased and ride.started_at <= erased[ride.rider_id]:
            ride.rider_id = None


async def _store_rides(connection: Connection, started: Sequence[Started]) -> None:
    rides = {(start.ride.bike_serial, start.ride.started_at): start.ride for start in started}
    keys = sorted(rides)
    rows = await connection.fetch(
        _STORE_RIDES,
        [serial for serial, _ in keys],
        [started_at for _, started_at in keys],
        [rides[key].rider_id for key in keys],
    )
    told_again = [row["ride_id"] for row in rows if row["ended_at"] is not None]
    if told_again:
        await connection.execute(_RESUME_RIDES, told_again)
    ids = {(row["bike_serial"], row["started_at"]): row["ride_id"] for row in rows}
    for start in started:
        start.ride.ride_id = ids[start.ride.bike_serial, start.ride.started_at]


async def _store_streams(connection: Connection, claim: Claim, streams: Iterable[Stream]) -> None:
    rows = [_stream_row(stream, stream.ride) for stream in streams if stream.ride is not None]
    columns = zip(*rows, strict=True)
    await connection.execute(_STORE_STREAMS, claim.topic, claim.partition, *columns)


def _stream_row(stream: Stream, ride: Ride) -> tuple[object, ...]:
    before = stream.previous
    told = (before.started_at, before.counted_at, before.elapsed_s) if before else (None,) * 3
    return (stream.key, stream.bike_serial, ride.ride_id, *told)


async def _settle_rides(connection: Connection, rides: Sequence[Ride]) -> None:
    resumed = [ride.ride_id for ride in rides if ride.ended_at is None]
    if resumed:
        await connection.execute(_RESUME_RIDES, resumed)
    ended = [ride for ride in rides if ride.ended_at is not None]
    if not ended:
        return
    spans = [ride.span for ride in ended]
    rows = await connection.fetch(
        _END_RIDES,
        [ride.ride_id for ride in ended],
        [ride.ended_at for ride in ended],
        [ride.end_reason for ride in ended],
        [first for first, _ in spans],
        [last for _, last in spans],
    )
    deleted = {ride.ride_id for ride in ended} - {row["ride_id"] for row in rows}
    if deleted:
        await connection.execute(_DROP_ORPHANS, list(deleted))


def _identity(claim: Claim) -> tuple[str, int, int]:
    return claim.topic, claim.partition, claim.number


def _rider_row(rider: Rider, seen_at: datetime) -> tuple[object, ...]:
    address = rider.address
    return (
        rider.rider_id,
        rider.title,
        rider.first_name,
        rider.last_name,
        rider.gender,
        rider.born_on,
        rider.email,
        rider.height_cm,
        rider.weight_kg,
        address.flat,
        address.street,
        address.town,
        address.postcode,
        rider.account_created_on,
        rider.original_source,
        seen_at,
    )


def _restore_stream(row: asyncpg.Record) -> Stream:
    stream = Stream(row["stream_key"], row["stream_bike"])
    if row["previous_started_at"] is not None:
        stream.previous = _restore_previous(stream, row)
    if row["ride_id"] is None:
        return stream
    started_at = row["started_at"]
    stream.ride = Ride(
        stream_key=stream.key,
        bike_serial=row["bike_serial"],
        started_at=started_at,
        rider_id=row["rider_id"],
        ride_id=row["ride_id"],
        last_at=row["last_at"] or started_at,
        counted_at=row["counted_at"] or started_at,
        elapsed_s=row["elapsed_s"] or 0.0,
        ended_at=row["ended_at"],
        end_reason=EndReason(row["end_reason"]) if row["end_reason"] else None,
    )
    # Of a stream's last ride only an announcement can have said so.
    stream.announced = stream.ride.end_reason is EndReason.NEXT_RIDE
    return stream


def _restore_previous(stream: Stream, row: asyncpg.Record) -> Ride:
    """The ride before, as far as it takes to know its lines when they come again."""
    previous = Ride.begin(stream.key, stream.bike_serial, row["previous_started_at"], None)
    previous.counted_at = row["previous_counted_at"]
    previous.elapsed_s = row["previous_elapsed_s"]
    return previous
