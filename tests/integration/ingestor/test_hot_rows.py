"""Rows of packed rides go with their day; whatever changes such a ride unpacks it first."""

import asyncio
from datetime import UTC, datetime, time, timedelta

import asyncpg
import pytest

from deloton.feed.assembly import Started
from deloton.feed.log_lines import LogLine, Marker, RefusalReason
from deloton.testing import (
    a_message_of,
    a_record,
    a_ride_line,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    at,
    seconds_of_a_ride,
)
from ingestor import metrics
from ingestor.amendment import amend_rides
from ingestor.hot_rows import HotRows
from ingestor.packing import LOOK_EVERY_S, Packer
from ingestor.reading_days import ReadingDays, partition_name
from ingestor.store import store_rides
from tests.integration.ingestor.claimed import TOPIC, ClaimedPartition, rows

DAY = at(0).date()
HOT = timedelta(hours=12)
COOLED_AT = datetime.combine(DAY, time(), UTC) + timedelta(days=1) + HOT

_ROWS = "SELECT * FROM readings ORDER BY ride_id, at"
_READINGS = "SELECT * FROM ride_readings ORDER BY ride_id, at"
_RIDES = "SELECT * FROM rides ORDER BY ride_id"
# Half of its third second is lost.
_LINES: list[LogLine] = [
    an_announcement(), *seconds_of_a_ride(1, 2), a_ride_line(3), *seconds_of_a_ride(4, 5), Marker(),
]  # fmt: skip


async def pack(pool: asyncpg.Pool) -> None:
    """Pack what waits."""
    while await Packer(pool, 0.0).pack() != LOOK_EVERY_S:
        pass


async def drop(pool: asyncpg.Pool, now: datetime = COOLED_AT) -> None:
    """Drop the days that have cooled."""
    await HotRows(pool, HOT, lambda: now).drop()


def days_not_dropped() -> float:
    """What /metrics tells of days that stay."""
    return metrics.DAYS_NOT_DROPPED._value.get()  # type: ignore[no-any-return]


async def a_ride_without_rows(pool: asyncpg.Pool) -> ClaimedPartition:
    """A ride that has ended, was packed, and whose rows were dropped with their day."""
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end(_LINES)
    await pack(pool)
    await drop(pool)
    assert await rows(pool, _ROWS) == []
    return partition


async def test_a_day_of_packed_rides_goes_and_its_readings_are_told_as_before(
    pool: asyncpg.Pool,
) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    before = await rows(pool, _ROWS)
    await pack(pool)
    await drop(pool)
    assert await rows(pool, "SELECT to_regclass($1) AS day", partition_name(DAY)) == [{"day": None}]
    assert await rows(pool, _READINGS) == before
    assert days_not_dropped() == 0


async def test_a_day_stays_until_it_has_cooled(pool: asyncpg.Pool) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    await pack(pool)
    await drop(pool, COOLED_AT - timedelta(seconds=1))
    assert len(await rows(pool, _ROWS)) == 5


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("DELETE FROM ride_series", "1 rides are not packed as they are stored"),
        ("UPDATE ride_series SET reading_count = 4", "1 rides are not packed as they are stored"),
        ("UPDATE rides SET ended_at = NULL, end_reason = NULL", "1 rides are not packed"),
        ("INSERT INTO rides_to_pack SELECT ride_id FROM rides", "has changed just now"),
    ],
)
async def test_a_day_with_a_ride_that_is_not_packed_stays_and_says_why(
    pool: asyncpg.Pool, spoil: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    await pack(pool)
    await pool.execute(spoil)
    await drop(pool)
    assert len(await rows(pool, _ROWS)) == 5
    assert days_not_dropped() == 1
    assert reason in capsys.readouterr().out


async def test_a_day_that_is_read_stays_until_nobody_reads_it(pool: asyncpg.Pool) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    await pack(pool)
    async with pool.acquire() as reader, reader.transaction():
        await reader.execute("SELECT FROM readings")
        await drop(pool)
        assert days_not_dropped() == 1
    await drop(pool)
    assert await rows(pool, _ROWS) == []


async def test_of_several_workers_that_drop_at_once_one_does(pool: asyncpg.Pool) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    await pack(pool)
    await asyncio.gather(*(drop(pool) for _ in range(4)))
    assert await rows(pool, _ROWS) == []
    assert len(await rows(pool, _READINGS)) == 5


async def a_ride_over_midnight(pool: asyncpg.Pool) -> None:
    """Three readings of `DAY`, two of the next."""
    midnight = datetime.combine(DAY, time(), UTC) + timedelta(days=1)
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY, DAY + timedelta(days=1)])
    await pool.execute("INSERT INTO bikes VALUES ('SN0')")
    begins, ends = midnight - timedelta(seconds=3), midnight + timedelta(seconds=1)
    await pool.execute("INSERT INTO rides (bike_serial, started_at) VALUES ('SN0', $1)", begins)
    await pool.execute(
        "INSERT INTO readings (ride_id, at) SELECT ride_id, "
        "generate_series(started_at, $1, interval '1 second') FROM rides",
        ends,
    )
    await pool.execute(
        "UPDATE rides SET ended_at = $1, end_reason = 'silence', reading_count = 5", ends
    )


async def test_a_ride_over_midnight_is_whole_while_one_of_its_days_is_gone(
    pool: asyncpg.Pool,
) -> None:
    await a_ride_over_midnight(pool)
    await pack(pool)
    before = await rows(pool, _ROWS)
    await drop(pool)
    assert len(await rows(pool, _ROWS)) == 2
    assert await rows(pool, _READINGS) == before


async def test_an_amended_ride_without_rows_has_all_of_them_again(pool: asyncpg.Pool) -> None:
    await a_ride_without_rows(pool)
    late = a_record(a_message_of(a_telemetry_line(3.5, power_watts=250.0)))
    assert await amend_rides(pool, TOPIC, 0, [late]) == []
    [ride] = await rows(pool, _RIDES)
    assert (ride["reading_count"], ride["total_power_watts"]) == (5, 650.0)
    powers = [row["power_watts"] for row in await rows(pool, _READINGS)]
    assert powers == [100.0, 100.0, 250.0, 100.0, 100.0]


async def test_rows_that_come_back_after_their_day_has_gone_go_again(pool: asyncpg.Pool) -> None:
    await a_ride_without_rows(pool)
    late = a_record(a_message_of(a_telemetry_line(3.5, power_watts=250.0)))
    assert await amend_rides(pool, TOPIC, 0, [late]) == []
    await pack(pool)
    before = await rows(pool, _READINGS)
    assert len(await rows(pool, "SELECT FROM readings_default")) == 5
    await ReadingDays(pool, 0, lambda: DAY).maintain()
    await drop(pool)
    assert await rows(pool, _ROWS) == []
    assert await rows(pool, _READINGS) == before


async def test_a_ride_without_rows_that_goes_on_has_all_of_them_again(pool: asyncpg.Pool) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    partition = await ClaimedPartition.of(pool)
    await partition.take_to_the_end(a_whole_ride(5))
    await pack(pool)
    await drop(pool)
    assert await rows(pool, _ROWS) == []
    await partition.take_to_the_end(seconds_of_a_ride(6, 9))
    [ride] = await rows(pool, _RIDES)
    assert (ride["reading_count"], ride["duration_s"]) == (9, 9.0)
    assert len(await rows(pool, _READINGS)) == 9


async def test_a_topic_that_is_read_again_into_rides_without_rows_changes_nothing(
    pool: asyncpg.Pool,
) -> None:
    await a_ride_without_rows(pool)
    before = await rows(pool, _RIDES), await rows(pool, _READINGS)
    await pool.execute("DELETE FROM ingest_offsets")
    await pool.execute("DELETE FROM ingest_streams")
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    assert (await rows(pool, _RIDES), await rows(pool, _READINGS)) == before
    await pack(pool)
    assert await rows(pool, _READINGS) == before[1]


async def test_a_worker_that_takes_over_goes_on_from_the_last_reading_of_a_ride_without_rows(
    pool: asyncpg.Pool,
) -> None:
    former = await a_ride_without_rows(pool)
    successor = await ClaimedPartition.of(pool)
    [old], [new] = former.state.streams.values(), successor.state.streams.values()
    assert old.ride is not None
    assert new.ride is not None
    assert new.ride.last_stamp == old.ride.last_stamp
    assert new.ride.counted_stamp == old.ride.counted_stamp
    assert new.ride.elapsed_s == old.ride.elapsed_s


async def after_the_retention(pool: asyncpg.Pool) -> None:
    """Forget the readings of `DAY`."""
    await ReadingDays(pool, 3, lambda: DAY + timedelta(days=4)).maintain()


@pytest.mark.parametrize("packed", [True, False])
async def test_an_amendment_beyond_the_retention_is_refused_and_changes_nothing(
    pool: asyncpg.Pool, packed: bool
) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    if packed:
        await pack(pool)
        await drop(pool)
    await after_the_retention(pool)
    before = await rows(pool, _RIDES)
    late = a_record(a_message_of(a_telemetry_line(3.5, power_watts=250.0)))
    [refused] = await amend_rides(pool, TOPIC, 0, [late])
    assert refused.refusal.reason is RefusalReason.BEYOND_RETENTION
    assert await rows(pool, _RIDES) == before
    assert await rows(pool, _READINGS) == []


async def test_a_topic_that_is_read_again_after_the_retention_changes_no_ride(
    pool: asyncpg.Pool,
) -> None:
    await a_ride_without_rows(pool)
    await after_the_retention(pool)
    before = await rows(pool, _RIDES)
    await pool.execute("DELETE FROM ingest_offsets")
    await pool.execute("DELETE FROM ingest_streams")
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    assert await rows(pool, _RIDES) == before
    assert await rows(pool, _READINGS) == []


async def test_a_ride_that_begins_again_after_the_retention_stays_as_it_ended(
    pool: asyncpg.Pool,
) -> None:
    partition = await a_ride_without_rows(pool)
    await after_the_retention(pool)
    before = await rows(pool, _RIDES)
    [stream] = partition.state.streams.values()
    assert stream.ride is not None
    again = Started(stream.ride, None, None)
    gone = await store_rides(pool, partition.claim, [again])
    assert gone == {before[0]["ride_id"]}
    assert await rows(pool, _RIDES) == before


@pytest.mark.parametrize(("packed", "left"), [(True, 5), (False, 0)])
async def test_a_ride_over_midnight_keeps_all_its_readings_or_none(
    pool: asyncpg.Pool, packed: bool, left: int
) -> None:
    await a_ride_over_midnight(pool)
    if packed:
        await pack(pool)
    await after_the_retention(pool)
    assert len(await rows(pool, _READINGS)) == left


async def test_a_version_that_counts_rows_alone_cannot_make_a_ride_smaller(
    pool: asyncpg.Pool,
) -> None:
    await a_ride_without_rows(pool)
    before = await rows(pool, _RIDES)
    with pytest.raises(asyncpg.CheckViolationError, match="without its packed readings"):
        await pool.execute("UPDATE rides SET ended_at = ended_at, reading_count = 1")
    assert await rows(pool, _RIDES) == before


async def test_who_changes_a_ride_while_its_day_is_dropped_loses_nothing(
    pool: asyncpg.Pool,
) -> None:
    await ReadingDays(pool, 0, lambda: DAY).ensure([DAY])
    await (await ClaimedPartition.of(pool)).take_to_the_end(_LINES)
    await pack(pool)
    late = a_record(a_message_of(a_telemetry_line(3.5, power_watts=250.0)))
    await asyncio.gather(*(drop(pool) for _ in range(3)), amend_rides(pool, TOPIC, 0, [late]))
    powers = [row["power_watts"] for row in await rows(pool, _READINGS)]
    assert powers == [100.0, 100.0, 250.0, 100.0, 100.0]
