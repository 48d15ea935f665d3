"""A topic, a database and a mail provider of a test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest_asyncio

from deloton.store.database import connect_pool
from demo.embedded_broker import EmbeddedBroker
from demo.guardian import Guardian
from tests.integration.hr_alerter.alerter_site import AlerterSite
from tests.ses_double import SesDouble, running_ses_double


@pytest_asyncio.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await connect_pool(database_url, size=5, application="test")
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def ses() -> AsyncIterator[SesDouble]:
    async with running_ses_double() as double:
        yield double


@pytest_asyncio.fixture
async def site(
    broker: EmbeddedBroker,
    guardian: Guardian,
    pool: asyncpg.Pool,
    database_url: str,
    make_topic: Callable[..., Awaitable[str]],
    ses: SesDouble,
    tmp_path: Path,
) -> AsyncIterator[AlerterSite]:
    topic = await make_topic("heart-rates", partitions=4)
    site = AlerterSite(broker, guardian, pool, database_url, topic, ses, tmp_path)
    yield site
    for alerter in site.alerters:
        alerter.kill()
