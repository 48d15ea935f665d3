"""A ride that has ended is packed: its series tells what its rows tell, bit by bit."""

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import pytest
import pytest_asyncio

from bike_simulator import FAULT_PRESETS, FaultRates, FleetPlan, simulate
from deloton.store.database import connect_pool
from deloton.store.series import LONGEST_PACKED, Waiting, pack_rides, waiting_rides
from tests.oracle.straightforward import Expected, RawMessage, expected_rows, read_streams

START_AT: Final = datetime(2026, 3, 2, 7, tzinfo=UTC)
COLUMNS: Final = (
    "ride_id, at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts, "
    # -0 is not 0, though they are equal.
    "elapsed_s::text AS told_elapsed, power_watts::text AS told_power"
)
# What either has that the other has not.
_DIFFERENCES: Final = f"""
(SELECT 'lost', {COLUMNS} FROM readings EXCEPT ALL SELECT 'lost', {COLUMNS} FROM packed_readings)
UNION ALL
(SELECT 'made up', {COLUMNS} FROM packed_readings
 EXCEPT ALL SELECT 'made up', {COLUMNS} FROM readings)
"""

# at, elapsed_s, heart_rate_bpm, cadence_rpm, resistance, power_watts
Row = tuple[datetime, float | None, int | None, int | None, int | None, float | None]


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to a database without a row."""
    async with await connect_pool(database_url, size=4, application="tests") as pool:
        yield pool


async def store_ride(pool: asyncpg.Pool, readings: Sequence[Row], bike: str = "SN0") -> int:
    """Store a ride that has ended, with its readings."""
    begun_at = readings[0][0] if readings else START_AT
    await pool.execute("INSERT INTO bikes VALUES ($1) ON CONFLICT DO NOTHING", bike)
    ride_id: int = await pool.fetchval(
        "INSERT INTO rides (bike_serial, started_at) VALUES ($1, $2) RETURNING ride_id",
        *(bike, begun_at),
    )
    rows = [(ride_id, *reading) for reading in readings]
    async with pool.acquire() as connection:
        await connection.copy_records_to_table("readings", records=rows)
    await end_ride(pool, ride_id)
    return ride_id


async def end_ride(pool: asyncpg.Pool, ride_id: int) -> None:
    """End a ride as the ingestor does, for the first time or again."""
    await pool.execute(
        "UPDATE rides SET ended_at = $2, end_reason = 'silence', reading_count = "
        "(SELECT count(*) FROM readings WHERE readings.ride_id = rides.ride_id) "
        "WHERE ride_id = $1",
        *(ride_id, START_AT + timedelta(hours=1)),
    )


async def pack_all(pool: asyncpg.Pool) -> None:
    """Pack until nothing waits."""
    while await pack_rides(pool, ended_for_s=0):
        pass
    assert (await waiting_rides(pool)).ride_count == 0


async def differences(pool: asyncpg.Pool) -> list[dict[str, Any]]:
    """What the packed rides tell otherwise than the rows."""
    return [dict(row) for row in await pool.fetch(_DIFFERENCES)]


def a_feed(bikes: int, hours: float, faults: FaultRates) -> Expected:
    """What must be stored of a fleet's lines."""
    plan = FleetPlan(
        START_AT,
        bikes,
        until_at=START_AT + timedelta(hours=hours),
        faults=faults,
        broken_power_sensors=1,
        firmwares=("mendoza v9", "mendoza v10"),
    )
    messages = (
        RawMessage(0, offset, bike, value) for offset, (bike, value, _) in enumerate(simulate(plan))
    )
    return expected_rows(read_streams(list(messages)), waited=True)


def a_second(number: int, **changes: Any) -> Row:  # noqa: ANN401
    """A reading of a ride that began at `START_AT`."""
    told = {
        "at": START_AT + timedelta(seconds=number, microseconds=40 * number),
        "elapsed_s": float(number),
        "heart_rate_bpm": 120,
        "cadence_rpm": 60,
        "resistance": 30,
        "power_watts": 27.5,
        **changes,
    }
    return tuple(told.values())


@pytest.mark.parametrize("faults", ["none", "light", "heavy"])
async def test_a_fleets_readings_come_back_to_the_bit(pool: asyncpg.Pool, faults: str) -> None:
    expected = a_feed(6, 0.5, FAULT_PRESETS[faults])
    for (bike, _), readings in expected.readings.items():
        rows = [
            (r.at, r.elapsed_s, r.heart_rate_bpm, r.cadence_rpm, r.resistance, r.power_watts)
            for r in readings
        ]
        await store_ride(pool, rows, bike)
    await pack_all(pool)
    packed = await pool.fetchval("SELECT sum(reading_count) FROM ride_series")
    assert packed == sum(map(len, expected.readings.values()))
    assert await differences(pool) == []


SEEN = [a_second(number) for number in range(1, 100)]
ODD_RIDES: dict[str, Iterable[Row]] = {
    "a single reading": [a_second(1)],
    "two readings": [a_second(1), a_second(2)],
    "nothing but stamps": [
        (a_second(number)[0], None, None, None, None, None) for number in range(1, 9)
    ],
    "a power that no bike gives": [*SEEN, a_second(100, power_watts=1_485.4)],
    "no power where others had one": [*SEEN, a_second(100, power_watts=None)],
    "no cadence": [*SEEN, a_second(100, cadence_rpm=None)],
    "powers of all kinds": [
        a_second(number, power_watts=watts, cadence_rpm=number % 3)
        for number, watts in enumerate(
            [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308, None, 0.1 + 0.2, -1.0]
        )
    ],
    "a power of zero, of either sign": [
        a_second(number, power_watts=0.0 if number % 3 else -0.0, cadence_rpm=0)
        for number in range(50)
    ],
    "counts that are not whole": [a_second(number, elapsed_s=number + 0.5) for number in range(9)],
    "counts of all kinds": [
        a_second(number, elapsed_s=count)
        for number, count in enumerate([-0.0, 0.0, 1e300, math.nan, math.inf, None, -7.0, 3.25])
    ],
    "a zero below zero among whole counts": [a_second(1), a_second(2, elapsed_s=-0.0), a_second(3)],
    "counts that begin again": [
        a_second(number, elapsed_s=number % 5 + 1.0) for number in range(20)
    ],
    "a count taken up in mid-ride": [
        a_second(number, elapsed_s=number + 300.0) for number in range(20)
    ],
    "the widest values of each column": [
        a_second(1, heart_rate_bpm=32_767, cadence_rpm=32_767, resistance=-32_768),
        a_second(2, heart_rate_bpm=-32_768, cadence_rpm=-32_768, resistance=32_767),
    ],
    "a pause of an hour": [*SEEN, a_second(3_700)],
    "a clock that jumps by a year, and back by a day": [
        *SEEN,
        a_second(200, at=START_AT + timedelta(days=365)),
        a_second(201, at=START_AT - timedelta(days=1)),
    ],
    "readings a microsecond apart": [
        a_second(number, at=START_AT + timedelta(microseconds=number)) for number in range(300)
    ],
    "steps of every size": [
        a_second(number, at=START_AT + timedelta(microseconds=3**number)) for number in range(32)
    ],
    "steps that differ by what a byte holds, and by one more": [
        a_second(number, at=START_AT + timedelta(microseconds=micros))
        for number, micros in enumerate(
            [0, 10**6, 2 * 10**6, 3 * 10**6 + 127, 4 * 10**6 + 255, 5 * 10**6 + 127, 6 * 10**6 - 2]
        )
    ],
    "steps that differ by what two bytes hold, and by one more": [
        a_second(number, at=START_AT + timedelta(microseconds=micros))
        for number, micros in enumerate(
            [
                0,
                10**6,
                2 * 10**6,
                3 * 10**6 + 32_639,
                4 * 10**6 + 65_279,
                5 * 10**6 + 32_383,
                6 * 10**6 - 514,
            ]
        )
    ],
}


@pytest.mark.parametrize("readings", ODD_RIDES.values(), ids=ODD_RIDES)
async def test_whatever_a_column_holds_comes_back(
    pool: asyncpg.Pool, readings: Iterable[Row]
) -> None:
    # A ride before it tells which power belongs to which cadence.
    await store_ride(pool, SEEN, "SN1")
    await pack_all(pool)
    rows = list(readings)
    ride_id = await store_ride(pool, rows)
    await pack_all(pool)
    assert await differences(pool) == []
    count = await pool.fetchval("SELECT reading_count FROM ride_series WHERE ride_id = $1", ride_id)
    assert count == len(rows)


async def test_powers_of_a_broken_sensor_are_learnt_by_nobody(pool: asyncpg.Pool) -> None:
    await store_ride(pool, [a_second(number, power_watts=900.0) for number in range(1, 50)])
    await pack_all(pool)
    assert await pool.fetchval("SELECT count(*) FROM bike_powers") == 0
    assert await differences(pool) == []


async def test_a_packed_ride_is_told_once_and_so_is_one_that_is_not(pool: asyncpg.Pool) -> None:
    packed = await store_ride(pool, SEEN)
    await pack_all(pool)
    waiting = await store_ride(pool, SEEN[:7], "SN1")
    counts = await pool.fetch("SELECT ride_id, count(*) FROM ride_readings GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in counts] == [(packed, 99), (waiting, 7)]
    for ride_id, count in counts:
        of_ride = "SELECT count(*) FROM readings_of($1, $2, 'infinity')"
        assert await pool.fetchval(of_ride, ride_id, START_AT) == count


async def test_a_ride_too_long_to_be_packed_stays_as_rows(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, [a_second(number) for number in range(LONGEST_PACKED + 1)])
    await pack_all(pool)
    assert await pool.fetchval("SELECT refused FROM rides_to_pack") == "too long, or incomplete"
    assert await pool.fetchval("SELECT count(*) FROM ride_series") == 0
    told = await pool.fetchval(
        "SELECT count(*) FROM readings_of($1, $2, 'infinity')", ride_id, START_AT
    )
    assert told == LONGEST_PACKED + 1


async def test_a_ride_that_cannot_be_packed_holds_up_nobody_and_says_why(
    pool: asyncpg.Pool,
) -> None:
    packed = [await store_ride(pool, SEEN, f"SN{number}") for number in range(3)]
    culprit = await store_ride(pool, SEEN, "SN7")
    await pool.execute("INSERT INTO readings (ride_id, at) VALUES ($1, 'infinity')", culprit)
    packed += [await store_ride(pool, SEEN, f"SN1{number}") for number in range(3)]
    await pack_all(pool)
    assert await waiting_rides(pool) == Waiting(ride_count=0, refused_count=1)
    [refused] = await pool.fetch("SELECT ride_id, refused FROM rides_to_pack")
    assert tuple(refused) == (culprit, "bigint out of range")
    found = await pool.fetch("SELECT ride_id FROM ride_series ORDER BY 1")
    assert [ride_id for (ride_id,) in found] == packed


async def test_a_ride_that_could_not_be_packed_is_tried_again_once_it_changes(
    pool: asyncpg.Pool,
) -> None:
    ride_id = await store_ride(pool, SEEN)
    await pool.execute("INSERT INTO readings (ride_id, at) VALUES ($1, 'infinity')", ride_id)
    await pack_all(pool)
    await pool.execute("DELETE FROM readings WHERE at = 'infinity'")
    await end_ride(pool, ride_id)
    await pack_all(pool)
    assert await waiting_rides(pool) == Waiting(ride_count=0, refused_count=0)
    assert await differences(pool) == []


async def test_a_ride_that_ends_anew_is_packed_anew(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, SEEN)
    await pack_all(pool)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO readings VALUES ($1, $2)", ride_id, START_AT + timedelta(minutes=9)
        )
        await connection.execute("UPDATE rides SET ended_at = ended_at WHERE ride_id = $1", ride_id)
        assert await connection.fetchval("SELECT count(*) FROM ride_series") == 0
    await pack_all(pool)
    assert await pool.fetchval("SELECT reading_count FROM ride_series") == len(SEEN) + 1
    assert await differences(pool) == []


async def test_a_ride_that_goes_on_is_not_packed(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, SEEN)
    await pack_all(pool)
    resume = "UPDATE rides SET ended_at = NULL, end_reason = NULL WHERE ride_id = $1"
    await pool.execute(resume, ride_id)
    assert await pool.fetchval("SELECT count(*) FROM ride_series") == 0
    assert await pool.fetchval("SELECT count(*) FROM rides_to_pack") == 0
    assert await pack_rides(pool, ended_for_s=0) == 0
    await end_ride(pool, ride_id)
    await pack_all(pool)
    assert await differences(pool) == []


async def test_a_ride_that_somebody_is_changing_waits(pool: asyncpg.Pool) -> None:
    changing = await store_ride(pool, SEEN)
    other = await store_ride(pool, SEEN[:7], "SN1")
    async with pool.acquire() as connection, connection.transaction():
        late = START_AT + timedelta(minutes=9)
        await connection.execute("INSERT INTO readings VALUES ($1, $2)", changing, late)
        await connection.execute(
            "UPDATE rides SET ended_at = $2 WHERE ride_id = $1", changing, late
        )
        assert await pack_rides(pool, ended_for_s=0) == 1
        assert await pool.fetchval("SELECT ride_id FROM ride_series") == other
    await pack_all(pool)
    assert await differences(pool) == []


async def test_who_changes_a_ride_waits_for_who_packs_it(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, SEEN)
    change = "UPDATE rides SET ended_at = ended_at WHERE ride_id = $1"
    async with pool.acquire() as packing, packing.transaction():
        await packing.fetch("SELECT FROM rides WHERE ride_id = $1 FOR SHARE", ride_id)
        async with pool.acquire() as changing:
            await changing.execute("SET lock_timeout = '50ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await changing.execute(change, ride_id)
            await changing.execute("RESET lock_timeout")
    await pack_all(pool)
    await pool.execute(change, ride_id)
    assert await pool.fetchval("SELECT count(*) FROM ride_series") == 0
    await pack_all(pool)
    assert await differences(pool) == []


async def interrupted(pool: asyncpg.Pool) -> None:
    """Pack, and have the session that does it ended in the midst of it."""
    packing = asyncio.create_task(pack_rides(pool, ended_for_s=0))
    end = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks "
        "WHERE relation = 'ride_series'::regclass AND NOT granted"
    )
    while not packing.done():
        await pool.fetch(end)
        await asyncio.sleep(0.02)
    await packing


async def test_what_is_interrupted_leaves_rides_waiting(pool: asyncpg.Pool) -> None:
    await store_ride(pool, SEEN)
    async with pool.acquire() as holding, holding.transaction():
        await holding.execute("LOCK TABLE ride_series IN SHARE MODE")
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
            await interrupted(pool)
    assert await pool.fetchval("SELECT count(*) FROM rides_to_pack") == 1
    assert await pool.fetchval("SELECT count(*) FROM ride_series") == 0
    await pack_all(pool)
    assert await differences(pool) == []


async def test_series_go_with_their_rides(pool: asyncpg.Pool) -> None:
    ride_id = await store_ride(pool, SEEN)
    await pack_all(pool)
    waiting = await store_ride(pool, SEEN, "SN1")
    await pool.execute("DELETE FROM rides WHERE ride_id = ANY($1)", [ride_id, waiting])
    assert await pool.fetchval("SELECT count(*) FROM ride_series") == 0
    assert await pool.fetchval("SELECT count(*) FROM rides_to_pack") == 0


async def test_rides_that_ended_just_now_are_left_alone(pool: asyncpg.Pool) -> None:
    await store_ride(pool, SEEN)
    assert await pack_rides(pool, ended_for_s=3_600) == 0
    assert await pack_rides(pool, ended_for_s=0) == 1
