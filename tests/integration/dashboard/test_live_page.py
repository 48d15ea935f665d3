"""The live page's questions on a real PostgreSQL, and the page on their answers."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard.sources import queries

SCRIPT = Path(dashboard.__file__).with_name("app.py")


@pytest.fixture
def page(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppTest]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    st.cache_resource.clear()
    yield AppTest.from_file(str(SCRIPT), default_timeout=20)
    queries().database.close()
    st.cache_resource.clear()


async def store_a_ride(database_url: str, heart_rate_bpm: int | None) -> int:
    """A ride of a rider aged about 50, under way for 10 s."""
    connection = await asyncpg.connect(database_url)
    now = datetime.now(UTC)
    try:
        await connection.execute(
            "INSERT INTO riders (rider_id, first_name, last_name, gender, born_on, seen_at) "
            "VALUES (1, 'Ada', 'Example', 'female', '1976-01-01', now())"
        )
        await connection.execute("INSERT INTO bikes (serial) VALUES ('SN1')")
        ride_id: int = await connection.fetchval(
            "INSERT INTO rides (rider_id, bike_serial, started_at) VALUES (1, 'SN1', $1) "
            "RETURNING ride_id",
            now - timedelta(seconds=10),
        )
        await connection.executemany(
            "INSERT INTO readings VALUES ($1, $2, $3, $4, 80, 30, 150.0)",
            [
                (ride_id, now - timedelta(seconds=10 - second), float(second), heart_rate_bpm)
                for second in range(10)
            ],
        )
    finally:
        await connection.close()
    return ride_id


def test_an_empty_database_is_told_kindly(page: AppTest) -> None:
    page.run()
    assert not page.exception
    assert "No one is riding" in page.info[0].value


async def test_a_rider_in_danger_is_chosen_by_the_address_and_warned_about(
    page: AppTest, database_url: str
) -> None:
    page.query_params["ride"] = str(await store_a_ride(database_url, 180))
    page.run()
    assert not page.exception
    assert page.subheader[0].value.startswith("Ada Example")
    assert "critical: 180 bpm" in page.error[0].value
    assert [tile.value for tile in page.metric][:2] == ["1", "150 W"]
    page.run()
    assert page.subheader[0].value.startswith("Ada Example")


async def test_a_heart_rate_that_was_not_measured_is_a_dash(
    page: AppTest, database_url: str
) -> None:
    page.query_params["ride"] = str(await store_a_ride(database_url, None))
    page.run()
    assert not page.exception
    assert page.metric[4].value == "–"
    assert not page.error
