"""EDGE: rides and readings into PostgreSQL, exactly once.

Each write names its partition's claim (see `claims`), and the offset moves in the same
transaction as the rows that it stands for.
"""

from collections.abc import AsyncIterator, Iterable, Sequence

import asyncpg

from deloton.assembly import Assembled, Reading, Ride, Started, Stream
from deloton.database import Connection
from ingestor.claims import Claim, hold_claim, move_offset
from ingestor.copy_format import READING_COLUMNS, encode_readings
from ingestor.partition_state import RefusedRecord
from ingestor.refusals import count_refused
from ingestor.riders import store_bikes, store_riders
from ingestor.rides import begin_rides, settle_rides

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


async def store_rides(pool: asyncpg.Pool, claim: Claim, started: Sequence[Started]) -> None:
    """Store new riders, bikes and rides; give each ride its `ride_id`. A repeat gives the same.

    A ride that is told again is in progress again, until its end is told again too. A ride whose
    rider has been erased since loses its `rider_id`. Raises `PartitionLost`.
    """
    async with pool.acquire() as connection, connection.transaction():
        await hold_claim(connection, claim)
        await store_bikes(connection, started)
        await store_riders(connection, started)
        await begin_rides(connection, started)


async def commit_batch(
    pool: asyncpg.Pool,
    claim: Claim,
    offsets: tuple[int, int],
    assembled: Assembled,
    refused: Sequence[RefusedRecord],
    notes: bytes,
) -> None:
    """Store what was assembled and move the offset from `offsets[0]` to `offsets[1]`, or neither.

    What was refused is counted. Rides must be stored before. Raises `PartitionLost`, having written
    nothing. Repeating a commit whose answer was lost does nothing.
    """
    try:
        await _commit(pool, claim, offsets, assembled, refused, notes, merge=False)
    except asyncpg.UniqueViolationError:
        # Some readings are there already, as when a topic is read again from its beginning.
        await _commit(pool, claim, offsets, assembled, refused, notes, merge=True)
    except asyncpg.CheckViolationError:
        # Their day got a partition of its own just now: the second time they find there.
        await _commit(pool, claim, offsets, assembled, refused, notes, merge=True)


async def _commit(
    pool: asyncpg.Pool,
    claim: Claim,
    offsets: tuple[int, int],
    assembled: Assembled,
    refused: Sequence[RefusedRecord],
    notes: bytes,
    *,
    merge: bool,
) -> None:
    async with pool.acquire() as connection, connection.transaction():
        if not await move_offset(connection, claim, offsets, notes):
            return
        if assembled.readings:
            await _copy_readings(connection, assembled.readings, merge=merge)
        if assembled.moved:
            await _store_streams(connection, claim, assembled.moved.values())
        if assembled.settled:
            await settle_rides(connection, list(assembled.settled.values()))
        if refused:
            await count_refused(connection, claim, refused)


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


async def _store_streams(connection: Connection, claim: Claim, streams: Iterable[Stream]) -> None:
    rows = [_stream_row(stream, stream.ride) for stream in streams if stream.ride is not None]
    columns = zip(*rows, strict=True)
    await connection.execute(_STORE_STREAMS, claim.topic, claim.partition, *columns)


def _stream_row(stream: Stream, ride: Ride) -> tuple[object, ...]:
    before = stream.previous
    told = (before.started_at, before.counted_at, before.elapsed_s) if before else (None,) * 3
    return (stream.key, stream.bike_serial, ride.ride_id, *told)
