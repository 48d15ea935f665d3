"""A worker packs the rides that have ended, and what it stores later is packed anew."""

from datetime import timedelta

import asyncpg

from deloton.feed.log_lines import LogLine, Marker
from deloton.testing import (
    ManualClock,
    a_message_of,
    a_record,
    a_ride_line,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    at,
    seconds_of_a_ride,
)
from ingestor.amendment import amend_rides
from ingestor.packing import LOOK_EVERY_S, Packer
from ingestor.reading_days import ReadingDays
from tests.integration.ingestor.claimed import TOPIC, ClaimedPartition, rows

_ROWS = "SELECT * FROM readings ORDER BY ride_id, at"
_PACKED = "SELECT * FROM packed_readings ORDER BY ride_id, at"


async def pack(pool: asyncpg.Pool) -> None:
    """Pack what waits."""
    packer = Packer(pool, 0.0)
    while await packer.pack() != LOOK_EVERY_S:
        pass


async def assert_packed_as_stored(pool: asyncpg.Pool) -> None:
    """What is packed now is what is stored."""
    await pack(pool)
    stored = await rows(pool, _ROWS)
    assert stored
    assert await rows(pool, _PACKED) == stored


async def test_a_ride_is_packed_once_it_has_ended(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take(a_whole_ride(5))
    await pack(pool)
    assert await rows(pool, _PACKED) == []
    await partition.commit(
        partition.state.end_silent_rides(heard_before=1.0), partition.next_offset
    )
    await assert_packed_as_stored(pool)


async def test_a_ride_that_goes_on_after_it_was_packed_is_packed_anew(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end(a_whole_ride(5))
    await pack(pool)
    await partition.take(seconds_of_a_ride(6, 9))
    assert await rows(pool, _PACKED) == []
    await partition.commit(
        partition.state.end_silent_rides(heard_before=1.0), partition.next_offset
    )
    await assert_packed_as_stored(pool)
    assert len(await rows(pool, _ROWS)) == 9


async def test_a_ride_that_is_amended_after_it_was_packed_is_packed_anew(
    pool: asyncpg.Pool,
) -> None:
    lines: list[LogLine] = [
        an_announcement(), *seconds_of_a_ride(1, 2), a_ride_line(3), *seconds_of_a_ride(4, 5),
        Marker(),
    ]  # fmt: skip
    await (await ClaimedPartition.of(pool)).take_to_the_end(lines)
    await pack(pool)
    late = a_record(a_message_of(a_telemetry_line(3.5, power_watts=250.0)))
    assert await amend_rides(pool, TOPIC, 0, [late]) == []
    assert await rows(pool, _PACKED) == []
    await assert_packed_as_stored(pool)
    powers = [row["power_watts"] for row in await rows(pool, _ROWS)]
    assert powers == [100.0, 100.0, 250.0, 100.0, 100.0]


async def test_a_topic_that_is_read_again_changes_nothing(pool: asyncpg.Pool) -> None:
    lines = [*a_whole_ride(5), Marker()]
    await (await ClaimedPartition.of(pool)).take_to_the_end(lines)
    await pack(pool)
    stored = await rows(pool, _ROWS)
    await pool.execute("DELETE FROM ingest_offsets")
    await pool.execute("DELETE FROM ingest_streams")
    await (await ClaimedPartition.of(pool)).take_to_the_end(lines)
    await assert_packed_as_stored(pool)
    assert await rows(pool, _ROWS) == stored


async def test_what_is_packed_goes_after_the_retention_too(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end(a_whole_ride(5))
    await pack(pool)
    today = at(0).date() + timedelta(days=3)
    await ReadingDays(pool, 3, lambda: today).maintain()
    assert len(await rows(pool, "SELECT FROM ride_readings")) == 5
    tomorrow = today + timedelta(days=1)
    await ReadingDays(pool, 3, lambda: tomorrow).maintain()
    assert await rows(pool, "SELECT FROM ride_readings") == []


async def test_packing_takes_no_more_than_half_of_the_time(pool: asyncpg.Pool) -> None:
    clock = ManualClock()
    packer = Packer(pool, 0.0, clock)
    assert await packer.pack() == LOOK_EVERY_S
    await (await ClaimedPartition.of(pool)).take_to_the_end(a_whole_ride(5))

    class Slow(ManualClock):
        """Each look at it is two seconds later."""

        def __call__(self) -> float:
            self.now += 2.0
            return self.now

    assert await Packer(pool, 0.0, Slow()).pack() == 2.0
