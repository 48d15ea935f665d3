"""The running worker as a process: its pages, its ends, and what it survives."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from deloton.feed.log_lines import LogLine, Marker
from deloton.migrate import migrate
from deloton.testing import (
    a_message_of,
    a_ride_line,
    a_rider,
    a_second,
    a_telemetry_line,
    a_whole_ride,
    an_announcement,
    records_of,
    seconds_of_a_ride,
)
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.ports import free_port
from demo.processes import Program, inherit_environment
from ingestor.app import LONGEST_ANSWER_S
from ingestor.settings import IngestorSettings
from tests.conftest import unique
from tests.integration.ingestor.topics_read import read_topic, send, settings_for
from tests.roles import as_role, give_passwords


class Worker:
    """An ingestor's process and where to ask it."""

    def __init__(self, guardian: Guardian, settings: IngestorSettings, folder: Path) -> None:
        self.port = free_port()
        self.settings = settings
        self.environment = inherit_environment(
            DATABASE_URL=as_role(settings.database_url.get_secret_value(), "ingestor"),
            KAFKA_BOOTSTRAP_SERVERS=settings.kafka_bootstrap_servers,
            RAW_TOPIC=settings.raw_topic,
            HEART_RATES_TOPIC=settings.heart_rates_topic,
            RIDE_EVENTS_TOPIC=settings.ride_events_topic,
            DEAD_LETTERS_TOPIC=settings.dead_letters_topic,
            CONSUMER_GROUP=settings.raw_topic,
            METRICS_PORT=str(self.port),
            SESSION_TIMEOUT_S="1.5",
        )
        command = [sys.executable, "-m", "ingestor"]
        log_file = folder / "ingestor.log"
        self.program = Program(
            guardian, "ingestor", command, log_file, environment=self.environment
        )

    async def page(self, path: str) -> tuple[int, str]:
        """A page's status and text."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return answer.status, await answer.text()

    async def health(self) -> dict[str, Any]:
        """The health page."""
        report: dict[str, Any] = json.loads((await self.page("/health"))[1])
        return report

    async def metrics(self) -> dict[str, float]:
        """The metrics page: each sample's value by its name and labels."""
        lines = (await self.page("/metrics"))[1].splitlines()
        samples = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in samples}

    def command(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run one of the ingestor's commands to its end."""
        return subprocess.run(
            [sys.executable, "-m", "ingestor", *arguments],
            env=self.environment | changes,
            capture_output=True,
            text=True,
            check=False,
        )


UP_TO_DATE = ("lag", "seconds_behind")
HEALTHY = {"healthy": True, "assigned_partitions": [0, 1], "failing_for_s": {}}


async def failing(worker: Worker) -> list[str]:
    """What the health page says is failing."""
    return list((await worker.health())["failing_for_s"])


async def has_failed_for(worker: Worker, seconds: float) -> bool:
    """Whether the figure that alarms watch has grown that far."""
    return (await worker.metrics())["ingestor_failing_seconds"] >= seconds


async def eventually(
    what: Callable[[], Awaitable[object]], wanted: object, within_s: float = 300.0
) -> None:
    """Wait until something is as it should be."""
    deadline = time.monotonic() + within_s
    found: object = None
    while time.monotonic() < deadline:
        try:
            found = await what()
        except (OSError, KeyError, aiohttp.ClientError, asyncpg.PostgresError) as error:
            found = error
        if found == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found!r} is not {wanted!r}")


@pytest.fixture(scope="module")
def own_postgres(guardian: Guardian) -> Iterator[EmbeddedPostgres]:
    """A server that a test may kill."""
    with EmbeddedPostgres(guardian) as server:
        yield server


@pytest.fixture(scope="module")
def worker(
    broker: EmbeddedBroker,
    guardian: Guardian,
    own_postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Worker]:
    """A worker that runs, with a database and topics of its own; each test has its own bike."""
    url = own_postgres.create_database("deloton")
    migrate(url)
    give_passwords(url)
    settings = settings_for(broker, unique("worker"), url)
    asyncio.run(broker.create_topic(settings.raw_topic, 2))
    worker = Worker(guardian, settings, tmp_path_factory.mktemp("worker"))
    worker.program.start()
    asyncio.run(eventually(worker.health, HEALTHY))
    yield worker
    worker.program.stop()


class Bike:
    """A bike whose lines go to partition 1, and what is stored of its rides."""

    def __init__(self, broker: EmbeddedBroker, worker: Worker, serial: str) -> None:
        self.broker = broker
        self.settings = worker.settings
        self.serial = serial

    async def ride(self, *lines: LogLine) -> None:
        """Send these lines."""
        values = [(self.serial.encode(), record.value) for record in records_of(lines)]
        await send(self.broker, self.settings.raw_topic, values, partition=1)

    async def rides(self, columns: str) -> list[tuple[Any, ...]]:
        """Some columns of its rides."""
        connection = await asyncpg.connect(self.settings.database_url.get_secret_value())
        try:
            query = f"SELECT {columns} FROM rides WHERE bike_serial = $1 ORDER BY started_at"
            return [tuple(row) for row in await connection.fetch(query, self.serial)]
        finally:
            await connection.close()

    async def died(self, value: bytes) -> None:
        """Let a message lie among the dead letters, as if an older parser had refused it."""
        message = [(self.serial.encode(), value)]
        topic = self.settings.raw_topic.encode()
        headers = [("topic", topic), ("partition", b"1"), ("offset", b"5"), ("reason", OLD)]
        await send(self.broker, self.settings.dead_letters_topic, message, 1, headers)


# Why a letter of a test's own lies there; what the worker refuses has other reasons.
OLD = b"old"
READINGS = "(SELECT count(*) FROM readings WHERE readings.ride_id = rides.ride_id)"


async def test_a_worker_that_has_its_partitions_is_healthy(worker: Worker) -> None:
    await eventually(worker.health, HEALTHY)
    assert (await worker.page("/health"))[0] == 200


async def test_rubbish_becomes_dead_letters_and_the_rest_goes_on(
    broker: EmbeddedBroker, worker: Worker
) -> None:
    bike = Bike(broker, worker, "SN1")
    rubbish = [(b"SN1", b"\xff"), (None, b"{}"), (b"SN1", None)]
    await send(broker, worker.settings.raw_topic, rubbish, partition=1)
    await bike.ride(*a_whole_ride(3, bike_serial="SN1"))
    await eventually(lambda: bike.rides(READINGS), [(3,)])
    letters = [
        letter
        for letter in await read_topic(broker, worker.settings.dead_letters_topic, 1)
        if ("reason", OLD) not in letter.headers
    ]
    assert [(letter.key, letter.value) for letter in letters] == rubbish
    reasons = [dict(letter.headers)["reason"] for letter in letters]
    assert reasons == [b"not_utf8", b"no_log", b"not_json"]

    async def counted() -> float:
        return (await worker.metrics())['ingestor_dead_letters_total{reason="not_utf8"}']

    # They are sent first, then counted.
    await eventually(counted, 1.0)


async def test_metrics_tell_what_was_read_and_stored(
    broker: EmbeddedBroker, worker: Worker
) -> None:
    async def grown() -> dict[str, float]:
        now = await worker.metrics()
        return {name: now.get(name, 0.0) - before.get(name, 0.0) for name in expected}

    async def state() -> list[float]:
        now = await worker.metrics()
        rides = now['ingestor_open_rides{partition="1"}']
        return [rides >= 1, *(now[f'ingestor_{name}{{partition="1"}}'] for name in UP_TO_DATE)]

    expected = {
        'ingestor_lines_total{partition="1"}': 10.0,
        'ingestor_readings_total{whose="rider"}': 3.0,
        "ingestor_heart_rates_total": 3.0,
    }
    before = await settled(worker, expected)
    await Bike(broker, worker, "SN0").ride(*a_whole_ride(3, bike_serial="SN0"))
    await eventually(grown, expected)
    await eventually(state, [True, 0.0, 0.0])


async def test_readings_of_real_bikes_sandbox_and_canary_are_counted_apart(
    broker: EmbeddedBroker, worker: Worker
) -> None:
    async def grown() -> dict[str, float]:
        now = await worker.metrics()
        return {name: now[name] - before[name] for name in expected}

    seconds = {"SN7": ("rider", 3), "SANDBOX0007": ("sandbox", 2), "CANARY": ("canary", 4)}
    expected = {
        f'ingestor_readings_total{{whose="{whose}"}}': float(count)
        for whose, count in seconds.values()
    }
    before = await settled(worker, expected)
    for serial, (_, count) in seconds.items():
        await Bike(broker, worker, serial).ride(*a_whole_ride(count, bike_serial=serial))
    await eventually(grown, expected)


async def settled(worker: Worker, names: Iterable[str]) -> dict[str, float]:
    """The metrics once these stand still: rows are stored first, then counted."""
    before: dict[str, float] = {}
    while True:
        now = await worker.metrics()
        if before and all(now.get(name) == before.get(name) for name in names):
            return now
        before = now
        await asyncio.sleep(1)


async def test_a_database_that_goes_and_comes_back_costs_nothing(
    broker: EmbeddedBroker, own_postgres: EmbeddedPostgres, worker: Worker
) -> None:
    bike = Bike(broker, worker, "SN2")
    await bike.ride(*a_whole_ride(3, bike_serial="SN2"))
    await eventually(lambda: bike.rides(READINGS), [(3,)])
    own_postgres.kill()
    await bike.ride(*seconds_of_a_ride(4, 6), Marker(), an_announcement(10, bike_serial="SN2"))
    await eventually(lambda: failing(worker), ["database"])
    await eventually(lambda: has_failed_for(worker, 3), True)
    own_postgres.start()
    await eventually(lambda: bike.rides("reading_count"), [(6,), (None,)])
    await eventually(lambda: failing(worker), [])
    await eventually(lambda: has_failed_for(worker, 0.001), False)
    assert worker.program.running


async def test_a_broker_that_goes_while_nothing_is_to_be_sent_is_missed(
    guardian: Guardian, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = own_postgres.create_database("missed")
    await asyncio.to_thread(migrate, url)
    await asyncio.to_thread(give_passwords, url)
    with EmbeddedBroker(guardian) as own_broker:
        settings = settings_for(own_broker, unique("missed"), url)
        await own_broker.create_topic(settings.raw_topic, 2)
        worker = Worker(guardian, settings, tmp_path)
        worker.program.start()
        try:
            await eventually(worker.health, HEALTHY)
            # Nothing comes, and the broker says so again and again.
            await asyncio.sleep(LONGEST_ANSWER_S + 2)
            await eventually(worker.health, HEALTHY)
            own_broker.kill()
            await eventually(lambda: failing(worker), ["fetch"])
            await eventually(lambda: has_failed_for(worker, 3), True)
        finally:
            worker.program.kill()


async def test_dead_letters_that_can_be_read_come_back_and_make_their_ride_whole(
    broker: EmbeddedBroker, worker: Worker
) -> None:
    bike = Bike(broker, worker, "SN3")
    await bike.ride(
        *a_second(1), a_ride_line(2), *a_second(3), Marker(), an_announcement(10, bike_serial="SN3")
    )
    bike.serial = "unknown:SN3"
    await eventually(lambda: bike.rides("reading_count, total_power_watts"), [(3, 200)])
    bike.serial = "SN3"
    await bike.died(a_message_of(a_telemetry_line(2.5)))
    await bike.died(a_message_of(an_announcement(rider=a_rider(), bike_serial="SN3")))
    await bike.died(b"\xff")
    counted = await asyncio.to_thread(worker.command, "replay-dead-letters", "--dry-run")
    assert "2 would be sent again" in counted.stdout
    for _ in range(2):
        sent = await asyncio.to_thread(worker.command, "replay-dead-letters", "--reason", "old")
        assert "3 dead letters read, 2 sent again, 1 still unreadable" in sent.stdout
    bike.serial = "unknown:SN3"
    wanted = [(7001, 3, 300)]
    await eventually(lambda: bike.rides("rider_id, reading_count, total_power_watts"), wanted)
    assert await bike.rides(READINGS) == [(3,)]
    assert worker.program.running


async def test_a_worker_that_is_told_to_stop_leaves_its_rides_to_its_successor(
    broker: EmbeddedBroker, worker: Worker
) -> None:
    bike = Bike(broker, worker, "SN4")
    await bike.ride(*a_whole_ride(3, bike_serial="SN4"), a_ride_line(4))
    await eventually(lambda: bike.rides(READINGS), [(3,)])
    worker.program.signal(signal.SIGTERM)
    assert await worker.program.wait() == 0
    worker.program.start()
    await bike.ride(
        a_telemetry_line(4.5), *a_second(5), Marker(), an_announcement(10, bike_serial="SN4")
    )
    await eventually(lambda: bike.rides("reading_count, duration_s"), [(5, 5), (None, None)])


def test_a_worker_without_settings_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    environment = inherit_environment()
    for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "ingestor"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "DATABASE_URL" in line
    assert "KAFKA_BOOTSTRAP_SERVERS" in line


def test_a_port_that_is_taken_is_named_and_ends_the_worker(worker: Worker) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        done = worker.command(METRICS_PORT=str(port))
    assert done.returncode != 0
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
