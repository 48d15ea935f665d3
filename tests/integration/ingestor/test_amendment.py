"""Lines that come back complete the rides that they were missing from; twice changes nothing."""

from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from deloton.feed.log_lines import LogLine, Marker, RefusalReason
from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from deloton.testing import (
    BIKE,
    a_message_of,
    a_record,
    a_ride_line,
    a_rider,
    a_second,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    at,
    seconds_of_a_ride,
)
from ingestor.amendment import amend_rides
from tests.integration.ingestor.claimed import TOPIC, ClaimedPartition, everything, rows

HALVES: list[LogLine] = [a_ride_line(2, resistance=90), a_telemetry_line(2.5, power_watts=250.0)]


async def amend(
    pool: asyncpg.Pool, *lines: LogLine, key: bytes | None = BIKE.encode()
) -> list[RefusalReason]:
    """Let lines come back twice; the reasons why any were refused."""
    records = [a_record(a_message_of(line), key=key) for line in lines]
    await amend_rides(pool, TOPIC, 0, records)
    before = await everything(pool)
    refused = await amend_rides(pool, TOPIC, 0, records)
    assert await everything(pool) == before
    return [letter.refusal.reason for letter in refused]


async def stored(pool: asyncpg.Pool) -> list[tuple[Any, ...]]:
    """Stamp, duration and power of each reading."""
    found = await rows(pool, "SELECT at, elapsed_s, power_watts FROM readings ORDER BY at")
    return [tuple(row.values()) for row in found]


async def ride_without(pool: asyncpg.Pool, *lost: LogLine) -> dict[str, Any]:
    """Store a ride of three seconds that has ended, but for some of its lines."""
    whole = [*a_second(1), *HALVES, *a_second(3)]
    lines = [an_announcement(), *(line for line in whole if line not in lost), Marker()]
    await (await ClaimedPartition.of(pool)).take_to_the_end(lines)
    return await totals(pool)


async def totals(pool: asyncpg.Pool) -> dict[str, Any]:
    [ride] = await rows(pool, "SELECT * FROM rides")
    return ride


@pytest.mark.parametrize("lost", [HALVES[:1], HALVES[1:], HALVES])
@pytest.mark.parametrize("backwards", [False, True])
async def test_lost_lines_that_come_back_make_the_ride_whole(
    pool: asyncpg.Pool, lost: Sequence[LogLine], backwards: bool
) -> None:
    incomplete = await ride_without(pool, *lost)
    assert await amend(pool, *(reversed(lost) if backwards else lost)) == []
    assert await stored(pool) == [(at(1.5), 1, 100), (at(2.5), 2, 250), (at(3.5), 3, 100)]
    ride = await totals(pool)
    assert (ride["reading_count"], ride["total_power_watts"]) == (3, 450)
    assert ride != incomplete


async def test_a_last_line_that_comes_back_moves_the_end(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool)).take_to_the_end([*a_whole_ride(3), Marker()])
    assert await amend(pool, a_ride_line(4), a_telemetry_line(4.5)) == []
    ride = await totals(pool)
    assert (ride["ended_at"], ride["duration_s"], ride["reading_count"]) == (at(4.5), 4, 4)


async def test_lines_of_a_ride_in_progress_leave_it_in_progress(pool: asyncpg.Pool) -> None:
    partition = await ClaimedPartition.of(pool)
    await partition.take([*a_whole_ride(1), *a_second(3)])
    assert await amend(pool, *HALVES) == []
    assert (await totals(pool))["reading_count"] is None
    await partition.take_to_the_end([*a_second(4), Marker()])
    assert (await totals(pool))["reading_count"] == 4


async def test_lines_of_no_ride_are_refused(pool: asyncpg.Pool) -> None:
    await ride_without(pool)
    lines = [*a_second(2, began_s=-100), *a_second(2, began_s=100), an_announcement(500)]
    assert await amend(pool, *lines) == [RefusalReason.NO_RIDE] * 5
    assert len(await stored(pool)) == 3


async def test_lines_of_another_bike_touch_no_ride(pool: asyncpg.Pool) -> None:
    await ride_without(pool, *HALVES)
    assert await amend(pool, *HALVES, key=b"SN9999") == [RefusalReason.NO_RIDE] * 2


async def test_lines_without_a_key_touch_no_ride_of_another_partition(pool: asyncpg.Pool) -> None:
    other = await ClaimedPartition.of(pool, 1)
    await other.take([*seconds_of_a_ride(1, 1), *seconds_of_a_ride(3, 3)], key=None)
    assert await amend(pool, *HALVES, key=None) == [RefusalReason.NO_RIDE] * 2
    assert len(await stored(pool)) == 2


async def test_a_system_line_that_comes_back_names_the_rider(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool)).take_to_the_end([*seconds_of_a_ride(1, 3), Marker()])
    assert (await totals(pool))["rider_id"] is None
    assert await amend(pool, an_announcement(-0.5, rider=a_rider())) == []
    assert (await totals(pool))["rider_id"] == 7001
    assert await pool.fetchval("SELECT email FROM riders") == "ada@example.com"


async def test_a_system_line_does_not_rename_the_rider(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool)).take(a_whole_ride(3, rider=a_rider(7001)))
    await amend(pool, an_announcement(1, rider=a_rider(7002)))
    assert (await totals(pool))["rider_id"] == 7001


async def test_a_system_line_of_an_erased_rider_names_nobody(pool: asyncpg.Pool) -> None:
    await (await ClaimedPartition.of(pool)).take_to_the_end([*seconds_of_a_ride(1, 3), Marker()])
    await pool.execute("INSERT INTO erasures VALUES (7001, $1)", at(1000))
    assert await amend(pool, an_announcement(rider=a_rider())) == []
    assert (await totals(pool))["rider_id"] is None
    assert await pool.fetchval("SELECT count(*) FROM riders") == 0


async def test_a_system_line_of_a_simulated_rider_names_nobody_on_a_real_bike(
    pool: asyncpg.Pool,
) -> None:
    await (await ClaimedPartition.of(pool)).take_to_the_end([*seconds_of_a_ride(1, 3), Marker()])
    line = an_announcement(bike_serial="SANDBOX0001", rider=a_rider(FIRST_SANDBOX_RIDER_ID))
    assert await amend(pool, line) == [RefusalReason.OTHER_WORLD]
    assert (await totals(pool))["rider_id"] is None
    assert await pool.fetchval("SELECT count(*) FROM riders") == 0


async def test_what_was_completed_stays_complete_when_the_topic_is_read_again(
    pool: asyncpg.Pool,
) -> None:
    await ride_without(pool, HALVES[1])
    await amend(pool, HALVES[1])
    await pool.execute("UPDATE ingest_offsets SET next_offset = 0")
    await pool.execute("TRUNCATE ingest_streams")
    lines = [an_announcement(), *a_second(1), HALVES[0], *a_second(3), Marker()]
    await (await ClaimedPartition.of(pool)).take_to_the_end(lines)
    assert await amend(pool, HALVES[1]) == []
    assert await stored(pool) == [(at(1.5), 1, 100), (at(2.5), 2, 250), (at(3.5), 3, 100)]


async def test_totals_after_an_amendment_still_cover_a_clock_jump(pool: asyncpg.Pool) -> None:
    lines = [*a_whole_ride(1), *seconds_of_a_ride(2, 3, began_s=9 * 86_400), *a_second(4)]
    await (await ClaimedPartition.of(pool)).take_to_the_end([*lines, Marker()])
    assert (await totals(pool))["reading_count"] == 4
    await amend(pool, a_ride_line(5), a_telemetry_line(5.5))
    assert (await totals(pool))["reading_count"] == 5


async def test_lines_around_midnight_are_completed_too(pool: asyncpg.Pool) -> None:
    midnight_s = (14 * 60 + 45) * 60
    began_s = midnight_s - 2.25
    await pool.execute(
        "CREATE TABLE readings_20260303 PARTITION OF readings "
        "FOR VALUES FROM ('2026-03-03') TO ('2026-03-04')"
    )
    lines = [an_announcement(began_s), *a_second(1, began_s=began_s)]
    await (await ClaimedPartition.of(pool)).take_to_the_end(
        [*lines, a_ride_line(2, at_s=began_s + 2), *a_second(3, began_s=began_s), Marker()]
    )
    assert await amend(pool, a_telemetry_line(began_s + 2.5)) == []
    assert (await totals(pool))["reading_count"] == 3
    assert (await stored(pool))[1] == (at(midnight_s + 0.25), 2, 100)
