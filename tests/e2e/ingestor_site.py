"""A raw topic with a damaged feed, the workers that read it, and how far they have got."""

import asyncio
import math
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import asyncpg
from aiohttp import ClientConnectionError, ClientSession
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from bike_simulator import FaultRates, FleetPlan, simulate
from demo.embedded_broker import EmbeddedBroker
from demo.guardian import Guardian
from demo.ports import LOCALHOST, free_port
from demo.processes import Program, inherit_environment
from tests.oracle.straightforward import (
    Expected,
    RawMessage,
    RideKey,
    Row,
    Streams,
    expected_rows,
    read_streams,
)
from tests.roles import as_role

PARTITIONS = 8
# A Monday morning: bikes are ridden often and stand still for seconds, minutes or longer.
START_AT = datetime(2026, 3, 2, 7, tzinfo=UTC)
FAULTS = FaultRates(
    cut=0.003,
    cut_text=0.003,
    lost_half=0.003,
    duplicate=0.003,
    not_json=0.003,
    not_utf8=0.003,
    no_log=0.003,
    unknown_kind=0.003,
    lost_marker=0.3,
    lost_system=0.15,
    odd_rider=0.3,
)
BROKEN_POWER_SENSORS = 3
# One bike's messages bear no key; other bikes share its partition.
KEYLESS_BIKE = b"SN0007"
PRODUCED_AT_ONCE = 500
ASK_EVERY_S = 0.05


@dataclass(frozen=True)
class Feed:
    """The messages of a fleet as the raw topic will hold them, and what must come of them."""

    messages: list[RawMessage]

    @cached_property
    def streams(self) -> Streams:
        """The lines of each bike."""
        return read_streams(self.messages)

    @cached_property
    def in_progress(self) -> Expected:
        """The rows as soon as all messages are stored: last rides are in progress."""
        return expected_rows(self.streams, waited=False)

    @cached_property
    def after_silence(self) -> Expected:
        """The rows half a minute later."""
        return expected_rows(self.streams, waited=True)

    def as_of(self, stored: Mapping[RideKey, Row]) -> Expected:
        """The rows when these rides were stored: on a busy machine, some have ended by silence.

        A worker that needs half a minute for the longest partition has been waiting at the others'
        ends.
        """
        in_progress = self.in_progress.rides
        over = {
            key
            for key, row in stored.items()
            if row["ended_at"] and key in in_progress and not in_progress[key]["ended_at"]
        }
        if not over:
            return self.in_progress
        silent = {
            stream
            for stream, lines in self.streams.items()
            if expected_rows({stream: lines}, waited=False).rides.keys() & over
        }
        return expected_rows(self.streams, waited=silent)


@dataclass(frozen=True)
class Worker:
    """A process that runs the ingestor, and the port of its pages."""

    program: Program
    port: int

    def end(self, number: signal.Signals) -> None:
        """End it by SIGTERM, which lets it finish its batches, or by SIGKILL."""
        if number == signal.SIGKILL:
            self.program.kill()
        else:
            self.program.stop()

    async def assigned_partitions(self) -> set[int]:
        """The partitions it says it works on; none before its pages answer."""
        try:
            async with ClientSession() as session, session.get(self._health_url) as answer:
                return set((await answer.json())["assigned_partitions"])
        except ClientConnectionError:
            return set()

    @property
    def _health_url(self) -> str:
        return f"http://{LOCALHOST}:{self.port}/health"


@dataclass(frozen=True)
class Site:
    """Where a test's messages go and its rows come from; `name` is no other test's."""

    broker: EmbeddedBroker
    guardian: Guardian
    database_url: str
    folder: Path
    name: str
    workers: list[Worker] = field(default_factory=list)

    @property
    def raw_topic(self) -> str:
        return f"deloton-{self.name}"

    @property
    def heart_rates_topic(self) -> str:
        return f"heart-rates-{self.name}"

    @property
    def ride_events_topic(self) -> str:
        return f"ride-events-{self.name}"

    @property
    def dead_letters_topic(self) -> str:
        return f"dead-letters-{self.name}"

    async def create_raw_topic(self) -> None:
        """The one topic that the ingestor does not create."""
        await self.broker.create_topic(self.raw_topic, PARTITIONS)

    def start_worker(self) -> Worker:
        """One more ingestor, which ends with the site at the latest."""
        port = free_port()
        environment = inherit_environment(
            DATABASE_URL=as_role(self.database_url, "ingestor"),
            KAFKA_BOOTSTRAP_SERVERS=self.broker.bootstrap_servers,
            RAW_TOPIC=self.raw_topic,
            HEART_RATES_TOPIC=self.heart_rates_topic,
            RIDE_EVENTS_TOPIC=self.ride_events_topic,
            DEAD_LETTERS_TOPIC=self.dead_letters_topic,
            CONSUMER_GROUP=f"ingestor-{self.name}",
            METRICS_PORT=str(port),
            SESSION_TIMEOUT_S="1.5",
            PACK_AFTER_S="0",
            LOG_LEVEL="INFO",
        )
        name = f"ingestor-{len(self.workers)}"
        command = [sys.executable, "-m", "ingestor"]
        log_file = self.folder / f"{name}.log"
        program = Program(self.guardian, name, command, log_file, environment=environment)
        program.start()
        self.workers.append(Worker(program, port))
        return self.workers[-1]

    def end_workers(self) -> None:
        """Kill whatever still runs."""
        for worker in self.workers:
            worker.program.kill()


def damaged_feed(*, bikes: int, hours: float) -> Feed:
    """A fleet's messages with every kind of fault, where the raw topic will hold them."""
    plan = FleetPlan(
        START_AT,
        bikes,
        until_at=START_AT + timedelta(hours=hours),
        faults=FAULTS,
        broken_power_sensors=BROKEN_POWER_SENSORS,
        firmwares=("mendoza v9", "mendoza v10"),
    )
    next_offset: Counter[int] = Counter()
    messages = []
    for bike, value, _ in simulate(plan):
        partition = (murmur2(bike) & 0x7FFFFFFF) % PARTITIONS
        key = None if bike == KEYLESS_BIKE else bike
        messages.append(RawMessage(partition, next_offset[partition], key, value))
        next_offset[partition] += 1
    return Feed(messages)


@dataclass
class Load:
    """A feed on its way to the topic: so many messages a second, none from `up_to` on."""

    site: Site
    messages: Sequence[RawMessage]
    a_second: float
    up_to: int = 0

    def finish(self) -> None:
        """Let all the rest go at once."""
        self.a_second, self.up_to = math.inf, len(self.messages)

    async def send(self) -> None:
        """Return once all messages have been sent."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self.site.broker.bootstrap_servers,
            acks="all",
            max_batch_size=1_000_000,
        )
        await producer.start()
        begun = time.monotonic()
        try:
            for first in range(0, len(self.messages), PRODUCED_AT_ONCE):
                while first >= self.up_to or time.monotonic() < begun + first / self.a_second:
                    await asyncio.sleep(ASK_EVERY_S)
                due = self.messages[first : first + PRODUCED_AT_ONCE]
                await _produce_now(producer, self.site, due)
        finally:
            await producer.stop()


async def _produce_now(
    producer: AIOKafkaProducer, site: Site, messages: Sequence[RawMessage]
) -> None:
    by_partition: dict[int, list[RawMessage]] = {}
    for message in messages:
        by_partition.setdefault(message.partition, []).append(message)
    for partition, own in by_partition.items():
        batch = producer.create_batch()
        for message in own:
            assert batch.append(key=message.key, value=message.value, timestamp=None)
        acknowledged = await producer.send_batch(batch, site.raw_topic, partition=partition)
        assert (await acknowledged).offset == own[0].offset


async def ride_ids(site: Site) -> dict[RideKey, int]:
    """The numbers of all rides stored by now."""
    rows = await fetch(site, "SELECT ride_id, bike_serial, started_at FROM rides")
    return {(row["bike_serial"], row["started_at"]): row["ride_id"] for row in rows}


async def fetch(site: Site, query: str, *arguments: object) -> list[asyncpg.Record]:
    """The rows of one query."""
    database = await asyncpg.connect(site.database_url)
    try:
        return list(await database.fetch(query, *arguments))
    finally:
        await database.close()


async def wait_until_stored(site: Site, messages: Sequence[RawMessage]) -> None:
    """Return once no message waits: the lag is zero."""
    end_offsets = dict(Counter(message.partition for message in messages))
    await wait_for_offsets(site, lambda stored: stored == end_offsets)


async def wait_until_packed(site: Site) -> None:
    """Return once every ride that has ended by now is packed."""

    async def none_waits() -> bool:
        return not await fetch(site, "SELECT FROM rides_to_pack")

    await wait_until(none_waits)


async def wait_until_more_is_stored(site: Site) -> None:
    """Return once a batch has been stored after this call."""
    seen: list[dict[int, int]] = []

    def are_more(stored: dict[int, int]) -> bool:
        seen.append(stored)
        return stored != seen[0]

    await wait_for_offsets(site, are_more)


async def wait_for_offsets(site: Site, enough: Callable[[dict[int, int]], bool]) -> None:
    """Look again and again how many messages of each partition are stored."""
    database = await asyncpg.connect(site.database_url)

    async def are_enough() -> bool:
        rows = await database.fetch(
            "SELECT partition, next_offset FROM ingest_offsets WHERE topic = $1", site.raw_topic
        )
        return enough({row["partition"]: row["next_offset"] for row in rows if row["next_offset"]})

    try:
        await wait_until(are_enough)
    finally:
        await database.close()


async def wait_until(true: Callable[[], Awaitable[bool]], within_s: float = 300.0) -> None:
    """Ask again and again; TimeoutError if it does not come true."""
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(ASK_EVERY_S)
