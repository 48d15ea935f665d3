"""EDGE: heart rates from Kafka: whole answers of the broker, offsets committed when told to."""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from typing import Any

import aiokafka
import msgspec
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from msgspec import Struct

from deloton.events import FIRST_MOMENT, LAST_MOMENT, HeartRate
from deloton.running.logs import get_logger
from deloton.wire import kafka
from hr_alerter import metrics
from hr_alerter.settings import AlerterSettings

_log = get_logger(__name__)

# An answer waits for so long at most; with so many records a time the memory is bounded.
POLL_MS = 200
FETCH_MAX_WAIT_MS = 50
RECORDS_AT_ONCE = 5_000
FETCH_BYTES = 262_144
# A topic that grew is noticed so soon.
METADATA_MAX_AGE_MS = 10_000
COMMIT_WITHIN_S = 5.0
# Of a partition that the broker has not told of for so long, nobody knows where it ends.
KNOWN_FOR_S = 15.0

_decoder = msgspec.json.Decoder(HeartRate)


class Batch(Struct, frozen=True):
    """What came of a partition: readings with their offsets, and where the next ones begin.

    `arrived_at` is when the newest record came to Kafka, in seconds since the epoch.
    """

    samples: list[tuple[int, HeartRate]]
    next_offset: int
    arrived_at: float


class TopicReader:
    """A consumer of the group; it connects when it is started."""

    def __init__(self, settings: AlerterSettings) -> None:
        """Describe the consumer."""
        self._settings = settings
        self._topic = settings.heart_rates_topic
        self._consumer: Any = None
        self._committed: dict[int, int] = {}
        self._heard_at = 0.0

    async def start(self, listener: ConsumerRebalanceListener) -> None:
        """Connect and ask for partitions, which the listener is told of.

        Raises what aiokafka raises where the broker is away; then it can be started again.
        """
        consumer = aiokafka.AIOKafkaConsumer(**_options(self._settings))
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        consumer.subscribe([self._topic], listener=listener)
        self._consumer = consumer
        self.hear()

    async def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def topic_exists(self) -> bool:
        """Whether the topic exists yet."""
        return await kafka.topic_exists(self._settings, self._topic)

    async def read(self) -> dict[int, Batch]:
        """What has come, by partition; empty where nothing has."""
        found: Mapping[aiokafka.TopicPartition, list[Any]] = await self._consumer.getmany(
            timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE
        )
        return {tp.partition: _batch_of(records) for tp, records in found.items() if records}

    def hear(self) -> None:
        """Note that the broker has been heard of now."""
        self._heard_at = time.time()

    def silent_s(self) -> float:
        """For how long the broker has said nothing: it answers at least each 50 ms when asked.

        A consumer without partitions asks nothing, so nothing is missed.
        """
        assigned = self._consumer.assignment()
        polled = [self._consumer.last_poll_timestamp(tp) or 0 for tp in assigned]
        self._heard_at = max(self._heard_at, *(at_ms / 1000 for at_ms in polled), 0.0)
        return time.time() - self._heard_at

    def lag(self, partition: int, next_offset: int | None) -> float:
        """How many records wait, NaN where that is not known.

        `next_offset` is None where none has come yet: then none waited at the last answer.
        """
        # What aiokafka makes of a partition that is not, or no longer, ours to ask about.
        with contextlib.suppress(AssertionError, AttributeError, IllegalStateError):
            tp = self._at(partition)
            end: int | None = self._consumer.highwater(tp)
            told_at = (self._consumer.last_poll_timestamp(tp) or 0) / 1000
            if end is not None and time.time() - told_at <= KNOWN_FOR_S:
                return 0.0 if next_offset is None else max(0.0, end - next_offset)
        return math.nan

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the offsets that moved; what fails is committed the next time."""
        moved = {n: offset for n, offset in offsets.items() if self._committed.get(n) != offset}
        if not moved:
            return
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await self._consumer.commit({self._at(n): at for n, at in moved.items()})
        except (CommitFailedError, IllegalStateError):
            _log.info("partitions lost before their offsets were committed")
        except (KafkaError, TimeoutError) as error:
            if not kafka.is_transient(error):
                raise
            _log.warning("offsets not committed", error=type(error).__name__)
        else:
            self._committed |= moved

    def forget(self, partition: int) -> None:
        """It is no longer ours: what was committed is not known any more."""
        self._committed.pop(partition, None)

    def _at(self, partition: int) -> aiokafka.TopicPartition:
        return aiokafka.TopicPartition(self._topic, partition)


def _options(settings: AlerterSettings) -> dict[str, Any]:
    session_ms = int(settings.session_timeout_s * 1000)
    return {
        **kafka.client_options(settings),
        "client_id": "hr-alerter",
        "group_id": settings.alerter_group,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "session_timeout_ms": session_ms,
        "rebalance_timeout_ms": session_ms,
        "heartbeat_interval_ms": session_ms // 5,
        "fetch_max_wait_ms": FETCH_MAX_WAIT_MS,
        "max_partition_fetch_bytes": FETCH_BYTES,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
    }


def _decode(value: bytes) -> HeartRate:
    sample = _decoder.decode(value)
    if not FIRST_MOMENT < sample.measured_at < LAST_MOMENT:
        raise msgspec.ValidationError("a time that no clock shows")
    return sample


def _batch_of(records: list[Any]) -> Batch:
    samples = []
    for record in records:
        try:
            samples.append((record.offset, _decode(record.value or b"")))
        except msgspec.DecodeError as error:
            metrics.UNREADABLE.inc()
            where = {"partition": record.partition, "offset": record.offset}
            _log.warning("no heart rate; left out", **where, reason=str(error))
    return Batch(samples, records[-1].offset + 1, records[-1].timestamp / 1000)
