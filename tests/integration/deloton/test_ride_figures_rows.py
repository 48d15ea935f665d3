"""The figures of rides, on rows in a real PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import Executable, RowMapping, insert
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from deloton.store import ride_figures
from deloton.store.ride_readings import near, readings_of
from deloton.store.tables import bikes, readings, riders, rides
from deloton.testing import BIKE, START_AT, at

RIDER_ID = 7001


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[AsyncConnection]:
    """A connection to a database with one bike and one rider."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database_url)
    )
    async with engine.connect() as connection:
        await connection.execute(insert(bikes).values(serial=BIKE))
        await connection.execute(
            insert(riders).values(rider_id=RIDER_ID, gender="female", seen_at=START_AT)
        )
        yield connection
    await engine.dispose()


async def store_ride(connection: AsyncConnection, started_s: float = 0, **totals: object) -> int:
    """Store a ride; it has ended where totals are given."""
    values: dict[str, Any] = {"rider_id": RIDER_ID, "bike_serial": BIKE, **totals}
    if totals.keys() - {"rider_id"}:
        values |= {"ended_at": at(started_s + 60), "end_reason": "silence"}
    query = insert(rides).values(started_at=at(started_s), **values).returning(rides.c.ride_id)
    ride_id: int = (await connection.execute(query)).scalar_one()
    return ride_id


async def store_readings(
    connection: AsyncConnection,
    ride_id: int,
    powers: Sequence[float | None],
    *,
    started_s: float = 0,
    heart_rates: Sequence[int | None] | None = None,
) -> None:
    """Store a reading a second; a power of None leaves the second out."""
    rows = [
        {
            "ride_id": ride_id,
            # As bikes send them: a little more than a second apart.
            "at": at(started_s + second * 1.00004),
            "power_watts": power,
            "heart_rate_bpm": heart_rates[second] if heart_rates else 120,
        }
        for second, power in enumerate(powers)
        if power is not None
    ]
    await connection.execute(insert(readings), rows)


async def rows_of(connection: AsyncConnection, query: Executable) -> Sequence[RowMapping]:
    """What a select gives."""
    result = await connection.execute(query)
    return list(result.mappings())


async def curve_of(connection: AsyncConnection, ride_id: int) -> dict[int, object]:
    """The best mean power of a ride by its span in seconds, to compare with what is expected."""
    query = ride_figures.best_mean_powers(rides.c.ride_id == ride_id)
    rows = await rows_of(connection, query)
    return {row["span_s"]: pytest.approx(row["power_watts"]) for row in rows}


async def test_the_best_mean_power_is_that_of_the_best_seconds_in_a_row(
    connection: AsyncConnection,
) -> None:
    ride_id = await store_ride(connection)
    await store_readings(connection, ride_id, [100.0] * 40 + [600.0] * 10 + [100.0] * 250)
    assert await curve_of(connection, ride_id) == {
        5: 600.0,
        20: (10 * 600 + 10 * 100) / 20,
        60: (10 * 600 + 50 * 100) / 60,
        300: (10 * 600 + 290 * 100) / 300,
    }


async def test_a_ride_that_is_too_short_has_no_best_for_the_span(
    connection: AsyncConnection,
) -> None:
    ride_id = await store_ride(connection)
    await store_readings(connection, ride_id, [200.0] * 20)
    assert await curve_of(connection, ride_id) == {5: 200.0, 20: 200.0}
    short = await store_ride(connection, 1000)
    await store_readings(connection, short, [200.0] * 19)
    assert await curve_of(connection, short) == {5: 200.0}


async def test_lost_seconds_cost_a_short_best_but_not_a_long_one(
    connection: AsyncConnection,
) -> None:
    ride_id = await store_ride(connection)
    await store_readings(connection, ride_id, [200.0, 200.0, None] + [200.0] * 17)
    best = ride_figures.best_mean_powers(rides.c.ride_id == ride_id, [5, 20])
    five, twenty = await rows_of(connection, best)
    assert (five["ended_at"] - START_AT) >= timedelta(seconds=7)
    assert twenty["power_watts"] == pytest.approx(200.0)


async def test_efforts_do_not_reach_from_one_ride_into_the_next(
    connection: AsyncConnection,
) -> None:
    for number in range(3):
        ride_id = await store_ride(connection, number * 4)
        await store_readings(connection, ride_id, [500.0] * 4, started_s=number * 4)
    which = (rides.c.rider_id == RIDER_ID) & (rides.c.started_at >= START_AT)
    assert await rows_of(connection, ride_figures.best_mean_powers(which)) == []


async def test_a_riders_best_names_its_ride(connection: AsyncConnection) -> None:
    weak, strong, old = [await store_ride(connection, start) for start in (0, 100, -9999)]
    await store_readings(connection, weak, [100.0] * 5)
    await store_readings(connection, strong, [300.0] * 5, started_s=100)
    await store_readings(connection, old, [900.0] * 5, started_s=-9999)
    which = (rides.c.rider_id == RIDER_ID) & (rides.c.started_at >= START_AT)
    [best] = await rows_of(connection, ride_figures.best_mean_powers(which))
    assert (best["ride_id"], best["span_s"], best["power_watts"]) == (
        strong,
        5,
        pytest.approx(300.0),
    )


async def test_seconds_are_counted_by_heart_rate(connection: AsyncConnection) -> None:
    ride_id = await store_ride(connection)
    rates = [None, 120, 120, 130]
    await store_readings(connection, ride_id, [1.0] * 4, heart_rates=rates)
    rows = await rows_of(
        connection, ride_figures.heart_rate_seconds(readings_of(ride_id, near(START_AT)))
    )
    assert {row["heart_rate_bpm"]: row["seconds"] for row in rows} == {None: 1, 120: 2, 130: 1}


async def test_of_equal_bests_the_first_ride_counts_and_live_rides_do_not(
    connection: AsyncConnection,
) -> None:
    first = await store_ride(connection, 0, energy_kj=50.0, max_heart_rate_bpm=150)
    await store_ride(connection, 100, energy_kj=50.0)
    await store_ride(connection, 200)
    rows = await rows_of(connection, ride_figures.personal_bests(RIDER_ID))
    assert {row["metric"]: (row["value"], row["ride_id"]) for row in rows} == {
        "energy_kj": (50.0, first),
        "max_heart_rate_bpm": (150.0, first),
    }


async def test_totals_of_a_span_weigh_means_by_readings(connection: AsyncConnection) -> None:
    await store_ride(
        connection, 0, reading_count=10, mean_power_watts=100.0, total_power_watts=1000.0
    )
    await store_ride(
        connection,
        100,
        rider_id=None,
        reading_count=30,
        mean_power_watts=200.0,
        total_power_watts=6000.0,
        mean_heart_rate_bpm=140.0,
    )
    await store_ride(connection, 200)
    await store_ride(connection, 300, reading_count=99, mean_power_watts=999.0)
    [totals] = await rows_of(connection, ride_figures.ride_totals(START_AT, at(300)))
    assert (totals["ride_count"], totals["live_ride_count"]) == (3, 1)
    assert (totals["rider_count"], totals["ride_count_without_rider"]) == (1, 1)
    assert totals["mean_power_watts"] == 175.0
    assert totals["total_power_watts"] == 7000.0
    assert totals["mean_heart_rate_bpm"] == 140.0
    genders = await rows_of(connection, ride_figures.ride_totals_by_gender(START_AT, at(300)))
    assert [(row["gender"], row["ride_count"]) for row in genders] == [
        ("female", 2),
        ("unknown", 1),
    ]


async def test_a_day_without_rides_adds_up_to_nothing(connection: AsyncConnection) -> None:
    [totals] = await rows_of(connection, ride_figures.ride_totals(START_AT, at(300)))
    assert (totals["ride_count"], totals["total_power_watts"]) == (0, 0)
    assert totals["mean_power_watts"] is None


async def test_rides_in_progress_come_with_their_last_reading_or_none(
    connection: AsyncConnection,
) -> None:
    riding = await store_ride(connection)
    await store_readings(connection, riding, [10.0, 20.0, 30.0])
    announced = await store_ride(connection, 5, rider_id=None)
    await store_ride(connection, 9, energy_kj=1.0)
    for now in (START_AT, START_AT + timedelta(days=90)):
        query = ride_figures.with_last_reading(ride_figures.open_rides().cte("open_ones"))
        rows = await rows_of(connection, query.params(**ride_figures.recent_bounds(now)))
        assert sorted((row["ride_id"], row["power_watts"], row["gender"]) for row in rows) == [
            (riding, 30.0, "female"),
            (announced, None, None),
        ]
