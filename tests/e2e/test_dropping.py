"""Days of packed rides are dropped while who packs, drops and stores dies: rows stay exact.

The fleet rides around some midnights, each a day after the other, so that rides lie in two days,
and days can be dropped while the next is ridden. In the middle all bikes pause until their rides
are over, packed and without rows; then they go on, into rides that must become rows again.
`SEED=…` repeats an order.
"""

import asyncio
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom

import pytest
from aiokafka.partitioner import murmur2

from bike_simulator import FleetPlan, simulate
from deloton.migrate import migrate
from demo.embedded_broker import EmbeddedBroker
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from demo.processes import Program, inherit_environment
from tests.e2e.crashes import end_a_session_that
from tests.e2e.ingestor_site import (
    FAULTS,
    PARTITIONS,
    PRODUCED_AT_ONCE,
    Feed,
    Load,
    Site,
    Worker,
    fetch,
    wait_until,
    wait_until_stored,
)
from tests.e2e.stored_rows import differences, read_rows
from tests.kafka.apache_kafka import steady_port
from tests.oracle.straightforward import RawMessage
from tests.roles import as_role, give_passwords

_log = logging.getLogger(__name__)

NIGHTS = 6
BIKES = 12
AROUND_MIDNIGHT = timedelta(minutes=6)
LINES_A_SECOND = 1_200
WORKERS = 2
ROUNDS = 3
SEED = int(os.environ.get("SEED", SystemRandom().randrange(1_000_000)))

_DAYS = """
SELECT inhrelid::regclass::text AS name FROM pg_inherits
WHERE inhparent = 'readings'::regclass AND inhrelid <> 'readings_default'::regclass
AND inhrelid::regclass::text < 'readings_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')
"""
_IN_PROGRESS_OR_WAITING = """
SELECT FROM rides WHERE ended_at IS NULL UNION ALL SELECT FROM rides_to_pack LIMIT 1
"""

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]


@dataclass
class Cast:
    """Who works on a site, and on which server: each may die, and is replaced."""

    site: Site
    postgres: EmbeddedPostgres
    database: str
    workers: list[Worker] = field(default_factory=list)
    dropper: Program | None = None

    def begin(self) -> None:
        """Let all work that does not."""
        for worker in [worker for worker in self.workers if not worker.program.running]:
            self.workers.remove(worker)
        while len(self.workers) < WORKERS:
            self.workers.append(self.site.start_worker())
        if self.dropper is None or not self.dropper.running:
            url = as_role(self.site.database_url, "ingestor")
            self.dropper = Program(
                self.site.guardian,
                "dropper",
                [sys.executable, Path(__file__).with_name("dropper.py")],
                self.site.folder / "dropper.log",
                environment=inherit_environment(DATABASE_URL=url),
            )
            self.dropper.start()

    def leave(self) -> None:
        """Kill all who work here."""
        self.site.end_workers()
        if self.dropper is not None:
            self.dropper.kill()

    async def wait_until_none(self, statement: str) -> None:
        """Return once a statement finds nothing; who has ended meanwhile is replaced."""

        async def finds_nothing() -> bool:
            self.begin()
            return not await fetch(self.site, statement)

        await wait_until(finds_nothing)


def kill_a_worker(cast: Cast, chance: Random) -> None:
    """SIGKILL to one that packs, stores, or does both."""
    chance.choice(cast.workers).end(signal.SIGKILL)


def kill_the_dropper(cast: Cast, chance: Random) -> None:
    """SIGKILL, perhaps while it drops."""
    if cast.dropper is not None:
        cast.dropper.kill()


def kill_the_database(cast: Cast, chance: Random) -> None:
    """SIGKILL to all its processes."""
    cast.postgres.kill()
    cast.postgres.start()


def stop_the_database_at_once(cast: Cast, chance: Random) -> None:
    """As `pg_ctl stop -m immediate`: nothing is finished, and it recovers when it starts."""
    os.kill(cast.postgres.pid, signal.SIGQUIT)
    cast.postgres.stop()
    cast.postgres.start()


def break_a_packing(cast: Cast, chance: Random) -> None:
    """The database ends a connection while rides are packed on it."""
    end_session(cast, "INSERT INTO ride_series")


def break_a_drop(cast: Cast, chance: Random) -> None:
    """The database ends a connection while a day is compared or dropped on it."""
    end_session(cast, "drop_packed_readings_day")


def end_session(cast: Cast, works_on: str) -> None:
    """Wait some seconds at most for a session that does so, and end it."""
    cast.postgres.run_sql(end_a_session_that(works_on), database=cast.database)


CRASHES: tuple[Callable[[Cast, Random], None], ...] = (
    kill_a_worker,
    kill_the_dropper,
    kill_the_database,
    stop_the_database_at_once,
    break_a_packing,
    break_a_drop,
)


@pytest.fixture(scope="module")
def nights() -> Feed:
    """A fleet that rides back to back around each of some midnights, with every kind of fault."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    next_offset: Counter[int] = Counter()
    messages = []
    for ago in range(NIGHTS, 0, -1):
        midnight = today - timedelta(days=ago)
        plan = FleetPlan(
            midnight - AROUND_MIDNIGHT,
            BIKES,
            seed=ago,
            until_at=midnight + AROUND_MIDNIGHT,
            faults=FAULTS,
            back_to_back=True,
        )
        for bike, value, _ in simulate(plan):
            partition = (murmur2(bike) & 0x7FFFFFFF) % PARTITIONS
            messages.append(RawMessage(partition, next_offset[partition], bike, value))
            next_offset[partition] += 1
    return Feed(messages)


@pytest.fixture(scope="module")
def server(guardian: Guardian) -> Iterator[EmbeddedPostgres]:
    """A database server that may be killed."""
    with EmbeddedPostgres(guardian, port=steady_port()) as server:
        yield server


@pytest.fixture
async def cast(
    broker: EmbeddedBroker, server: EmbeddedPostgres, guardian: Guardian, tmp_path: Path
) -> AsyncIterator[Cast]:
    """Workers and a dropper on a database of their own; nothing rides yet."""
    name = f"dropping_{os.urandom(4).hex()}"
    url = server.create_database(name)
    await asyncio.to_thread(migrate, url)
    await asyncio.to_thread(give_passwords, url)
    cast = Cast(Site(broker, guardian, url, tmp_path, name), server, name)
    await cast.site.create_raw_topic()
    try:
        yield cast
    finally:
        cast.leave()


async def test_days_are_dropped_while_everything_dies_and_each_reading_stays_once(
    nights: Feed, cast: Cast
) -> None:
    load = Load(cast.site, nights.messages, LINES_A_SECOND, pause_in(nights))
    sending = asyncio.create_task(load.send())
    chance = Random(SEED)
    cast.begin()
    await befall(cast, chance)
    await until_stored(cast, nights.messages[: load.up_to])
    await cast.wait_until_none(_IN_PROGRESS_OR_WAITING)
    await cast.wait_until_none(_DAYS)
    await cast.wait_until_none("SELECT FROM readings")
    paused = await counts(cast)
    load.up_to = len(nights.messages)
    await befall(cast, chance)
    await sending
    await assert_all_is_packed_dropped_and_exact(cast, nights)
    ended = await counts(cast)
    went_on = [ride_id for ride_id, count in paused.items() if ended[ride_id] > count]
    assert len(went_on) > BIKES // 2


async def test_a_restore_to_an_older_moment_reads_on_from_there_to_the_same_rows(
    nights: Feed, cast: Cast
) -> None:
    load = Load(cast.site, nights.messages, LINES_A_SECOND, pause_in(nights))
    sending = asyncio.create_task(load.send())
    cast.begin()
    await until_stored(cast, nights.messages[: load.up_to])
    older = copy_of(cast)
    load.finish()
    await sending
    await assert_all_is_packed_dropped_and_exact(cast, nights)
    cast.leave()
    # Restored: offsets, rows, series and days are those of then.
    restored = Cast(
        replace(cast.site, database_url=older, workers=[]), cast.postgres, cast.database
    )
    try:
        await assert_all_is_packed_dropped_and_exact(restored, nights)
    finally:
        restored.leave()


def pause_in(feed: Feed) -> int:
    """How many messages are sent before the pause, which is shortly before a midnight."""
    first = round(len(feed.messages) * (NIGHTS // 2 + 0.4) / NIGHTS)
    # They are sent some at once.
    return first // PRODUCED_AT_ONCE * PRODUCED_AT_ONCE


async def befall(cast: Cast, chance: Random) -> None:
    """Let each crash happen some times, in any order, and replace who died."""
    for crash in chance.sample(CRASHES * ROUNDS, len(CRASHES) * ROUNDS):
        _log.warning("SEED=%d: %s", SEED, crash.__name__)
        await asyncio.to_thread(crash, cast, chance)
        cast.begin()
        await asyncio.sleep(chance.uniform(0, 2))


def copy_of(cast: Cast) -> str:
    """The address of a copy of the database as it is, in the middle of all; who worked is dead."""
    cast.leave()
    name = f"{cast.database}_older"
    cast.postgres.run_sql(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{cast.database}'"
    )
    url = cast.postgres.create_database(name, template=cast.database)
    cast.begin()
    return url


async def counts(cast: Cast) -> dict[int, int]:
    """How many readings each ride has that has ended."""
    rows = await fetch(cast.site, "SELECT ride_id, reading_count FROM rides")
    return {row["ride_id"]: row["reading_count"] for row in rows}


async def until_stored(cast: Cast, messages: list[RawMessage]) -> None:
    """Return once these messages are stored."""
    cast.begin()
    await wait_until_stored(cast.site, messages)


async def assert_all_is_packed_dropped_and_exact(cast: Cast, feed: Feed) -> None:
    """All of the feed is stored, its rides are over, and each reading is told once, as it was."""
    await until_stored(cast, feed.messages)
    await cast.wait_until_none(_IN_PROGRESS_OR_WAITING)
    await cast.wait_until_none(_DAYS)
    await cast.wait_until_none("SELECT FROM readings")
    expected = feed.after_silence
    found = await read_rows(cast.site.database_url)
    assert differences(expected.rides, found.rides) == []
    assert differences(expected.readings, found.readings) == []
    assert differences(expected.riders, found.riders) == []
    assert differences(expected.bikes, found.bikes) == []
    packed = await fetch(cast.site, "SELECT FROM ride_series")
    assert len(packed) == sum(map(bool, expected.readings.values()))
    assert await fetch(cast.site, "SELECT FROM rides_to_pack") == []
