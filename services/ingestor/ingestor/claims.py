"""EDGE: the right to write a partition, and the offset where to go on in it.

A worker *claims* a partition when it is assigned: the claim's number goes up by one, and every
later write of the partition names that number. A worker that lost the partition without knowing
names an old number, and none of its writes take place.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
from msgspec import Struct

from deloton.errors import PartitionLost
from deloton.events import EndReason
from deloton.feed.assembly import Memory, Ride, Stream
from deloton.feed.assembly.state import KEPT_RIDES
from deloton.running.logs import get_logger
from deloton.store.database import Connection
from ingestor.partition_state import PartitionState, noted_keys
from ingestor.past_rides import FIRST_COUNT, past_ride

_log = get_logger(__name__)

# How long who claims a partition waits for a transaction of its former owner. A commit of a full
# batch takes a fraction of it; one that is ended is done again by the successor.
LONGEST_COMMIT_S = 3.0

# Whoever waits in the queue for the same row is a successor too, and no obstacle. Only sessions
# of the same role can be ended.
_EVICT = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid = ANY(pg_blocking_pids($1)) AND wait_event_type IS DISTINCT FROM 'Lock'
AND usename = current_user AND datname = current_database()
"""

_CLAIM = """
INSERT INTO ingest_offsets AS own (topic, partition, next_offset, claim, notes)
VALUES ($1, $2, 0, 1, '')
ON CONFLICT (topic, partition) DO UPDATE SET claim = own.claim + 1
RETURNING claim, next_offset, notes
"""

# What has been silent for longer is not in memory: it is asked for when it is heard again.
LOADED_WITHIN = timedelta(days=2)
# Kafka keeps no record for longer: a stream that is heard again names its bike anew.
KEPT_FOR = timedelta(days=90)

# The last reading, and the last that counted the seconds; a ride is looked for near its start.
_STREAMS = """
SELECT s.stream_key, s.bike_serial AS stream_bike,
       coalesce(r.ride_id, d.ride_id) AS ride_id,
       coalesce(r.bike_serial, d.bike_serial) AS bike_serial,
       coalesce(r.started_at, d.started_at) AS started_at,
       coalesce(r.clock_beginnings, d.clock_beginnings) AS clock_beginnings,
       r.rider_id, r.ended_at, r.end_reason, coalesce(packed.at, last.at) AS last_at,
       coalesce(packed.counted_at, counted.at) AS counted_at,
       coalesce(packed.elapsed_s, counted.elapsed_s) AS elapsed_s
FROM ingest_streams s
LEFT JOIN rides r ON r.ride_id = s.ride_id
LEFT JOIN deleted_rides d ON d.ride_id = s.ride_id
LEFT JOIN LATERAL (
    SELECT at FROM readings WHERE ride_id = r.ride_id
    AND at BETWEEN r.started_at AND r.started_at + interval '2 days' ORDER BY at DESC LIMIT 1
) last ON true
LEFT JOIN LATERAL (
    SELECT at, elapsed_s FROM readings WHERE ride_id = r.ride_id AND elapsed_s IS NOT NULL
    AND at BETWEEN r.started_at AND r.started_at + interval '2 days' ORDER BY at DESC LIMIT 1
) counted ON true
-- Packed rides are looked into where their last row is gone.
LEFT JOIN ride_series ON ride_series.ride_id = r.ride_id
    AND ride_series.last_at IS DISTINCT FROM last.at
LEFT JOIN LATERAL (
    SELECT max(at) AS at, max(at) FILTER (WHERE readings.elapsed_s IS NOT NULL) AS counted_at,
           (array_agg(readings.elapsed_s ORDER BY at DESC)
               FILTER (WHERE readings.elapsed_s IS NOT NULL))[1] AS elapsed_s
    FROM packed_readings AS readings WHERE readings.ride_id = ride_series.ride_id
) packed ON ride_series.ride_id IS NOT NULL
WHERE s.topic = $1 AND s.partition = $2
"""

# The last rides of their bikes but for the streams' own: of them lines come again most often.
_PAST = f"""
SELECT s.stream_key, past.*
FROM ingest_streams s
CROSS JOIN LATERAL (
    SELECT rides.*, first.* FROM rides {FIRST_COUNT}
    WHERE rides.bike_serial = s.bike_serial AND rides.ended_at IS NOT NULL
    AND rides.ride_id <> s.ride_id
    ORDER BY rides.started_at DESC LIMIT $3
) past
WHERE s.topic = $1 AND s.partition = $2 AND s.stream_key = ANY($4::bytea[])
"""  # noqa: S608 - a join of ours

_STREAMS_HEARD_LATELY = f"""{_STREAMS}
AND (s.moved_at > now() - $3::interval OR s.stream_key = ANY($4::bytea[])
     OR (r.ride_id IS NOT NULL AND r.ended_at IS NULL))
"""
_STREAMS_OF = f"{_STREAMS} AND s.stream_key = ANY($3::bytea[])"

# A key moves where partitions are added: its stream goes on where its lines come now. Messages
# without a key are a stream of their own in each partition.
_DROP_OUTRUN = """
DELETE FROM ingest_streams own USING ingest_streams other
WHERE own.topic = $1 AND own.partition = $2 AND own.stream_key = ANY($3::bytea[])
AND own.stream_key <> '' AND other.topic = own.topic AND other.stream_key = own.stream_key
AND other.partition <> own.partition AND other.moved_at > own.moved_at
"""

_TAKE_STREAMS = """
UPDATE ingest_streams SET partition = $2
WHERE topic = $1 AND (partition, stream_key) IN (
    SELECT DISTINCT ON (s.stream_key) s.partition, s.stream_key
    FROM ingest_streams s LEFT JOIN rides r USING (ride_id)
    WHERE s.topic = $1 AND s.stream_key = ANY($3::bytea[]) AND s.stream_key <> ''
    AND s.partition = ANY(ARRAY(SELECT partition FROM ingest_offsets WHERE topic = $1))
    AND NOT EXISTS (
        SELECT FROM ingest_streams own
        WHERE own.topic = $1 AND own.partition = $2 AND own.stream_key = s.stream_key
    )
    ORDER BY s.stream_key, s.moved_at DESC, r.started_at DESC NULLS LAST
)
RETURNING stream_key
"""

_FORGET_STREAMS = """
DELETE FROM ingest_streams s
WHERE topic = $1 AND partition = $2 AND moved_at < now() - $3::interval
AND NOT EXISTS (SELECT FROM rides WHERE rides.ride_id = s.ride_id AND ended_at IS NULL)
"""

_OWN_STREAMS = """
SELECT stream_key FROM ingest_streams
WHERE topic = $1 AND partition = $2 AND stream_key = ANY($3::bytea[])
"""

_NOTES = "SELECT notes FROM ingest_offsets WHERE topic = $1 AND partition = $2"

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
    """Take a partition over; waits for the transaction that its former owner may be in.

    Not for long: a worker that was frozen in the middle of a COPY holds the partition's row until
    it wakes, and no timeout of PostgreSQL's ends that. Its session is ended.
    """
    async with pool.acquire() as connection, _evicting_who_blocks(pool, connection):
        return await _claim(connection, topic, partition)


async def _claim(connection: Connection, topic: str, partition: int) -> ClaimedPartition:
    async with connection.transaction():
        [claimed] = await connection.fetch(_CLAIM, topic, partition)
        claim = Claim(topic, partition, claimed["claim"])
        state = await _restore_state(connection, claim, claimed["notes"])
    return ClaimedPartition(claim, claimed["next_offset"], state)


async def read_state(pool: asyncpg.Pool, claim: Claim) -> PartitionState:
    """The state of a partition as it was stored with its offset."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        notes = await connection.fetchval(_NOTES, claim.topic, claim.partition)
        return await _restore_state(connection, claim, notes or b"")


@asynccontextmanager
async def _evicting_who_blocks(pool: asyncpg.Pool, connection: Connection) -> AsyncIterator[None]:
    """While the block lasts, end the sessions of ours that keep this connection waiting."""
    evicting = asyncio.create_task(_evict(pool, connection.get_server_pid()))
    try:
        yield
    finally:
        evicting.cancel()
        await asyncio.gather(evicting, return_exceptions=True)


async def _evict(pool: asyncpg.Pool, waiting_pid: int) -> None:
    while True:
        await asyncio.sleep(LONGEST_COMMIT_S)
        async with pool.acquire() as connection:
            ended = await connection.fetch(_EVICT, waiting_pid)
        if ended:
            pids = [row["pid"] for row in ended]
            _log.warning("a former owner's sessions were ended: they held up a claim", pids=pids)


async def take_streams(pool: asyncpg.Pool, claim: Claim, keys: Iterable[bytes]) -> list[Stream]:
    """The streams of keys that are not in memory: forgotten ones, and those of other partitions.

    The latter are this one's from here on. Raises `PartitionLost`.
    """
    which = (claim.topic, claim.partition, list(keys))
    async with pool.acquire() as connection, connection.transaction():
        await hold_claim(connection, claim)
        await connection.execute(_DROP_OUTRUN, *which)
        taken = await connection.fetch(_TAKE_STREAMS, *which)
        if taken:
            _log.info("streams taken over from other partitions", streams=len(taken))
        rows = await connection.fetch(_STREAMS_OF, *which)
    return [_restore_stream(row, claim.partition) for row in rows]


async def forget_streams(pool: asyncpg.Pool, claim: Claim) -> None:
    """Delete what is known of streams that have been silent for longer than Kafka keeps records."""
    async with pool.acquire() as connection, connection.transaction():
        await hold_claim(connection, claim)
        await connection.execute(_FORGET_STREAMS, claim.topic, claim.partition, KEPT_FOR)


async def own_streams(pool: asyncpg.Pool, claim: Claim, keys: Iterable[bytes]) -> set[bytes]:
    """Those of the keys whose streams no other partition has taken."""
    rows = await pool.fetch(_OWN_STREAMS, claim.topic, claim.partition, list(keys))
    return {row["stream_key"] for row in rows}


async def hold_claim(connection: Connection, claim: Claim) -> None:
    """Keep the claim until the transaction ends. Raises `PartitionLost`."""
    if await connection.fetchrow(_HOLD_CLAIM, *_identity(claim)) is None:
        raise PartitionLost(claim.topic, claim.partition)


async def move_offset(
    connection: Connection, claim: Claim, offsets: tuple[int, int], notes: bytes
) -> bool:
    """Whether the offset moved now; False where an earlier attempt had already moved it.

    Raises `PartitionLost`.
    """
    before, after = offsets
    if await connection.fetchval(_MOVE_OFFSET, *_identity(claim), before, after, notes) is not None:
        return True
    if await connection.fetchrow(_HAS_MOVED, *_identity(claim), after, notes) is not None:
        return False
    raise PartitionLost(claim.topic, claim.partition)


async def rewind(pool: asyncpg.Pool, claim: Claim, offsets: tuple[int, int]) -> None:
    """Move the offset back: the topic was made anew. What was waiting goes on waiting."""
    async with pool.acquire() as connection, connection.transaction():
        notes = await connection.fetchval(_NOTES, claim.topic, claim.partition)
        await move_offset(connection, claim, offsets, notes or b"")


def _identity(claim: Claim) -> tuple[str, int, int]:
    return claim.topic, claim.partition, claim.number


async def _restore_state(connection: Connection, claim: Claim, notes: bytes) -> PartitionState:
    lately = (claim.topic, claim.partition, LOADED_WITHIN, noted_keys(notes))
    rows = await connection.fetch(_STREAMS_HEARD_LATELY, *lately)
    streams = {row["stream_key"]: _restore_stream(row, claim.partition) for row in rows}
    past = await connection.fetch(_PAST, claim.topic, claim.partition, KEPT_RIDES, list(streams))
    for row in past:
        streams[row["stream_key"]].past.insert(0, past_ride(row))
    return PartitionState(streams.values(), notes, claim.partition, Memory())


def _restore_stream(row: asyncpg.Record, partition: int) -> Stream:
    stream = Stream(row["stream_key"], row["stream_bike"], partition=partition)
    if row["ride_id"] is None:
        return stream
    started_at = row["started_at"]
    beginnings = row["clock_beginnings"] or [started_at]
    ahead = started_at - beginnings[-1]
    stream.ride = Ride(
        stream_key=stream.key,
        bike_serial=row["bike_serial"],
        started_at=started_at,
        beginnings=beginnings,
        ahead=ahead,
        rider_id=row["rider_id"],
        ride_id=row["ride_id"],
        last_stamp=(row["last_at"] or started_at) - ahead,
        counted_stamp=(row["counted_at"] or started_at) - ahead,
        elapsed_s=row["elapsed_s"] or 0.0,
        ended_at=row["ended_at"],
        end_reason=EndReason(row["end_reason"]) if row["end_reason"] else None,
    )
    # Of a stream's last ride only an announcement can have said so.
    stream.announced = stream.ride.end_reason is EndReason.NEXT_RIDE
    return stream
