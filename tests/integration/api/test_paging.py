"""Ten thousand rides page by page while rides come and go."""

import asyncio
import random

import asyncpg
import pytest

from tests.integration.api.served import Served

MANY = """
INSERT INTO bikes SELECT 'many' || n FROM generate_series(0, 99) n;
INSERT INTO rides (bike_serial, started_at, ended_at, end_reason, energy_kj)
SELECT 'many' || n % 100, timestamptz '2025-01-01Z' + n / 100 * interval '1 min',
       timestamptz '2026-01-01Z', 'silence', n % 50
FROM generate_series(0, 9999) n
"""
ADDED = """
INSERT INTO rides (bike_serial, started_at, ended_at, end_reason, energy_kj)
VALUES ($1, timestamptz '2025-01-01Z' + $2 * interval '1 s', '2026-01-01Z', 'silence', $3)
"""


async def add_rides(served: Served, done: asyncio.Event) -> int:
    """Store rides everywhere among the others until told to end; return how many."""
    chance = random.Random(1)
    added = 0
    connection = await asyncpg.connect(served.database_url)
    while not done.is_set():
        second, energy_kj = chance.randrange(1, 6000) * 60 + 30.5, chance.randrange(50)
        await connection.execute(ADDED, "many0", second + added / 1e6, energy_kj)
        added += 1
    await connection.close()
    return added


@pytest.mark.parametrize("sort", ["-started_at", "started_at", "-energy_kj", "energy_kj"])
async def test_no_ride_is_missed_or_told_twice_while_rides_are_added(
    fresh: Served, sort: str
) -> None:
    await fresh.execute(MANY)
    rows = await fresh.execute("SELECT ride_id FROM rides WHERE bike_serial LIKE 'many%'")
    before = {row["ride_id"] for row in rows}
    done = asyncio.Event()
    adding = asyncio.create_task(add_rides(fresh, done))
    told: list[int] = []
    async with await fresh.client() as client:
        address = f"/v1/rides?limit=250&to=2026-02-01T00:00:00Z&sort={sort}"
        while address:
            page = (await client.get(address)).json()
            told += [ride["ride_id"] for ride in page["rides"]]
            address = page["next"]
    done.set()
    assert await adding > 30
    assert len(before) == 10_000
    assert len(told) == len(set(told))
    assert before <= set(told)


async def test_a_csv_of_many_rides_has_each_once(fresh: Served) -> None:
    await fresh.execute(MANY)
    async with await fresh.client(Accept="text/csv") as client:
        answer = await client.get("/v1/rides?to=2026-02-01T00:00:00Z")
    rides = [line.split(",")[0] for line in answer.text.splitlines()[1:]]
    assert len(rides) == len(set(rides)) == 10_000
