"""A partition that is claimed and stored, batch by batch, without Kafka."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from deloton.feed.assembly import Assembled
from deloton.feed.log_lines import LogLine
from deloton.testing import BIKE, FakeRecord, records_of
from ingestor import claims, store
from ingestor.assembling import assemble, look_up, place_late_lines
from ingestor.partition_state import Batch, Question, RefusedRecord

TOPIC = "deloton"


class ClaimedPartition:
    """What a worker holds of a partition; `take` brings lines to their rows."""

    def __init__(self, pool: asyncpg.Pool, claimed: claims.ClaimedPartition) -> None:
        self.pool = pool
        self.claim = claimed.claim
        self.state = claimed.state
        self.next_offset = claimed.next_offset

    @classmethod
    async def of(cls, pool: asyncpg.Pool, partition: int = 0) -> "ClaimedPartition":
        """Claim a partition as a worker does that it is assigned to."""
        return cls(pool, await claims.claim_partition(pool, TOPIC, partition))

    async def assemble(self, lines: Sequence[LogLine], key: bytes | None = BIKE.encode()) -> Batch:
        """What the next lines come to; nothing is stored."""
        records = records_of(lines, first_offset=self.next_offset, key=key)
        return await self.assemble_records(records)

    async def assemble_records(self, records: Sequence[FakeRecord]) -> Batch:
        async def answer(question: Question) -> None:
            await look_up(self.pool, self.state.memory, question)

        return await assemble(self.state, records, 0.0, answer)

    async def take(self, lines: Sequence[LogLine], key: bytes | None = BIKE.encode()) -> Batch:
        """Store the next lines as one batch."""
        batch = await self.assemble(lines, key)
        await self.store(batch)
        return batch

    async def take_to_the_end(self, lines: Sequence[LogLine]) -> None:
        """Store the next lines and the long silence after them, which ends their ride."""
        await self.take(lines)
        ended = self.state.end_silent_rides(heard_before=1.0)
        await self.commit(ended, self.next_offset)

    async def store(self, batch: Batch) -> None:
        """Both transactions of a batch."""
        if batch.assembled.started:
            await store.store_rides(self.pool, self.claim, batch.assembled.started)
        await place_late_lines(self.pool, batch.assembled)
        await self.commit(batch.assembled, batch.next_offset, batch.refused)

    async def commit(
        self, assembled: Assembled, next_offset: int, refused: Sequence[RefusedRecord] = ()
    ) -> None:
        """The second transaction alone."""
        offsets = self.next_offset, next_offset
        notes = self.state.notes()
        await store.commit_batch(self.pool, self.claim, offsets, assembled, refused, notes)
        self.next_offset = next_offset
        self.state.forget_what_is_stored(assembled)


async def rows(pool: asyncpg.Pool, query: str, *arguments: object) -> list[dict[str, Any]]:
    """The rows of a query as dictionaries."""
    return [dict(row) for row in await pool.fetch(query, *arguments)]


async def everything(pool: asyncpg.Pool) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables that a batch writes."""
    queries = {
        "riders": "SELECT * FROM riders ORDER BY rider_id",
        "bikes": "SELECT * FROM bikes ORDER BY serial",
        "rides": "SELECT * FROM rides ORDER BY ride_id",
        "readings": "SELECT * FROM readings ORDER BY ride_id, at",
        "streams": "SELECT topic, partition, stream_key, bike_serial, ride_id FROM ingest_streams "
        "ORDER BY stream_key",
        "refused": "SELECT * FROM refused_lines ORDER BY refused_in, partition, reason",
        "offsets": "SELECT topic, partition, next_offset, notes FROM ingest_offsets",
    }
    return {name: await rows(pool, query) for name, query in queries.items()}
