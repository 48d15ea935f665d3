"""Who deletes a live ride, or its rider, has deleted it: the bike may go on sending."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from api.store.database import Database
from api.store.deletion import delete_ride, erase_rider
from deloton.feed.log_lines import LogLine
from deloton.testing import a_message_of, a_rider, a_second, a_whole_ride
from tests.e2e.ingestor_site import Load, Site, fetch, wait_until
from tests.e2e.stored_rows import read_digested
from tests.oracle.straightforward import RawMessage
from tests.roles import as_role

pytestmark = pytest.mark.embedded

KEY = "tester"
BIKE = "SN1"
NEXT_OFFSET = "SELECT next_offset FROM ingest_offsets WHERE partition = 0"
LEFT = """
SELECT (SELECT count(*) FROM ride_readings) AS readings, (SELECT count(*) FROM rides) AS rides,
       (SELECT count(*) FROM heart_rate_alerts) AS alerts
"""


class Bike:
    """A bike that goes on sending, a second of its ride at a time."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.sent = 0
        self.seconds = 3

    async def send(self, lines: list[LogLine]) -> None:
        messages = [
            RawMessage(0, offset, BIKE.encode(), a_message_of(line))
            for offset, line in enumerate(lines, self.sent)
        ]
        await Load(self.site, messages, float("inf"), len(messages)).send()
        self.sent += len(lines)

    async def ride_on(self) -> None:
        """One more second, stored before this returns."""
        self.seconds += 1
        await self.send(a_second(self.seconds))
        await self.is_stored()

    async def is_stored(self) -> None:
        async def all_is() -> bool:
            rows = await fetch(self.site, NEXT_OFFSET)
            return bool(rows) and rows[0]["next_offset"] == self.sent

        await wait_until(all_is)


@pytest.fixture
async def database(site: Site) -> AsyncIterator[Database]:
    """The API's way to the database, with a key that may delete."""
    await fetch(
        site,
        "INSERT INTO api_keys (key_id, name, secret_hash, scopes, requests_per_minute) "
        "VALUES ($1, 'test', '', '{erase}', 60)",
        KEY,
    )
    url = as_role(site.database_url, "api")
    database = Database(url, connections=2, statement_timeout_s=300)
    yield database
    await database.close()


async def the_ride(database: Database, ride_id: int) -> bool:
    return await delete_ride(database, KEY, ride_id, None)


async def its_rider(database: Database, ride_id: int) -> bool:
    return await erase_rider(database, KEY, 7001, None)


@pytest.mark.parametrize("delete", [the_ride, its_rider])
async def test_what_is_deleted_in_mid_ride_leaves_no_row_then_or_later_though_the_bike_goes_on(
    site: Site, database: Database, delete: Callable[[Database, int], Awaitable[bool]]
) -> None:
    worker, bike = site.start_worker(), Bike(site)
    await bike.send(a_whole_ride(3, rider=a_rider(), bike_serial=BIKE))
    await bike.is_stored()
    [(ride_id,)] = await fetch(site, "SELECT ride_id FROM rides")
    sending = asyncio.create_task(bike.ride_on())
    assert await delete(database, ride_id)
    await sending
    for _ in range(5):
        assert [tuple(row) for row in await fetch(site, LEFT)] == [(0, 0, 0)]
        await bike.ride_on()
    sent = len((await read_digested(site)).heart_rates)
    worker.end(signal.SIGKILL)
    site.start_worker()
    for _ in range(5):
        await bike.ride_on()
        assert [tuple(row) for row in await fetch(site, LEFT)] == [(0, 0, 0)]
    # Nothing of it is sent on either, but for what a worker sends before it knows.
    assert len((await read_digested(site)).heart_rates) <= sent + 1
    await bike.send(a_whole_ride(3, began_s=500, rider=a_rider(7002), bike_serial=BIKE))
    await bike.is_stored()
    assert [tuple(row) for row in await fetch(site, LEFT)] == [(3, 1, 0)]
