"""A real PostgreSQL and a real broker, started once, for every test that asks for them.

Tests share the servers but nothing in them: each gets its own database and makes its
own topics. Both servers die with the test run, even when that is killed.

`make test` leaves out what is marked `system` or `kafka`. `make test-system` runs just those, and
again every test that asks for `broker`, now against a real Apache Kafka (`--broker=kafka`).
`pytest -m system` walks through the system without one.
"""

import gc
import uuid
from collections.abc import Awaitable, Callable, Iterator

import pytest

from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.errors import ProgramMissing
from demo.guardian import Guardian
from tests.kafka.apache_kafka import ApacheKafka, require_jars
from tests.leftovers import pytest_runtest_protocol
from tests.roles import give_passwords

__all__ = ["pytest_runtest_protocol"]

# What these assert is told as fully as what tests assert.
pytest.register_assert_rewrite("tests.e2e", "tests.integration")

MIGRATED_TEMPLATE = "migrated_template"
MARKS = (
    "system: minutes of the whole system, its pages, or its workers dying (make test-system)",
    "kafka: needs a real Apache Kafka (make test-system)",
    "broker: meets a broker; every test that asks for one has it",
    "embedded: meets a broker but is not about it, and meets the embedded one alone",
)
ON_EMBEDDED_SERVERS = "not system and not kafka"
ON_KAFKA = "system or kafka or (broker and not embedded)"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--broker`: which broker the tests meet."""
    parser.addoption(
        "--broker",
        choices=["embedded", "kafka"],
        default="embedded",
        help="kafka: run the broker-facing tests, on a real Apache Kafka, and the system's",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marks; choose by them, unless `-m` does; refuse a run that could only fail."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    if not config.option.markexpr:
        config.option.markexpr = ON_KAFKA if runs_on_kafka(config) else ON_EMBEDDED_SERVERS
    if runs_on_kafka(config):
        try:
            require_jars()
        except ProgramMissing as missing:
            raise pytest.UsageError(str(missing)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that meet a broker; put those first that wait most, beside the others."""
    for item in items:
        if "broker" in getattr(item, "fixturenames", ()):
            item.add_marker("broker")
    items.sort(key=lambda item: "tests/e2e/" not in item.path.as_posix())


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Look for garbage in what the tests make, not in what they import, which stays."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


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
    from deloton.migrate import migrate  # noqa: PLC0415  Alembic takes half a second

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
