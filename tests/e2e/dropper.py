"""A process that looks after the days of readings all the time, as a worker does now and then.

By itself, so that it can be killed in the middle of a drop. `DATABASE_URL` says where.
"""

import asyncio
import os
from datetime import timedelta

from deloton.running.health import Health
from deloton.running.insistence import Insistence
from deloton.running.logs import configure_logging
from deloton.store import database
from ingestor.hot_rows import HotRows
from ingestor.reading_days import ReadingDays, utc_today

LOOK_EVERY_S = 0.1


async def look_after_days(url: str) -> None:
    """Make days, and drop each that is over as soon as its rides are packed."""
    pool = await database.connect_pool(url, size=1, application="ingestor")
    days, rows = ReadingDays(pool, 0, utc_today), HotRows(pool, timedelta(0))
    insist = Insistence(Health(), longest_wait_s=0.5)
    while True:
        await insist.on("database", database.is_transient, days.maintain)
        await insist.on("database", database.is_transient, rows.drop)
        await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    configure_logging("INFO")
    asyncio.run(look_after_days(os.environ["DATABASE_URL"]))
