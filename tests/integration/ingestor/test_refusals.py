"""Refused lines are counted once each, with the offset that stands for them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from deloton.errors import PartitionLost
from deloton.testing import CAME_IN_BULK_AT, FakeRecord, a_record, a_whole_ride, records_of
from ingestor.refusals import quarter_of
from tests.integration.ingestor.claimed import ClaimedPartition, everything

NO_UTF8 = b"\xff"
EMPTY = None


def some(value: bytes | None, count: int, first: int = 0) -> list[FakeRecord]:
    return [a_record(value, offset=first + number) for number in range(count)]


async def take(partition: ClaimedPartition, records: Sequence[FakeRecord]) -> None:
    await partition.store(await partition.assemble_records(records))


async def counts(pool: asyncpg.Pool) -> list[tuple[object, ...]]:
    query = "SELECT refused_in, partition, reason, line_count FROM refused_lines ORDER BY 1, 2, 3"
    return [tuple(row) for row in await pool.fetch(query)]


async def test_lines_are_counted_by_quarter_partition_and_reason(pool: asyncpg.Pool) -> None:
    first, second = await ClaimedPartition.of(pool, 0), await ClaimedPartition.of(pool, 1)
    await take(first, [*some(NO_UTF8, 2), *some(EMPTY, 1, first=2)])
    await take(first, [a_record(NO_UTF8, offset=3), a_record(NO_UTF8, offset=15 * 60_000)])
    await take(second, some(NO_UTF8, 1))
    later = CAME_IN_BULK_AT + timedelta(minutes=15)
    assert await counts(pool) == [
        (CAME_IN_BULK_AT, 0, "not_json", 1),
        (CAME_IN_BULK_AT, 0, "not_utf8", 3),
        (CAME_IN_BULK_AT, 1, "not_utf8", 1),
        (later, 0, "not_utf8", 1),
    ]


async def test_where_nothing_is_refused_nothing_is_counted(pool: asyncpg.Pool) -> None:
    await take(await ClaimedPartition.of(pool), records_of(a_whole_ride(3)))
    assert await counts(pool) == []


async def test_a_commit_whose_answer_was_lost_counts_once(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    batch = await partition.assemble_records(some(NO_UTF8, 3))
    await partition.store(batch)
    before = await everything(pool)
    partition.next_offset = 0
    await partition.store(batch)
    assert await everything(pool) == before
    assert [count for *_, count in await counts(pool)] == [3]


async def test_who_lost_the_partition_counts_nothing(pool: asyncpg.Pool) -> None:
    zombie = await ClaimedPartition.of(pool)
    await ClaimedPartition.of(pool)
    with pytest.raises(PartitionLost):
        await take(zombie, some(NO_UTF8, 3))
    assert await counts(pool) == []


async def test_a_batch_that_is_stored_the_second_way_counts_once(pool: asyncpg.Pool) -> None:
    ride = records_of(a_whole_ride(3))
    await take(await ClaimedPartition.of(pool, 0), ride)
    # The same rows again, as when a topic is read from its beginning: they are merged.
    again = await ClaimedPartition.of(pool, 1)
    await take(again, [*ride, *some(NO_UTF8, 2, first=len(ride))])
    assert [count for *_, count in await counts(pool)] == [2]


@pytest.mark.parametrize(
    ("timestamp_ms", "quarter"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (899_999, datetime(1970, 1, 1, tzinfo=UTC)),
        (900_000, datetime(1970, 1, 1, 0, 15, tzinfo=UTC)),
        # Kafka's word for no time, and what a producer may make up.
        (-1, datetime(1970, 1, 1, tzinfo=UTC)),
        (-(2**63), datetime(1970, 1, 1, tzinfo=UTC)),
        (2**63 - 1, datetime(9999, 12, 31, 23, 45, tzinfo=UTC)),
    ],
)
async def test_any_timestamp_has_a_quarter_that_can_be_stored(
    pool: asyncpg.Pool, timestamp_ms: int, quarter: datetime
) -> None:
    assert quarter_of(timestamp_ms) == quarter
    record = msgspec.structs.replace(a_record(NO_UTF8), timestamp=timestamp_ms)
    await take(await ClaimedPartition.of(pool), [record])
    assert [refused_in for refused_in, *_ in await counts(pool)] == [quarter]
