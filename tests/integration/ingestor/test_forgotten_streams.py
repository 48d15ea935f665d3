"""Streams that are silent for long are forgotten: in memory after a day, in the database later."""

import asyncpg
import pytest

from deloton.testing import (
    BIKE,
    ManualClock,
    a_rider,
    a_whole_ride,
    an_announcement,
    records_of,
    seconds_of_a_ride,
)
from ingestor import claims, partition_worker
from ingestor.partition_worker import PartitionWorker
from tests.integration.ingestor.claimed import ClaimedPartition, rows
from tests.integration.ingestor.workers import a_worker

KEY = BIKE.encode()
A_DAY_S = 86_400


async def silent_for(pool: asyncpg.Pool, days: int) -> None:
    """Its rides ended so long ago."""
    await pool.execute(
        "UPDATE ingest_streams SET moved_at = now() - make_interval(days => $1)", days
    )


async def counts(pool: asyncpg.Pool) -> list[tuple[str, int]]:
    ridden = await rows(pool, "SELECT bike_serial, ride_id FROM rides ORDER BY ride_id")
    readings = await rows(pool, "SELECT ride_id FROM readings")
    return [
        (ride["bike_serial"], sum(each["ride_id"] == ride["ride_id"] for each in readings))
        for ride in ridden
    ]


async def a_worker_after(pool: asyncpg.Pool, days: int) -> tuple[PartitionWorker, ManualClock]:
    """One that has stored a ride of three seconds, and heard nothing for so many days."""
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    await worker.process(records_of(a_whole_ride(3)))
    for _ in range(40):
        clock.pass_by(1)
        await worker.watch(worker.next_offset)
    clock.pass_by(days * A_DAY_S)
    await worker.watch(worker.next_offset)
    return worker, clock


async def test_a_stream_that_is_silent_for_a_day_is_not_kept_in_memory(pool: asyncpg.Pool) -> None:
    worker, _ = await a_worker_after(pool, days=1)
    assert worker.state.streams == {}
    assert worker.state.memory.newest == {}
    assert await pool.fetchval("SELECT count(*) FROM ingest_streams") == 1


async def test_a_rider_who_took_over_after_a_second_is_told_no_second_from_before(
    pool: asyncpg.Pool,
) -> None:
    """The clock was set to an hour later when the former ride began; that one is forgotten."""
    former = seconds_of_a_ride(1, 1, began_s=3600)
    lines = [an_announcement(rider=a_rider(1)), *former, an_announcement(3601.75, rider=a_rider(2))]
    lines += seconds_of_a_ride(2, 9, began_s=3600)
    for number in range(3):
        lines += a_whole_ride(5, began_s=3620 + 10 * number)
    await (await ClaimedPartition.of(pool)).take(lines)
    assert [readings for _, readings in await counts(pool)] == [1, 8, 5, 5, 5]
    await (await ClaimedPartition.of(pool)).take(former)
    assert [readings for _, readings in await counts(pool)] == [1, 8, 5, 5, 5]


async def test_a_forgotten_stream_that_is_heard_again_goes_on_with_its_ride(
    pool: asyncpg.Pool,
) -> None:
    worker, _ = await a_worker_after(pool, days=1)
    again = [*a_whole_ride(3), *seconds_of_a_ride(4, 5)]
    await worker.process(records_of(again, first_offset=worker.next_offset))
    assert await counts(pool) == [("SN0000", 5)]


async def test_of_many_silent_streams_those_that_were_heard_last_are_kept(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partition_worker, "SPARE_STREAMS", 2)
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    for number in range(5):
        serial = f"SN{number}"
        records = records_of(
            a_whole_ride(3, bike_serial=serial),
            first_offset=worker.next_offset,
            key=serial.encode(),
        )
        await worker.process(records)
        clock.pass_by(1)
    for _ in range(100):
        clock.pass_by(1)
        await worker.watch(worker.next_offset)
    assert sorted(worker.state.streams) == [b"SN3", b"SN4"]
    again = [
        *a_whole_ride(3, bike_serial="SN0"),
        *seconds_of_a_ride(4, 5),
        *a_whole_ride(2, began_s=10, bike_serial="SN0"),
    ]
    await worker.process(records_of(again, first_offset=worker.next_offset, key=b"SN0"))
    assert await counts(pool) == [
        *(("SN0", 5), ("SN1", 3), ("SN2", 3), ("SN3", 3), ("SN4", 3)),
        ("SN0", 2),
    ]


async def test_the_ingestor_may_delete_what_it_forgets(pool: asyncpg.Pool) -> None:
    may = "SELECT has_table_privilege('ingestor', 'ingest_streams', 'DELETE')"
    assert await pool.fetchval(may) is True


async def test_rides_in_progress_are_never_forgotten(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(3))
    await silent_for(pool, days=400)
    await claims.forget_streams(pool, partition.claim)
    assert list((await ClaimedPartition.of(pool)).state.streams) == [KEY]


@pytest.mark.parametrize(("days", "kept"), [(1, 1), (3, 0)])
async def test_a_claim_loads_the_streams_of_the_last_days(
    pool: asyncpg.Pool, days: int, kept: int
) -> None:
    await (await ClaimedPartition.of(pool)).take_to_the_end(a_whole_ride(3))
    await pool.execute("UPDATE ingest_offsets SET notes = ''")
    await silent_for(pool, days)
    assert len((await ClaimedPartition.of(pool)).state.streams) == kept


@pytest.mark.parametrize(("days", "kept"), [(89, 1), (91, 0)])
async def test_a_row_is_deleted_when_kafka_has_no_line_of_its_stream_left(
    pool: asyncpg.Pool, days: int, kept: int
) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end(a_whole_ride(3))
    await silent_for(pool, days)
    await claims.forget_streams(pool, partition.claim)
    assert await pool.fetchval("SELECT count(*) FROM ingest_streams") == kept


async def test_a_key_that_went_elsewhere_and_comes_back_goes_on_with_its_last_ride(
    pool: asyncpg.Pool,
) -> None:
    first, second = await ClaimedPartition.of(pool), await ClaimedPartition.of(pool, 1)
    await first.take_to_the_end(a_whole_ride(3))
    await silent_for(pool, days=3)
    await second.take(a_whole_ride(4, began_s=100))
    [stream] = await claims.take_streams(pool, first.claim, [KEY])
    assert stream.ride is not None
    assert stream.ride.elapsed_s == 4.0
    assert await pool.fetchval("SELECT array_agg(partition) FROM ingest_streams") == [0]
