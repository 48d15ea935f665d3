"""Whoever shows or counts sees nothing of the canary's rows; who stores and mails sees all."""

import asyncio
from importlib import import_module

import asyncpg
import pytest

from deloton.migrate import migrate
from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
from deloton.rules.sandbox import FIRST_SANDBOX_RIDER_ID
from deloton.store.database import connect_pool
from deloton.store.star import refresh
from tests.roles import as_role

HIDDEN = ("bikes", "rides", "heart_rate_alerts")
SHOWING = ("api", "dashboard", "reporter")
MAY_NOT_ASK = {("reporter", "bikes"), ("hr_alerter", "bikes"), ("ingestor", "heart_rate_alerts")}


async def store_two_rides(database_url: str) -> None:
    """A ride of somebody's and one of the canary's, each with an alert."""
    owner = await asyncpg.connect(database_url)
    for rider_id, bike in ((1, "SN1"), (FIRST_CANARY_RIDER_ID + 3, CANARY_BIKE)):
        await owner.execute(
            "INSERT INTO riders (rider_id, gender, seen_at) VALUES ($1, 'unknown', now())", rider_id
        )
        await owner.execute("INSERT INTO bikes (serial) VALUES ($1)", bike)
        ride_id = await owner.fetchval(
            "INSERT INTO rides (rider_id, bike_serial, started_at, ended_at, end_reason, "
            "reading_count) VALUES ($1, $2, now() - interval '1 h', now(), 'silence', 1) "
            "RETURNING ride_id",
            rider_id,
            bike,
        )
        await owner.execute(
            "INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm, "
            "limit_bpm, limit_rule, state) "
            "VALUES ($1, $2, 'high', now(), 190, 150, 'x', 'pending')",
            ride_id,
            rider_id,
        )
    await owner.close()


async def counted(url: str, table: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))
    finally:
        await connection.close()


@pytest.mark.parametrize("role", SHOWING)
async def test_who_shows_sees_the_others_alone(database_url: str, role: str) -> None:
    await store_two_rides(database_url)
    for table in HIDDEN:
        if (role, table) not in MAY_NOT_ASK:
            assert await counted(as_role(database_url, role), table) == 1, table


@pytest.mark.parametrize("role", ["ingestor", "hr_alerter"])
async def test_who_stores_or_mails_sees_all(database_url: str, role: str) -> None:
    await store_two_rides(database_url)
    for table in HIDDEN:
        if (role, table) not in MAY_NOT_ASK:
            assert await counted(as_role(database_url, role), table) == 2, table


async def test_analysts_see_nothing_of_the_canary(database_url: str) -> None:
    await store_two_rides(database_url)
    pool = await connect_pool(as_role(database_url, "star_refresher"), size=1, application="test")
    await refresh(pool, "Europe/London")
    await pool.close()
    for view in ("fact_rides", "dim_bikes", "dim_riders"):
        assert await counted(database_url, f"analytics.{view}") == 1, view


# Two rides, the second of a simulated rider on a real bike, as a star of before has taken them up.
TAKEN_UP = f"""
INSERT INTO bikes (serial) VALUES ('SN1');
INSERT INTO riders (rider_id, gender, seen_at)
VALUES (1, 'unknown', now()), ({FIRST_SANDBOX_RIDER_ID}, 'unknown', now());
INSERT INTO rides (ride_id, rider_id, bike_serial, started_at) VALUES
    (1, 1, 'SN1', now()), (2, {FIRST_SANDBOX_RIDER_ID}, 'SN1', now() - interval '1 h');
INSERT INTO star_riders (rider_id, rider_key) SELECT rider_id, rider_id % 1000 FROM riders;
INSERT INTO star_rides (ride_id, bike_serial, started_at, started_local_at, started_on,
                        started_hour, reading_count, duration_s)
SELECT ride_id, bike_serial, started_at, started_at, started_at, 9, 1, 1 FROM rides;
"""


async def test_what_the_star_held_of_simulated_riders_on_real_bikes_goes(
    empty_database_url: str,
) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0044")
    owner = await asyncpg.connect(empty_database_url)
    await owner.execute(TAKEN_UP)
    await asyncio.to_thread(migrate, empty_database_url)
    assert [row[0] for row in await owner.fetch("SELECT ride_id FROM star_rides")] == [1]
    assert [row[0] for row in await owner.fetch("SELECT rider_id FROM star_riders")] == [1]
    assert await owner.fetchval("SELECT count(*) FROM rides") == 2
    for role in SHOWING:
        await owner.execute(f"SET ROLE {role}")
        assert await owner.fetchval("SELECT count(*) FROM rides") == 1, role
    await owner.close()


def test_the_migration_means_the_canary_that_the_rules_mean() -> None:
    migration = import_module("deloton.store.migrations.versions.0013_canary")
    assert (migration.BIKE, migration.FIRST_RIDER_ID) == (CANARY_BIKE, FIRST_CANARY_RIDER_ID)
