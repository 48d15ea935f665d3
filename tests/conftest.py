"""A real PostgreSQL and a real broker, started once, for every test that asks for them.

Tests share the servers but nothing in them: each gets its own database and makes its
own topics. Both servers die with the test run, even when that is killed.

`pytest --broker=kafka` (`make test-kafka`) runs every test that asks for `broker` against a
real Apache Kafka instead, and those marked `kafka`, which need one.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterator

import pytest

from deloton.migrate import migrate
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.errors import ProgramMissing
from demo.guardian import Guardian
from tests.kafka.apache_kafka import ApacheKafka, require_jars
from tests.roles import give_passwords

MIGRATED_TEMPLATE = "migrated_template"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--broker`: which broker the tests meet."""
    parser.addoption(
        "--broker",
        choices=["embedded", "kafka"],
        default="embedded",
        help="kafka: run the broker-facing tests, on a real Apache Kafka",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker; refuse a run that could only fail."""
    config.addinivalue_line("markers", "kafka: needs a real Apache Kafka (make test-kafka)")
    if runs_on_kafka(config):
        try:
            require_jars()
        except ProgramMissing as missing:
            raise pytest.UsageError(str(missing)) from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the tests of this run: those that meet a broker, or those that need no Kafka."""
    chosen = [item for item in items if belongs(item, runs_on_kafka(config))]
    if left_out := [item for item in items if item not in set(chosen)]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = chosen


def belongs(item: pytest.Item, on_kafka: bool) -> bool:
    """Say whether a test belongs to the run on Apache Kafka, or to the other one."""
    needs_kafka = item.get_closest_marker("kafka") is not None
    meets_broker = "broker" in getattr(item, "fixturenames", ())
    return needs_kafka or meets_broker if on_kafka else not needs_kafka


def runs_on_kafka(config: pytest.Config) -> bool:
    """Say whether this run meets Apache Kafka."""
    return bool(config.getoption("--broker") == "kafka")


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
def broker(
    guardian: Guardian, pytestconfig: pytest.Config
) -> Iterator[EmbeddedBroker | ApacheKafka]:
    """The broker of this run, which `--broker` chooses."""
    server = ApacheKafka(guardian) if runs_on_kafka(pytestconfig) else EmbeddedBroker(guardian)
    with server:
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
    url = postgres.create_database(MIGRATED_TEMPLATE)
    migrate(url)
    give_passwords(url)
    return MIGRATED_TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The address of a database of the test's own, migrated and without a row."""
    name = unique("test")
    yield postgres.create_database(name, template=migrated_template)
    postgres.drop_database(name)


@pytest.fixture
def make_topic(broker: EmbeddedBroker | ApacheKafka) -> Callable[..., Awaitable[str]]:
    """Create a topic of the test's own: `await make_topic()`, `await make_topic(partitions=4)`."""

    async def make(name: str = "topic", partitions: int = 1) -> str:
        topic = unique(name)
        await broker.create_topic(topic, partitions)
        return topic

    return make


def unique(name: str) -> str:
    """Return the name with an ending nobody else uses."""
    return f"{name}-{uuid.uuid4().hex[:12]}"
