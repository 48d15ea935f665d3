"""EDGE: the right to write a partition, and the offset where to go on in it.

A worker *claims* a partition when it is assigned: the claim's number goes up by one, and every
later write of the partition names that number. A worker that lost the partition without knowing
names an old number, and none of its writes take place.
"""

import asyncpg
from msgspec import Struct

from deloton.assembly import Ride, Stream
from deloton.database import Connection
from deloton.errors import PartitionLost
from deloton.events import EndReason
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
        notes = await connection.fetchval(
            "SELECT notes FROM ingest_offsets WHERE topic = $1 AND partition = $2",
            claim.topic,
            claim.partition,
        )
        await move_offset(connection, claim, offsets, notes or b"")


def _identity(claim: Claim) -> tuple[str, int, int]:
    return claim.topic, claim.partition, claim.number


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
