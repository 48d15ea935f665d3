"""What the ingestor is compared to: `python -m benchmarks.contenders KIND`.

- `stock-nothing`: a stock Faust agent that does nothing with a message;
- `stock-work`: a stock Faust agent that does the ingestor's work a message at a time, as Faust is
  usually written: without rides, totals, dead letters and offsets, so it is spared a good deal;
- `read`: aiokafka's `getmany`, doing nothing with what it reads;
- `copy`: readings into PostgreSQL by COPY, made beforehand, with nothing else to do.

Each writes to standard output how many messages (readings) it has done so far.
"""

import logging
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import faust
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import StreamT

from deloton.events import HeartRate
from deloton.feed.assembly import Assembled, Reading, Ride, Stream
from deloton.feed.log_lines import DoubtfulLine, Refusal, parse_message
from deloton.testing import a_record
from deloton.wire.kafka import client_options, encode
from ingestor.copy_format import READING_COLUMNS, encode_readings
from ingestor.settings import IngestorSettings

Handler = Callable[[bytes, bytes], Awaitable[None]]

REPORT_EVERY = 500
COPY_ROWS = 10_000
COPY_RIDE_S = 500


def stock_faust(kind: str, settings: IngestorSettings) -> None:
    """Run a stock Faust worker with one agent over the raw topic."""
    app = faust.App(
        kind,
        broker=f"kafka://{settings.kafka_bootstrap_servers}",
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        broker_session_timeout=3.0,
        broker_heartbeat_interval=0.6,
        broker_rebalance_timeout=3.0,
        datadir=tempfile.mkdtemp(),
    )
    raw = app.topic(settings.raw_topic, value_type=bytes, value_serializer="raw")
    handle = _do_nothing if kind == "stock-nothing" else _do_the_work(app, settings)

    async def agent(stream: StreamT[bytes]) -> None:
        done = 0
        async for event in stream.events():
            await handle(event.message.key or b"", event.value)
            done += 1
            if done % REPORT_EVERY == 0:
                _report(done)

    app.agent(raw)(agent)
    worker = faust.Worker(app, loglevel="ERROR", quiet=True, redirect_stdouts=False)
    worker.execute_from_commandline()


async def _do_nothing(_: bytes, __: bytes) -> None:
    return


def _do_the_work(app: faust.App, settings: IngestorSettings) -> Handler:
    streams: dict[bytes, Stream] = {}
    heart_rates = app.topic(settings.heart_rates_topic, value_serializer="raw")
    connections: list[asyncpg.Connection] = []

    async def store(ride_id: int, reading: Reading) -> None:
        if not connections:
            connections.append(await asyncpg.connect(settings.database_url.get_secret_value()))
        await connections[0].execute(
            "INSERT INTO readings VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            ride_id,
            reading.at,
            reading.elapsed_s,
            reading.heart_rate_bpm,
            reading.cadence_rpm,
            reading.resistance,
            reading.power_watts,
        )

    async def handle(key: bytes, value: bytes) -> None:
        line = parse_message(value)
        if isinstance(line, Refusal | DoubtfulLine):
            return
        out = Assembled()
        stream = streams.setdefault(key, Stream(key))
        stream.accept(line, a_record(value, key=key), out)
        for reading in out.readings:
            ride_id = id(stream)
            await store(ride_id, reading)
            if reading.heart_rate_bpm is not None:
                sample = HeartRate(ride_id, None, reading.at, reading.heart_rate_bpm)
                await heart_rates.send(key=key, value=encode(sample))

    return handle


async def read(settings: IngestorSettings) -> None:
    """Read the raw topic from its beginning for ever."""
    consumer = AIOKafkaConsumer(**client_options(settings), max_poll_records=20_000)
    await consumer.start()
    await consumer._client.fetch_all_metadata()  # noqa: SLF001 - no public way
    known = consumer._client.cluster.partitions_for_topic(settings.raw_topic)  # noqa: SLF001
    consumer.assign([TopicPartition(settings.raw_topic, number) for number in known])
    await consumer.seek_to_beginning()
    done = 0
    while True:
        batches = await consumer.getmany(timeout_ms=1000)
        done += sum(map(len, batches.values()))
        _report(done)


async def copy(settings: IngestorSettings) -> None:
    """COPY the same kind of readings for ever, into a database of its own."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    day = datetime(2026, 3, 2, tzinfo=UTC)
    await connection.execute(
        "CREATE TABLE readings_20260302 PARTITION OF readings "
        "FOR VALUES FROM ('2026-03-02 00:00+00') TO ('2026-03-03 00:00+00')"
    )
    rides = [Ride.begin(b"", "", day, None) for _ in range(COPY_ROWS // COPY_RIDE_S)]
    readings = [
        Reading(
            ride=ride,
            at=day + timedelta(seconds=second),
            elapsed_s=float(second),
            heart_rate_bpm=120,
            cadence_rpm=60,
            resistance=30,
            power_watts=55.12345678,
        )
        for ride in rides
        for second in range(COPY_RIDE_S)
    ]
    for batch in range(1_000_000):
        for number, ride in enumerate(rides):
            ride.ride_id = batch * len(rides) + number
        await connection.copy_to_table(
            "readings",
            source=_chunk(encode_readings(readings)),
            columns=READING_COLUMNS,
            format="binary",
        )
        _report((batch + 1) * COPY_ROWS)


async def _chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _report(done: int) -> None:
    print(done, flush=True)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    kind, settings = sys.argv[1], IngestorSettings.from_environment()
    match kind:
        case "stock-nothing" | "stock-work":
            stock_faust(kind, settings)
        case "read":
            uvloop.run(read(settings))
        case "copy":
            uvloop.run(copy(settings))
        case _:
            sys.exit(f"no contender is called {kind!r}")
