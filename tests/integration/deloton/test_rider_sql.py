"""A rider's age, name and gender in SQL are those of the shared rules."""

import random
from datetime import date, timedelta

import asyncpg

from deloton.rules.calendar import known_age_on
from deloton.store.rider_sql import GENDER, NAME, age_in_ride, age_years

BIRTHDAYS = [
    (date(2023, 2, 28), date(2000, 2, 29)),
    (date(2023, 3, 1), date(2000, 2, 29)),
    (date(2024, 2, 29), date(2000, 2, 29)),
    (date(2024, 2, 29), date(2001, 3, 1)),
    (date(2026, 3, 2), date(2021, 3, 2)),
    (date(2026, 3, 2), date(2021, 3, 3)),
    (date(2026, 3, 2), date(1916, 3, 2)),
    (date(2026, 3, 2), date(1915, 3, 2)),
    (date(2026, 3, 2), date(2027, 1, 1)),
]


async def test_an_age_is_that_of_the_shared_rule(database_url: str) -> None:
    dice = random.Random(7)
    pairs = BIRTHDAYS + [
        (
            date(2020, 1, 1) + timedelta(days=dice.randrange(3_000)),
            date(1900, 1, 1) + timedelta(days=dice.randrange(45_000)),
        )
        for _ in range(5_000)
    ]
    connection = await asyncpg.connect(database_url)
    found = await connection.fetch(
        f"SELECT {age_years('riders.day')} AS age FROM unnest($1::date[], $2::date[]) "
        "AS riders (day, born_on)",
        *zip(*pairs, strict=True),
    )
    await connection.close()
    ages = [known_age_on(day, born_on) for day, born_on in pairs]
    assert [row["age"] for row in found] == ages
    assert {5, 110, None} <= {*ages}


async def test_a_rider_is_as_old_in_a_ride_as_on_the_companys_day_of_its_start(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(database_url)
    ages = [
        await connection.fetchval(
            f"SELECT {age_in_ride('$1')} FROM (VALUES (timestamptz '2026-07-01 23:30Z')) "
            "AS rides (started_at), (VALUES (date '1996-07-02')) AS riders (born_on)",
            zone,
        )
        for zone in ("UTC", "Europe/London")
    ]
    await connection.close()
    assert ages == [29, 30]


async def test_of_a_rider_whom_nobody_knows_name_and_gender_are_told_as_unknown(
    database_url: str,
) -> None:
    connection = await asyncpg.connect(database_url)
    [row] = await connection.fetch(
        f"SELECT {NAME} AS name, {GENDER} AS gender, {age_years('current_date')} AS age "
        "FROM (SELECT 1) AS one LEFT JOIN riders ON false"
    )
    await connection.close()
    assert tuple(row) == ("", "unknown", None)
