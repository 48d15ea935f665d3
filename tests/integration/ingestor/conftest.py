"""Connections to a migrated database without a row: emptied for each test, which is quick."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio

from deloton.store.database import connect_pool
from demo.embedded_postgres import EmbeddedPostgres

_EMPTY = """
DO $$
DECLARE day regclass;
BEGIN
    FOR day IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'readings'::regclass
        AND inhrelid <> 'readings_default'::regclass
    LOOP EXECUTE format('DROP TABLE %s', day); END LOOP;
END $$;
TRUNCATE riders, bikes, rides, readings, ingest_offsets, ingest_streams, refused_lines, erasures,
deleted_rides
RESTART IDENTITY CASCADE
"""


@pytest.fixture(scope="session")
def shared_database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The database that the tests of the ingestor use one after another."""
    yield postgres.create_database("ingestor", template=migrated_template)
    postgres.drop_database("ingestor")


@pytest_asyncio.fixture
async def pool(shared_database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """Connections to the shared database, which is empty."""
    async with await connect_pool(shared_database_url, size=8, application="tests") as pool:
        await pool.execute(_EMPTY)
        yield pool
