"""EDGE: rides and readings into PostgreSQL, exactly once.

Each write names its partition's claim (see `claims`), and the offset moves in the same
transaction as the rows that it stands for.
"""

import struct
from collections.abc import AsyncIterator, Mapping, Sequence

import asyncpg

from deloton.feed.assembly import Assembled, Reading, Ride, Started
from deloton.store.database import Connection
from deloton.store.series import unpack_rides
from ingestor import metrics
from ingestor.amendment import amend_halves, recount_amended
from ingestor.claims import Claim, hold_claim, move_offset
from ingestor.copy_format import READING_COLUMNS, encode_readings
from ingestor.deleted import (
    deleted_among,
    drop_what_was_left,
    recognise_deleted,
    wait_for_deletions,
    without,
)
from ingestor.partition_state import RefusedRecord
from ingestor.refusals import count_refused
from ingestor.riders import store_bikes, store_riders
from ingestor.rides import (
    begin_rides,
    count_implausible,
    name_riders,
    set_clocks,
    settle_rides,
)

_STORE_STREAMS = """
INSERT INTO ingest_streams (topic, partition, stream_key, bike_serial, ride_id)
SELECT $1, $2, * FROM unnest($3::bytea[], $4::text[], $5::bigint[])
ON CONFLICT (topic, partition, stream_key) DO UPDATE SET
    bike_serial = excluded.bike_serial, ride_id = excluded.ride_id, moved_at = now()
"""


async def store_rides(
    pool: asyncpg.Pool, claim: Claim, started: Sequence[Started]
) -> frozenset[int]:
    """Store new riders, bikes and rides; give each ride its `ride_id`. A repeat gives the same.

    A ride that is told again is in progress again, until its end is told again too. A ride whose
    rider has been erased since loses its `rider_id`. One that was deleted, or whose readings went
    after the retention, has the number that it had, and is not stored again: these numbers are
    returned. Raises `PartitionLost`.
    """
    async with pool.acquire() as connection, connection.transaction():
        await wait_for_deletions(connection)
        await hold_claim(connection, claim)
        return await _store_rides(connection, started)


async def commit_batch(
    pool: asyncpg.Pool,
    claim: Claim,
    offsets: tuple[int, int],
    assembled: Assembled,
    refused: Sequence[RefusedRecord],
    notes: bytes,
) -> frozenset[int]:
    """Store what was assembled and move the offset from `offsets[0]` to `offsets[1]`, or neither.

    What was refused is counted. Rides must be stored before. Of rides that were deleted since, or
    whose readings went after the retention, nothing is stored: their numbers are returned. Raises
    `PartitionLost`, having written nothing. Repeating a commit whose answer was lost does nothing.
    """
    try:
        return await _commit(pool, claim, offsets, assembled, refused, notes, merge=False)
    except asyncpg.UniqueViolationError:
        # Some readings are there already, as when a topic is read again from its beginning.
        return await _commit(pool, claim, offsets, assembled, refused, notes, merge=True)
    except asyncpg.CheckViolationError:
        # Their day got a partition of its own just now: the second time they find there.
        return await _commit(pool, claim, offsets, assembled, refused, notes, merge=True)


async def try_rows(pool: asyncpg.Pool, assembled: Assembled) -> None:
    """Store what was assembled and take that back: raises what PostgreSQL has against it, if so.

    Late lines are not looked at. Rides that begin have numbers afterwards that nobody has stored.
    """
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            await wait_for_deletions(connection)
            deleted = await _store_rides(connection, assembled.started)
            deleted |= await deleted_among(connection, assembled)
            await _store_rows(connection, without(assembled, deleted), merge=True)
        finally:
            await transaction.rollback()


async def _store_rides(connection: Connection, started: Sequence[Started]) -> frozenset[int]:
    """The deleted ones among rides that began; the others are stored, or were."""
    deleted, kept = await recognise_deleted(connection, started)
    if not kept:
        return deleted
    await store_bikes(connection, kept)
    await store_riders(connection, kept)
    return deleted | await begin_rides(connection, kept)


async def _commit(
    pool: asyncpg.Pool,
    claim: Claim,
    offsets: tuple[int, int],
    assembled: Assembled,
    refused: Sequence[RefusedRecord],
    notes: bytes,
    *,
    merge: bool,
) -> frozenset[int]:
    async with pool.acquire() as connection, connection.transaction():
        await wait_for_deletions(connection)
        deleted = await deleted_among(connection, assembled)
        if deleted:
            over = {ride.ride_id for ride in assembled.settled.values() if ride.ride_id in deleted}
            await drop_what_was_left(connection, over)
            assembled = without(assembled, deleted)
        if not await move_offset(connection, claim, offsets, notes):
            return deleted
        gone = await _store_rows(connection, assembled, merge=merge)
        if assembled.moved:
            await _store_streams(connection, claim, assembled.moved)
        if refused:
            await count_refused(connection, claim, refused)
    if gone:
        metrics.BEYOND_RETENTION.inc(len(gone))
    return deleted | gone


async def _store_rows(
    connection: Connection, assembled: Assembled, *, merge: bool
) -> frozenset[int]:
    """Store all that is of rides, but for those whose readings are gone, which are returned."""
    gone = await unpack_rides(connection, _rides_that_may_be_packed(assembled))
    if gone:
        assembled = without(assembled, gone)
    await _store_readings(connection, assembled, merge=merge)
    await _store_ends(connection, assembled)
    return gone


def _rides_that_may_be_packed(assembled: Assembled) -> set[int | None]:
    """Those that a batch changes after their end; what else it has is of rides in progress."""
    rides = (
        *assembled.settled.values(),
        *(half.ride for half in assembled.amended),
        *assembled.set_clocks,
        *assembled.shifted,
    )
    return {ride.ride_id for ride in rides}


async def _store_readings(connection: Connection, assembled: Assembled, *, merge: bool) -> None:
    if assembled.set_clocks:
        await set_clocks(connection, assembled)
    if assembled.readings:
        await _copy_readings(connection, assembled.readings, merge=merge)
    if assembled.amended:
        await amend_halves(connection, assembled.amended)


async def _store_ends(connection: Connection, assembled: Assembled) -> None:
    """What is to be stored of rides once their readings are."""
    if assembled.told_anew:
        await store_riders(connection, assembled.told_anew)
        await name_riders(connection, assembled.told_anew)
    if assembled.settled:
        await settle_rides(connection, list(assembled.settled.values()))
    if assembled.amended:
        await recount_amended(connection, assembled.amended)
    if assembled.implausible:
        await count_implausible(connection, assembled.implausible)


async def _copy_readings(
    connection: Connection, readings: Sequence[Reading], *, merge: bool
) -> None:
    table = "readings"
    if merge:
        table = "incoming"
        await connection.execute("CREATE TEMP TABLE incoming (LIKE readings) ON COMMIT DROP")
    await connection.copy_to_table(
        table,
        source=_one_chunk(_encode(readings)),
        columns=READING_COLUMNS,
        format="binary",
    )
    if merge:
        await connection.execute(
            "INSERT INTO readings SELECT * FROM incoming ON CONFLICT (ride_id, at) DO NOTHING"
        )


def _encode(readings: Sequence[Reading]) -> bytes:
    try:
        return encode_readings(readings)
    except struct.error as error:
        # What the format has no room for PostgreSQL would refuse, and so that is what it is.
        raise asyncpg.NumericValueOutOfRangeError(str(error)) from error


async def _one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _store_streams(connection: Connection, claim: Claim, moved: Mapping[bytes, Ride]) -> None:
    rows = [(key, ride.bike_serial, ride.ride_id) for key, ride in moved.items()]
    columns = zip(*rows, strict=True)
    await connection.execute(_STORE_STREAMS, claim.topic, claim.partition, *columns)
