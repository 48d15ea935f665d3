"""Readings lie in a partition a day, made ahead of time and dropped after the retention."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from deloton.feed.assembly import Assembled
from deloton.testing import a_reading
from ingestor.reading_days import AHEAD, NEWEST, OLDEST, ReadingDays, partition_name
from tests.integration.ingestor.claimed import ClaimedPartition

TODAY = date(2026, 3, 2)


def days_from(pool: asyncpg.Pool, retention_days: int = 0, today: date = TODAY) -> ReadingDays:
    return ReadingDays(pool, retention_days, lambda: today)


async def partitions(pool: asyncpg.Pool) -> list[str]:
    """The names of the daily partitions, in order."""
    rows = await pool.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid "
        "WHERE inhparent = 'readings'::regclass AND relname <> 'readings_default' ORDER BY relname"
    )
    return [row["relname"] for row in rows]


async def put_readings(pool: asyncpg.Pool, *days: date) -> None:
    """A reading at each day's first and last moment."""
    for day in days:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for at in (midnight, midnight + timedelta(days=1, microseconds=-1)):
            await pool.execute("INSERT INTO readings (ride_id, at) VALUES (1, $1)", at)


async def counts(pool: asyncpg.Pool) -> dict[str, int]:
    """How many readings each partition holds."""
    rows = await pool.fetch(
        "SELECT tableoid::regclass::text AS name, count(*) FROM readings GROUP BY 1"
    )
    return {row["name"]: row["count"] for row in rows}


async def test_the_days_to_come_are_made_ahead_of_time(pool: asyncpg.Pool) -> None:
    await days_from(pool).maintain()
    ahead = [TODAY + timedelta(days=number) for number in range(AHEAD.days + 1)]
    assert await partitions(pool) == [partition_name(day) for day in ahead]


async def test_making_a_day_again_does_nothing(pool: asyncpg.Pool) -> None:
    for _ in range(2):
        await days_from(pool).ensure([TODAY, TODAY])
    assert await partitions(pool) == ["readings_20260302"]


async def test_a_days_readings_lie_in_its_partition_from_midnight_to_midnight(
    pool: asyncpg.Pool,
) -> None:
    yesterday, tomorrow = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
    await days_from(pool).ensure([yesterday, TODAY, tomorrow])
    await put_readings(pool, yesterday, TODAY, tomorrow)
    assert await counts(pool) == {partition_name(day): 2 for day in (yesterday, TODAY, tomorrow)}


async def test_readings_that_came_before_their_partition_move_into_it(pool: asyncpg.Pool) -> None:
    tomorrow = TODAY + timedelta(days=1)
    await put_readings(pool, TODAY, tomorrow)
    assert await counts(pool) == {"readings_default": 4}
    await days_from(pool).ensure([TODAY])
    assert await counts(pool) == {"readings_20260302": 2, "readings_default": 2}


@pytest.mark.parametrize(
    ("day", "made"),
    [
        (TODAY + NEWEST, True),
        (TODAY + NEWEST + timedelta(days=1), False),
        (TODAY - OLDEST, True),
        (TODAY - OLDEST - timedelta(days=1), False),
        (date(1970, 1, 1), False),
        (date.max, False),
        (date.min, False),
    ],
)
async def test_days_of_clocks_gone_wrong_get_no_partition(
    pool: asyncpg.Pool, day: date, made: bool
) -> None:
    await days_from(pool).ensure([day])
    assert bool(await partitions(pool)) is made


async def test_a_reading_of_a_clock_gone_wrong_is_stored_all_the_same(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.commit(Assembled(readings=[a_reading(at_s=-30 * 365 * 86_400)]), 1)
    assert await counts(pool) == {"readings_default": 1}


async def test_days_past_the_retention_are_dropped(pool: asyncpg.Pool) -> None:
    history = [TODAY - timedelta(days=number) for number in range(6)]
    await days_from(pool).ensure(history)
    await put_readings(pool, *history, date(2001, 1, 1))
    await days_from(pool, retention_days=3).maintain()
    kept = {partition_name(day): 2 for day in history[:4]}
    assert await counts(pool) == kept
    assert [name for name in await partitions(pool) if name < partition_name(TODAY)] == sorted(
        kept
    )[:3]


async def test_without_a_retention_nothing_is_dropped(pool: asyncpg.Pool) -> None:
    long_ago = TODAY - OLDEST
    await days_from(pool).ensure([long_ago])
    await put_readings(pool, long_ago, date(2001, 1, 1))
    await days_from(pool, today=TODAY + timedelta(days=4000)).maintain()
    assert sum((await counts(pool)).values()) == 4


async def test_a_backlog_older_than_the_retention_makes_no_partition(pool: asyncpg.Pool) -> None:
    await days_from(pool, retention_days=3).ensure([TODAY - timedelta(days=4)])
    assert await partitions(pool) == []


async def test_a_partition_in_use_is_dropped_another_time(pool: asyncpg.Pool) -> None:
    old = TODAY - timedelta(days=9)
    await days_from(pool).ensure([old])
    async with pool.acquire() as reader, reader.transaction():
        await reader.execute(f"SELECT FROM {partition_name(old)}")
        await days_from(pool, retention_days=3).maintain()
        assert partition_name(old) in await partitions(pool)
    await days_from(pool, retention_days=3).maintain()
    assert partition_name(old) not in await partitions(pool)


async def test_workers_that_make_days_at_once_do_not_disturb_each_other(
    pool: asyncpg.Pool,
) -> None:
    await put_readings(pool, TODAY)
    await asyncio.gather(*(days_from(pool, retention_days=3).maintain() for _ in range(4)))
    assert len(await partitions(pool)) == AHEAD.days + 1
    assert await counts(pool) == {"readings_20260302": 2}


async def test_a_day_is_made_once_nobody_stores_its_readings_elsewhere(pool: asyncpg.Pool) -> None:
    """Such a day came ahead of its time: a bike's clock, or a line that was sent again."""
    days = days_from(pool)
    async with pool.acquire() as other, other.transaction():
        at = datetime(2026, 3, 2, 12, tzinfo=UTC)
        await other.execute("INSERT INTO readings (ride_id, at) VALUES (2, $1)", at)
        await days.ensure([TODAY])
    assert await counts(pool) == {"readings_default": 1}
    await days.maintain()
    assert await counts(pool) == {"readings_20260302": 1}


async def test_of_days_past_the_retention_none_is_tried_after_one_that_is_in_use(
    pool: asyncpg.Pool,
) -> None:
    oldest, next_day = TODAY - timedelta(days=9), TODAY - timedelta(days=8)
    await days_from(pool).ensure([oldest, next_day])
    async with pool.acquire() as reader, reader.transaction():
        await reader.execute(f"SELECT FROM {partition_name(oldest)}")
        await days_from(pool, retention_days=3).maintain()
        assert partition_name(next_day) in await partitions(pool)


async def test_readings_of_a_ride_in_progress_outlast_the_retention(pool: asyncpg.Pool) -> None:
    await pool.execute("INSERT INTO bikes VALUES ('SN0')")
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    await pool.execute(
        "INSERT INTO rides (ride_id, bike_serial, started_at) VALUES (1, 'SN0', $1)", long_ago
    )
    await put_readings(pool, long_ago.date())
    await days_from(pool, retention_days=3).maintain()
    assert await counts(pool) == {"readings_default": 2}
