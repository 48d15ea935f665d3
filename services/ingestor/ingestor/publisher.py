"""EDGE: heart rates, ride events and dead letters onto Kafka.

Everything goes to the partition that it came from, so that one consumer of a partition sees a
ride in its order. Delivery is at least once: consumers drop repeats by ride and time.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import UnknownTopicOrPartitionError

from deloton.events import HeartRate, RideEnded, RideEvent, RideResumed, RideStarted
from deloton.feed.assembly import Assembled, Ended, Reading, Resumed, Started
from deloton.wire.kafka import client_options, encode
from ingestor.partition_state import REPLAY_HEADER, RefusedRecord
from ingestor.settings import IngestorSettings

Message = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]

# In bytes. Brokers take 1,048,588 a message, headers and all, unless they are told otherwise.
LONGEST_LETTER = 1_000_000
CUT_HEADER = "cut_from_bytes"

_NO_HEADERS: list[tuple[str, bytes]] = []


class Publisher:
    """Sends what came of a batch; returns once the brokers have it."""

    def __init__(self, settings: IngestorSettings) -> None:
        """Describe the way out; `start` connects."""
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; raises what aiokafka raises where no broker answers."""
        self._producer = AIOKafkaProducer(
            **client_options(self._settings),
            acks="all",
            linger_ms=0,
            max_batch_size=262_144,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is still waiting and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def publish(
        self, partition: int, assembled: Assembled, refused: Sequence[RefusedRecord]
    ) -> None:
        """Send heart rates, ride events and dead letters; rides must have their `ride_id`.

        Raises aiokafka's errors where a part may not have arrived: send all again.
        """
        settings = self._settings
        sent = [
            *await self._send(
                settings.heart_rates_topic,
                partition,
                _heart_rates((*assembled.readings, *assembled.amended)),
            ),
            *await self._send(settings.ride_events_topic, partition, _ride_events(assembled)),
            *await self._send(
                settings.dead_letters_topic,
                partition,
                _dead_letters(refused, settings.raw_topic, partition),
            ),
        ]
        if sent:
            await asyncio.gather(*sent)

    async def _send(
        self, topic: str, partition: int, messages: Iterable[Message]
    ) -> list[asyncio.Future[object]]:
        if self._producer is None:
            raise RuntimeError("the publisher has not been started")
        sent = []
        producer = self._producer
        await _know_partition(producer, topic, partition)
        now_ms = int(time.time() * 1000)
        batch = producer.create_batch()
        for key, value, headers in messages:
            if batch.append(timestamp=now_ms, key=key, value=value, headers=headers) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                # The first message of a batch is always taken, however large it is.
                batch.append(timestamp=now_ms, key=key, value=value, headers=headers)
        if batch.record_count():
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        return sent


async def _know_partition(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    """Ask the brokers for a partition that the producer does not know: it was just made.

    Raises `UnknownTopicOrPartitionError`, which passes, where they do not know it yet.
    """
    if partition not in await producer.partitions_for(topic):
        await producer.client.force_metadata_update()
        if partition not in await producer.partitions_for(topic):
            raise UnknownTopicOrPartitionError(f"{topic}[{partition}]")


def _heart_rates(readings: Iterable[Reading]) -> Iterator[Message]:
    for reading in readings:
        if reading.heart_rate_bpm is not None:
            ride = reading.ride
            sample = HeartRate(
                ride.ride_id,  # type: ignore[arg-type]
                ride.rider_id,
                reading.at,
                reading.heart_rate_bpm,
                reading.cadence_rpm,
            )
            yield ride.stream_key, encode(sample), _NO_HEADERS


def _ride_events(assembled: Assembled) -> Iterator[Message]:
    for change in assembled.changes:
        yield change.ride.stream_key, encode(_ride_event(change)), _NO_HEADERS


def _ride_event(change: Started | Ended | Resumed) -> RideEvent:
    ride = change.ride
    ride_id: int = ride.ride_id  # type: ignore[assignment]
    match change:
        case Started():
            return RideStarted(ride_id, ride.bike_serial, ride.started_at, ride.rider_id)
        case Ended():
            return RideEnded(ride_id, ride.bike_serial, change.at, change.reason)
        case Resumed():
            return RideResumed(ride_id, ride.bike_serial, change.at)


def _dead_letters(
    refused: Iterable[RefusedRecord], topic: str, partition: int
) -> Iterator[Message]:
    """The original key and value, and headers that say where they lay and why they are here.

    A message that no broker would take with these headers is cut, and says from how many bytes:
    the whole one lies in the raw topic.
    """
    for letter in refused:
        key, value = letter.record.key, letter.record.value
        headers = [
            ("topic", topic.encode()),
            ("partition", str(partition).encode()),
            ("offset", str(letter.record.offset).encode()),
            ("reason", letter.refusal.reason.encode()),
            ("detail", letter.refusal.detail.encode()),
            *(header for header in letter.record.headers if header[0] == REPLAY_HEADER),
        ]
        size = len(key or b"") + len(value or b"")
        if size > LONGEST_LETTER:
            headers.append((CUT_HEADER, str(size).encode()))
            key = key and key[: LONGEST_LETTER // 2]
            value = value and value[: LONGEST_LETTER // 2]
        yield key, value, headers
