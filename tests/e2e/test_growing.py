"""Partitions are added and workers freeze, on a real Apache Kafka: nobody ends, nothing is lost."""

import asyncio
import logging
import signal
import time
from collections.abc import Iterator
from typing import cast

import asyncpg
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deloton.feed.log_lines import LogLine
from deloton.testing import a_message_of, a_rider, a_whole_ride, seconds_of_a_ride
from demo.embedded_broker import EmbeddedBroker
from demo.guardian import Guardian
from tests.e2e.ingestor_site import (
    PARTITIONS,
    Feed,
    Load,
    Site,
    Worker,
    fetch,
    wait_until,
    wait_until_stored,
)
from tests.e2e.stored_rows import differences, read_rows
from tests.integration.ingestor.topics_read import read_topic
from tests.kafka.apache_kafka import ApacheKafka
from tests.oracle.straightforward import RawMessage

_log = logging.getLogger(__name__)

ADDED = 4
# Who asks as seldom as Kafka's clients do by default hears of it after five minutes.
TAKEN_UP_WITHIN_S = 200.0
LINES_A_SECOND = 8_000
BIG_RIDE_S = 10_000

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def broker(guardian: Guardian) -> Iterator[EmbeddedBroker]:
    """A broker of this file's own; a site knows of it only what both kinds have in common."""
    with ApacheKafka(guardian) as kafka:
        yield cast(EmbeddedBroker, kafka)


async def add_partitions(site: Site) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=site.broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({site.raw_topic: NewPartitions(PARTITIONS + ADDED)})
    finally:
        await admin.close()


def messages(
    partition: int, lines: list[LogLine], serial: str, first_offset: int = 0
) -> list[RawMessage]:
    """Lines of one bike, where a partition will hold them."""
    return [
        RawMessage(partition, offset, serial.encode(), a_message_of(line))
        for offset, line in enumerate(lines, first_offset)
    ]


def ride_of(number: int, seconds: int = 10) -> list[LogLine]:
    return a_whole_ride(seconds, rider=a_rider(7000 + number), bike_serial=f"SN{number}")


async def send(site: Site, lines: list[RawMessage]) -> None:
    await Load(site, lines, float("inf"), len(lines)).send()


async def readings_of(site: Site, *serials: str) -> list[tuple[object, ...]]:
    """Bike, rider and number of readings of each ride."""
    rows = await fetch(
        site,
        "SELECT bike_serial, rider_id, count(at) FROM rides LEFT JOIN ride_readings USING "
        "(ride_id) WHERE bike_serial = ANY($1) GROUP BY ride_id ORDER BY 1",
        list(serials),
    )
    return [tuple(row) for row in rows]


async def all_are_read(site: Site, workers: list[Worker]) -> bool:
    shares = [await worker.assigned_partitions() for worker in workers]
    return all(shares) and set().union(*shares) == set(range(PARTITIONS))


async def test_partitions_that_are_added_are_soon_taken_up_and_nobody_ends(
    site: Site,
) -> None:
    workers = [site.start_worker(), site.start_worker()]
    await wait_until(lambda: all_are_read(site, workers))
    await send(site, messages(0, ride_of(0), "SN0"))
    await add_partitions(site)
    added = list(range(PARTITIONS, PARTITIONS + ADDED))
    begun = time.monotonic()
    for number in added:
        await send(site, messages(number, ride_of(number), f"SN{number}"))
    serials = [f"SN{number}" for number in (0, *added)]
    due = sorted((f"SN{number}", 7000 + number, 10) for number in (0, *added))

    async def are_stored() -> bool:
        return await readings_of(site, *serials) == due

    await wait_until(are_stored, TAKEN_UP_WITHIN_S)
    _log.warning("taken up after %.1f s", time.monotonic() - begun)
    assert all(worker.program.running for worker in workers)
    # What is sent on lies in partitions of the same numbers.
    for number in added:
        sent = await read_topic(site.broker, site.heart_rates_topic, number)
        assert len({record.value for record in sent}) == 10


async def test_a_key_that_moves_to_another_partition_in_mid_ride_takes_its_ride_and_rider_along(
    site: Site,
) -> None:
    """As a producer does that has learnt of more partitions, from one line to the next."""
    workers = [site.start_worker(), site.start_worker()]
    await wait_until(lambda: all_are_read(site, workers))
    ride = ride_of(1, 20)
    before, after = messages(1, ride[:24], "SN1"), messages(5, ride[24:], "SN1", first_offset=0)
    await send(site, before)
    await wait_until_stored(site, before)
    await send(site, after)
    await wait_until_stored(site, [*before, *after])
    assert await readings_of(site, "SN1", "unknown:SN1") == [("SN1", 7001, 20)]
    # The bike goes on for longer than a silence: where it was before, nobody ends its ride.
    begun = time.monotonic()
    more = messages(5, seconds_of_a_ride(21, 60), "SN1", first_offset=len(after))
    for first in range(0, len(more), 2):
        await send(site, more[first : first + 2])
        await asyncio.sleep(1)
        [(ended_at,)] = await fetch(site, "SELECT ended_at FROM rides")
        assert ended_at is None, f"ended after {time.monotonic() - begun:.0f} s"
    await wait_until_stored(site, [*before, *after, *more])
    assert await readings_of(site, "SN1", "unknown:SN1") == [("SN1", 7001, 60)]


async def freeze_in_a_copy(worker: Worker, database: asyncpg.Connection) -> int:
    """Stop the worker while PostgreSQL waits for the rest of a COPY; return the backend's pid."""
    query = """
    SELECT a.pid FROM pg_stat_progress_copy JOIN pg_stat_activity a USING (pid)
    WHERE a.datname = current_database() AND wait_event = 'ClientRead'
    """
    while True:
        if await database.fetchval(query) is None:
            continue
        worker.program.signal(signal.SIGSTOP)
        await asyncio.sleep(0.5)
        if (pid := await database.fetchval(query)) is not None:
            return int(pid)
        worker.program.signal(signal.SIGCONT)


async def offsets(site: Site) -> dict[int, int]:
    """How far each partition is stored."""
    rows = await fetch(site, "SELECT partition, next_offset FROM ingest_offsets")
    return {row["partition"]: row["next_offset"] for row in rows}


async def test_a_worker_frozen_in_mid_copy_is_succeeded_and_wakes_to_nothing(
    site: Site,
) -> None:
    feed = [
        message
        for number in range(PARTITIONS)
        for message in messages(number, ride_of(number, BIG_RIDE_S), f"SN{number}")
    ]
    load = Load(site, sorted(feed, key=lambda message: message.offset), LINES_A_SECOND, len(feed))
    workers = [site.start_worker(), site.start_worker()]
    await wait_until(lambda: all_are_read(site, workers))
    sending = asyncio.create_task(load.send())
    database = await asyncpg.connect(site.database_url)
    try:
        await freeze_in_a_copy(workers[0], database)
    finally:
        await database.close()
    begun, frozen = time.monotonic(), await offsets(site)

    async def all_go_on() -> bool:
        now = await offsets(site)
        return all(now[number] > offset for number, offset in frozen.items())

    await wait_until(all_go_on)
    _log.warning("all partitions went on %.1f s after the freeze", time.monotonic() - begun)
    load.finish()
    await sending
    await wait_until_stored(site, feed)
    workers[0].program.signal(signal.SIGCONT)
    await wait_until(lambda: is_back(workers[0]))
    found = await read_rows(site.database_url)
    expected = Feed(feed).as_of(found.rides)
    assert differences(expected.readings, found.readings) == []
    assert differences(expected.rides, found.rides) == []


async def is_back(worker: Worker) -> bool:
    """Whether a worker that woke has learnt that its partitions were lost, and has some again."""
    lost = "partition lost; nothing of it was written" in worker.program.log_file.read_text()
    return lost and bool(await worker.assigned_partitions())
