"""A damaged feed, and an ingestor that has read all of it undisturbed; both take seconds."""

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.e2e.ingestor_site import Feed, Load, Site, damaged_feed, wait_until_stored
from tests.e2e.stored_rows import Digested, read_digested


@pytest.fixture(scope="session")
def feed() -> Feed:
    """50 bikes over a simulated hour, with every kind of fault."""
    return damaged_feed(bikes=50, hours=1)


@pytest.fixture
async def site(
    broker: EmbeddedBroker, guardian: Guardian, database_url: str, tmp_path: Path
) -> AsyncIterator[Site]:
    """Topics and a database of the test's own; its workers end with it."""
    site = Site(broker, guardian, database_url, tmp_path, uuid.uuid4().hex[:12])
    await site.create_raw_topic()
    yield site
    site.end_workers()


@pytest.fixture(scope="session")
def digested(
    feed: Feed,
    broker: EmbeddedBroker,
    guardian: Guardian,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Digested]:
    """What came of the feed the moment nothing of it was left; the worker goes on running."""
    name = uuid.uuid4().hex[:12]
    database_url = postgres.create_database(name, template=migrated_template)
    site = Site(broker, guardian, database_url, tmp_path_factory.mktemp("digested"), name)
    yield asyncio.run(digest(site, feed))
    site.end_workers()
    postgres.drop_database(name)


async def digest(site: Site, feed: Feed) -> Digested:
    await site.create_raw_topic()
    await Load(site, feed.messages, math.inf, len(feed.messages)).send()
    site.start_worker()
    await wait_until_stored(site, feed.messages)
    return await read_digested(site)
