"""What the API groups by the company's days, on both days on which the clocks change."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from demo.guardian import Guardian
from tests.integration.api.served import Served, ids_of, serve, written

AN_HOUR = timedelta(hours=1)
# Each with its first moment in UTC, and how many hours it has.
DAYS = [
    (date(2026, 3, 29), datetime(2026, 3, 29, tzinfo=UTC), 23),
    (date(2026, 10, 25), datetime(2026, 10, 24, 23, tzinfo=UTC), 25),
]


@pytest_asyncio.fixture
async def stored(database_url: str) -> str:
    """A ride and an alert at each full hour from the one before each of the days to the one after.

    Ride n is rider n's, with a highest power of n watts.
    """
    connection = await asyncpg.connect(database_url)
    try:
        ride_id = 0
        for _, begins_at, hours in DAYS:
            for number in range(-1, hours + 1):
                ride_id += 1
                await store_hour(connection, ride_id, begins_at + number * AN_HOUR)
    finally:
        await connection.close()
    return database_url


async def store_hour(connection: asyncpg.Connection, number: int, at: datetime) -> None:
    await connection.execute("INSERT INTO bikes VALUES ($1)", f"SN{number}")
    await connection.execute(
        "INSERT INTO riders (rider_id, gender, seen_at) VALUES ($1, 'other', now())", number
    )
    await connection.execute(
        "INSERT INTO rides (ride_id, rider_id, bike_serial, started_at, ended_at, end_reason, "
        "reading_count, duration_s, max_power_watts) "
        "VALUES ($1::bigint, $1, $2, $3::timestamptz, $3 + interval '100 s', 'silence', 100, 100, "
        "$1::bigint)",
        *(number, f"SN{number}", at),
    )
    await connection.execute(
        "INSERT INTO heart_rate_alerts (ride_id, rider_id, level, measured_at, heart_rate_bpm, "
        "limit_bpm, limit_rule, state, settled_at) "
        "VALUES ($1, $1, 'high', $2, 180, 150, 'rule', 'sent', now())",
        *(number, at),
    )


@pytest.fixture
def served(guardian: Guardian, stored: str, tmp_path: Path) -> Iterator[Served]:
    with serve(guardian, stored, tmp_path) as served:
        yield served


async def test_a_day_holds_its_own_hours_and_no_other_in_every_answer(served: Served) -> None:
    last = 0
    async with await served.client() as client:

        async def get(path: str, **parameters: object) -> Any:  # noqa: ANN401  JSON
            answer = await client.get(path, params=written(parameters))
            assert answer.status_code == 200, answer.text
            return answer.json()

        for day, begins_at, hours in DAYS:
            first, last = last + 2, last + 1 + hours
            daily = await get("/v1/daily", date=day)
            assert daily["ride_count"] == hours
            span = (begins_at, begins_at + hours * AN_HOUR)
            assert [daily["from_at"], daily["to_at"]] == [f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in span]
            ridden = await ids_of(client, "/v1/rides", date=day, sort="started_at")
            assert ridden == list(range(first, last + 1))
            alerts = (await get("/v1/alerts", date=day))["alerts"]
            assert [alert["ride_id"] for alert in alerts] == ridden[::-1]
            board = await get("/v1/leaderboard", period="day", date=day, limit=100)
            assert [leader["ride_id"] for leader in board["leaders"]] == ridden[::-1]
            # The day is a Sunday: the week ends with it, and its month goes on.
            board = await get("/v1/leaderboard", period="week", date=day, limit=1)
            assert board["leaders"][0]["ride_id"] == last
            board = await get("/v1/leaderboard", period="month", date=day, limit=1)
            assert board["leaders"][0]["ride_id"] == last + 1
            last += 1
