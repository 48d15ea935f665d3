"""Half a minute without a line, and the last ride of each bike is over."""

import pytest

from tests.e2e.ingestor_site import Feed, fetch, wait_until
from tests.e2e.stored_rows import Digested, differences, read_rows

pytestmark = pytest.mark.timeout(120)


async def test_rides_end_after_30_s_without_a_line(feed: Feed, digested: Digested) -> None:
    async def nobody_rides() -> bool:
        return not await fetch(digested.site, "SELECT FROM rides WHERE ended_at IS NULL")

    await wait_until(nobody_rides)
    rows = await read_rows(digested.site.database_url)
    assert differences(feed.after_silence.rides, rows.rides) == []
    assert differences(feed.after_silence.readings, rows.readings) == []
