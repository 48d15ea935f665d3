"""A real PostgreSQL and a real broker, started once, for every test that asks for them.

Tests share the servers but nothing in them: each gets its own database and makes its
own topics. Both servers die with the test run, even when that is killed.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterator

import pytest

from deloton.migrate import migrate
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian

MIGRATED_TEMPLATE = "migrated_template"


@pytest.fixture(scope="session")
def guardian() -> Iterator[Guardian]:
    """What ends the servers when the test run itself is killed."""
    with Guardian() as guardian:
        yield guardian


@pytest.fixture(scope="session")
def postgres(guardian: Guardian) -> Iterator[EmbeddedPostgres]:
    """The PostgreSQL server of this run."""
    with EmbeddedPostgres(guardian) as server:
        yield server


@pytest.fixture(scope="session")
def broker(guardian: Guardian) -> Iterator[EmbeddedBroker]:
    """The Kafka-protocol broker of this run."""
    with EmbeddedBroker(guardian) as server:
        yield server


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The address of a database of the test's own, with nothing in it."""
    name = unique("empty")
    yield postgres.create_database(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database nobody connects to: copies of it are quick."""
    migrate(postgres.create_database(MIGRATED_TEMPLATE))
    return MIGRATED_TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The address of a database of the test's own, migrated and without a row."""
    name = unique("test")
    yield postgres.create_database(name, template=migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def make_topic(broker: EmbeddedBroker) -> Callable[..., Awaitable[str]]:
    """Create a topic of the test's own: `await make_topic()`, `await make_topic(partitions=4)`."""

    async def make(name: str = "topic", partitions: int = 1) -> str:
        topic = unique(name)
        await broker.create_topic(topic, partitions)
        return topic

    return make


def unique(name: str) -> str:
    """Return the name with an ending nobody else uses."""
    return f"{name}-{uuid.uuid4().hex[:12]}"
