"""Who leads, each rider once, on rows in a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import date

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import FromClause, select, true
from sqlalchemy.dialects.postgresql import asyncpg as postgresql

from deloton.rules.figures import LEADERS
from deloton.store.leaders import Ages, leaders_between, leaders_since_ever
from deloton.store.tables import rides
from deloton.testing import BIKE, START_AT, at

ZONE = "Europe/London"


@pytest_asyncio.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database with one bike."""
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO bikes VALUES ($1)", BIKE)
    yield connection
    await connection.close()


async def store_rides(
    connection: asyncpg.Connection, rider_id: int, *powers: float, born_on: date | None = None
) -> None:
    await connection.execute(
        "INSERT INTO riders (rider_id, gender, born_on, seen_at) VALUES ($1, 'female', $2, now())",
        rider_id,
        born_on,
    )
    first = await connection.fetchval("SELECT count(*) FROM rides")
    await connection.executemany(
        "INSERT INTO rides (rider_id, bike_serial, started_at, max_power_watts) "
        "VALUES ($1, $2, $3, $4)",
        [(rider_id, BIKE, at(n * 1000), power) for n, power in enumerate(powers, first)],
    )


async def leaders(connection: asyncpg.Connection, best: FromClause) -> list[tuple[int, float]]:
    ordered = select(best).order_by(best.c.value.desc(), best.c.ride_id.desc())
    compiled = ordered.compile(dialect=postgresql.dialect())  # type: ignore[no-untyped-call]
    values = [compiled.params[name] for name in compiled.positiontup or []]
    rows = await connection.fetch(str(compiled), *values)
    return [(row["rider_id"], row["value"]) for row in rows]


async def test_a_rider_with_hundreds_of_the_best_rides_leads_once_and_hides_nobody(
    connection: asyncpg.Connection,
) -> None:
    await store_rides(connection, 1, *range(1000, 1600))
    await store_rides(connection, 2, 500.0, 400.0)
    expected = [(1, 1599.0), (2, 500.0)]
    assert await leaders(connection, leaders_since_ever("max_power_watts", 10)) == expected
    assert await leaders(connection, leaders_between("max_power_watts", true(), 10)) == expected


async def test_of_equal_rides_the_newer_leads_and_no_more_lead_than_are_asked_for(
    connection: asyncpg.Connection,
) -> None:
    for rider_id in (1, 2, 3):
        await store_rides(connection, rider_id, 500.0)
    assert await leaders(connection, leaders_since_ever("max_power_watts", 2)) == [
        (3, 500.0),
        (2, 500.0),
    ]


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ((None, None), [1, 2, 3, 4]),
        ((None, 24), [1]),
        ((25, 34), [2]),
        ((35, None), [3]),
    ],
)
async def test_leaders_of_an_age_are_as_old_as_on_the_day_of_their_ride(
    connection: asyncpg.Connection, ages: Ages, expected: list[int]
) -> None:
    birthday = START_AT.date().replace(year=START_AT.year - 25)
    next_day = birthday.replace(day=birthday.day + 1)
    for rider_id, born_on in enumerate([next_day, birthday, date(1980, 1, 1), None], 1):
        await store_rides(connection, rider_id, 900.0 - rider_id, born_on=born_on)
    best = leaders_since_ever("max_power_watts", 10, ages=ages, time_zone=ZONE)
    assert [rider_id for rider_id, _ in await leaders(connection, best)] == expected


async def test_only_rides_of_the_span_and_of_known_riders_lead(
    connection: asyncpg.Connection,
) -> None:
    await store_rides(connection, 1, 900.0, 300.0)
    await connection.execute(
        "INSERT INTO rides (bike_serial, started_at, max_power_watts) VALUES ($1, $2, 999)",
        BIKE,
        at(5),
    )
    span = rides.c.started_at > START_AT
    assert await leaders(connection, leaders_between("max_power_watts", span, 10)) == [(1, 300.0)]
    assert await leaders(connection, leaders_since_ever("max_power_watts", 9)) == [(1, 900.0)]


def test_nobody_leads_in_what_has_no_index() -> None:
    assert "mean_heart_rate_bpm" not in LEADERS
    with pytest.raises(ValueError, match="no leaders are kept by 'mean_heart_rate_bpm'"):
        leaders_since_ever("mean_heart_rate_bpm", 3)
