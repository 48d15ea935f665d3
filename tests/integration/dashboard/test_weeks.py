"""Weeks begin on the company's Monday, where the clocks change the day before too."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from dashboard.database import Database
from dashboard.queries import Queries
from dashboard.sharing import SharedAnswers
from deloton.store.database import is_transient
from tests.roles import as_role

# Midnights in London: the one of 30 March comes 23 hours after the day's, that of 26 October 25.
MONDAYS = (datetime(2026, 3, 29, 23, tzinfo=UTC), datetime(2026, 10, 26, tzinfo=UTC))


@pytest.fixture
def queries(database_url: str) -> Iterator[Queries]:
    database = Database(as_role(database_url, "dashboard"))
    yield Queries(database, SharedAnswers(lambda: datetime.now(UTC), is_transient), "Europe/London")
    database.close()


async def test_a_week_ends_where_the_companys_monday_begins(
    queries: Queries, database_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    for number, monday in enumerate(MONDAYS):
        for serial, at in (("A", monday - timedelta(seconds=1)), ("B", monday)):
            await connection.execute("INSERT INTO bikes VALUES ($1)", f"{serial}{number}")
            await connection.execute(
                "INSERT INTO rides (bike_serial, started_at) VALUES ($1, $2)",
                *(f"{serial}{number}", at),
            )
    await connection.close()
    weeks = queries.weeks().rows
    assert [
        (str(week), rides) for week, rides in zip(weeks["week"], weeks["rides"], strict=True)
    ] == [
        ("2026-03-23", 1),
        ("2026-03-30", 1),
        ("2026-10-19", 1),
        ("2026-10-26", 1),
    ]
