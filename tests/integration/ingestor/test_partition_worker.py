"""A partition's batches from records to rows, its silence, and what may go wrong between."""

import asyncio
from typing import Any

import asyncpg
import pytest
from aiokafka.errors import KafkaTimeoutError

from deloton.errors import PartitionLost
from deloton.feed.log_lines import RefusalReason
from deloton.testing import (
    BIKE,
    ManualClock,
    a_record,
    a_ride_line,
    a_second,
    a_whole_ride,
    at,
    records_of,
)
from ingestor.partition_state import REPLAY_HEADER
from ingestor.partition_worker import PartitionWorker
from tests.integration.ingestor.claimed import everything, rows
from tests.integration.ingestor.workers import RecordingPublisher, a_worker


async def the_ride(pool: asyncpg.Pool) -> dict[str, Any]:
    [ride] = await rows(pool, "SELECT * FROM rides")
    return ride


async def watch_for(worker: PartitionWorker, clock: ManualClock, seconds: int, end: int) -> None:
    """Look once a second, as the app does."""
    for _ in range(seconds):
        clock.pass_by(1)
        await worker.watch(end)


async def test_a_batch_is_published_and_stored_and_the_offset_moves(pool: asyncpg.Pool) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(pool, publisher=publisher)
    await worker.process(records_of(a_whole_ride(3), first_offset=100))
    assert worker.next_offset == 110
    [(partition, assembled)] = publisher.sent
    assert partition == 0
    assert {reading.ride.ride_id for reading in assembled.readings} == {1}
    assert await pool.fetchval("SELECT count(*) FROM readings_20260302") == 3


async def test_refused_lines_are_published_and_the_rest_goes_on(pool: asyncpg.Pool) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(pool, publisher=publisher)
    rubbish = [a_record(value, offset=number) for number, value in enumerate((b"\xff", None))]
    await worker.process([*rubbish, *records_of(a_whole_ride(2), first_offset=2)])
    assert [letter.refusal.reason for letter in publisher.refused] == [
        RefusalReason.NOT_UTF8,
        RefusalReason.NOT_JSON,
    ]
    assert await pool.fetchval("SELECT count(*) FROM readings") == 2
    assert await pool.fetchval("SELECT sum(line_count) FROM refused_lines") == 2


async def test_a_dead_letter_sent_again_and_still_refused_was_counted_before(
    pool: asyncpg.Pool,
) -> None:
    publisher = RecordingPublisher()
    worker = await a_worker(pool, publisher=publisher)
    again = a_record(b"\xff", offset=1, headers=[(REPLAY_HEADER, b"0/0")])
    await worker.process([a_record(b"\xff"), again])
    assert len(publisher.refused) == 2
    assert await pool.fetchval("SELECT sum(line_count) FROM refused_lines") == 1


async def test_a_broker_that_is_away_is_waited_for_and_nothing_is_lost(pool: asyncpg.Pool) -> None:
    publisher = RecordingPublisher(KafkaTimeoutError(), ConnectionError())
    worker = await a_worker(pool, publisher=publisher)
    await worker.process(records_of(a_whole_ride(3)))
    assert len(publisher.sent) == 1
    assert await pool.fetchval("SELECT count(*) FROM readings") == 3


async def test_an_unforeseen_error_stops_the_batch_before_its_offset(pool: asyncpg.Pool) -> None:
    worker = await a_worker(pool, publisher=RecordingPublisher(ValueError("unforeseen")))
    with pytest.raises(ValueError, match="unforeseen"):
        await worker.process(records_of(a_whole_ride(3)))
    assert worker.next_offset == 0
    assert await pool.fetchval("SELECT count(*) FROM readings") == 0


async def test_who_lost_the_partition_learns_it_and_writes_nothing(pool: asyncpg.Pool) -> None:
    zombie, owner = await a_worker(pool), await a_worker(pool)
    with pytest.raises(PartitionLost):
        await zombie.process(records_of(a_whole_ride(3)))
    assert (await everything(pool))["rides"] == []
    await owner.process(records_of(a_whole_ride(3)))
    assert (await the_ride(pool))["bike_serial"] == "SN0000"


# Silence


async def test_a_ride_ends_after_thirty_seconds_of_silence(pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    await worker.process(records_of([*a_whole_ride(3), a_ride_line(4)]))
    await watch_for(worker, clock, 30, end=11)
    assert (await the_ride(pool))["ended_at"] is None
    await watch_for(worker, clock, 2, end=11)
    ride = await the_ride(pool)
    assert (ride["ended_at"], ride["end_reason"], ride["reading_count"]) == (at(4), "silence", 4)


async def test_while_lines_wait_in_kafka_nobody_is_silent(pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    await worker.process(records_of(a_whole_ride(3)))
    await watch_for(worker, clock, 100, end=11)
    await watch_for(worker, clock, 30, end=10)
    assert (await the_ride(pool))["ended_at"] is None


async def test_a_bike_falls_silent_also_where_others_never_do(pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    await worker.process(records_of(a_whole_ride(3)))
    other = a_whole_ride(40, bike_serial="SN2")
    for second in range(40):
        lines = other[4 + 2 * second : 6 + 2 * second] if second else other[:6]
        await worker.process(records_of(lines, first_offset=worker.next_offset, key=b"SN2"))
        await watch_for(worker, clock, 1, end=worker.next_offset + 1)
    ends = await rows(pool, "SELECT bike_serial, end_reason FROM rides ORDER BY ride_id")
    assert [tuple(ride.values()) for ride in ends] == [(BIKE, "silence"), ("SN2", None)]


async def test_an_end_that_is_not_known_ends_nobody(pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    await worker.process(records_of(a_whole_ride(3)))
    for _ in range(100):
        clock.pass_by(1)
        await worker.watch(None)
    assert (await the_ride(pool))["ended_at"] is None


async def test_rides_of_a_former_worker_end_by_silence_too(pool: asyncpg.Pool) -> None:
    await (await a_worker(pool)).process(records_of(a_whole_ride(3)))
    clock = ManualClock()
    await watch_for(await a_worker(pool, clock), clock, 32, end=10)
    assert (await the_ride(pool))["end_reason"] == "silence"


async def test_a_worker_that_stood_still_itself_ends_nobodys_ride(pool: asyncpg.Pool) -> None:
    """A process that is suspended finds its clock far ahead, and Kafka's end as it was before."""
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    for second in range(1, 60):
        await worker.process(records_of(a_second(second), first_offset=2 * second))
        await watch_for(worker, clock, 1, end=2 * second + 2)
    clock.pass_by(60)
    await worker.watch(2 * 59 + 2)
    assert (await the_ride(pool))["ended_at"] is None


async def test_a_ride_that_goes_on_after_silence_is_the_same_ride(pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    worker = await a_worker(pool, clock)
    await worker.process(records_of(a_whole_ride(3)))
    await watch_for(worker, clock, 32, end=10)
    await worker.process(records_of(a_second(40), first_offset=10))
    ride = await the_ride(pool)
    assert (ride["ended_at"], ride["reading_count"]) == (None, None)


# A topic that was made anew


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    pool: asyncpg.Pool, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await a_worker(pool)
    await worker.process(records_of(a_whole_ride(3), first_offset=500))
    await worker.process(records_of(a_whole_ride(2, began_s=600), first_offset=0))
    assert worker.next_offset == 8
    assert await pool.fetchval("SELECT count(*) FROM rides") == 2
    assert await pool.fetchval("SELECT next_offset FROM ingest_offsets") == 8


async def test_who_lost_the_partition_cannot_start_it_over(pool: asyncpg.Pool) -> None:
    zombie = await a_worker(pool)
    await zombie.process(records_of(a_whole_ride(3), first_offset=500))
    await a_worker(pool)
    with pytest.raises(PartitionLost):
        await zombie.process(records_of(a_whole_ride(2, began_s=600)))
    assert await pool.fetchval("SELECT next_offset FROM ingest_offsets") == 510


# Races


async def test_a_worker_finishes_only_after_its_batch(pool: asyncpg.Pool) -> None:
    worker = await a_worker(pool)
    batch = asyncio.create_task(worker.process(records_of(a_whole_ride(50))))
    await asyncio.sleep(0)
    await worker.finish()
    assert await pool.fetchval("SELECT count(*) FROM readings") == 50
    await batch


async def test_watching_does_not_wait_for_a_batch(pool: asyncpg.Pool) -> None:
    worker = await a_worker(pool)
    batch = asyncio.create_task(worker.process(records_of(a_whole_ride(50))))
    await asyncio.sleep(0)
    await worker.watch(0)
    assert not batch.done()
    await batch


async def test_finishing_twice_is_no_error(pool: asyncpg.Pool) -> None:
    worker = await a_worker(pool)
    for _ in range(2):
        await worker.finish()
    assert worker.next_offset == 0
