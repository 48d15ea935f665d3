"""A ride's page shows the same once the ride is packed, and its rows are gone."""

import asyncio
from datetime import UTC, datetime

import pandas as pd

from dashboard.database import Database
from dashboard.queries import Queries
from dashboard.sharing import SharedAnswers
from deloton.store.database import connect_pool, is_transient
from deloton.store.series import pack_rides
from tests.integration.dashboard.stored_rides import store_live_ride
from tests.roles import as_role


def shown(database_url: str, ride_id: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The readings of a ride, and what they come to, as the page asks for them."""
    database = Database(as_role(database_url, "dashboard"))
    answers = SharedAnswers(lambda: datetime.now(UTC), is_transient)
    asking = Queries(database, answers, "Europe/London")
    try:
        started_at = asking.ride(ride_id).rows["started_at"].iloc[0]
        return asking.readings(ride_id, started_at).rows, asking.so_far(ride_id, started_at).rows
    finally:
        database.close()


async def pack(database_url: str) -> None:
    """Let the ride end, pack it, and leave no row of it."""
    async with await connect_pool(database_url, size=1, application="tests") as pool:
        await pool.execute("UPDATE rides SET ended_at = now(), end_reason = 'silence'")
        assert await pack_rides(pool, ended_for_s=0) == 1
        await pool.execute("TRUNCATE readings")


def test_a_packed_ride_is_shown_as_before(database_url: str) -> None:
    ride_id = asyncio.run(store_live_ride(database_url, 120))
    before = shown(database_url, ride_id)
    assert len(before[0]) == 30
    asyncio.run(pack(database_url))
    for now, then in zip(shown(database_url, ride_id), before, strict=True):
        pd.testing.assert_frame_equal(now, then)
