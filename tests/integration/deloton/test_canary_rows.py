"""Whoever shows or counts sees nothing of the canary's rows; who stores and mails sees all."""

from importlib import import_module

import asyncpg
import pytest

from deloton.rules.canary import CANARY_BIKE, FIRST_CANARY_RIDER_ID
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


def test_the_migration_means_the_canary_that_the_rules_mean() -> None:
    migration = import_module("deloton.store.migrations.versions.0013_canary")
    assert (migration.BIKE, migration.FIRST_RIDER_ID) == (CANARY_BIKE, FIRST_CANARY_RIDER_ID)
