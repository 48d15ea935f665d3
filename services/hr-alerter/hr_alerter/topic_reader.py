"""EDGE: heart rates from Kafka: whole answers of the broker, offsets committed when told to."""

from collections.abc import Mapping
from typing import Any

import aiokafka
import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

from deloton import kafka
from deloton.events import HeartRate
from deloton.logs import get_logger
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

_decode = msgspec.json.Decoder(HeartRate).decode


class Batch(Struct, frozen=True):
    """What came of a partition: readings with their offsets, and where the next ones begin.

    `arrived_at` is when the newest record came to Kafka, in seconds since the epoch.
    """

    samples: list[tuple[int, HeartRate]]
    next_offset: int
    arrived_at: float


def make_consumer(settings: AlerterSettings) -> aiokafka.AIOKafkaConsumer:
    """A consumer of the group; it connects when it is started."""
    session_ms = int(settings.session_timeout_s * 1000)
    return aiokafka.AIOKafkaConsumer(
        **kafka.client_options(settings),
        client_id="hr-alerter",
        group_id=settings.alerter_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms,
        heartbeat_interval_ms=session_ms // 5,
        fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
        max_partition_fetch_bytes=FETCH_BYTES,
        metadata_max_age_ms=METADATA_MAX_AGE_MS,
    )


async def topic_exists(settings: AlerterSettings) -> bool:
    """Whether the topic exists yet; asking for it by name could make it, in the wrong shape."""
    admin = AIOKafkaAdminClient(**kafka.client_options(settings))
    await admin.start()
    try:
        return settings.heart_rates_topic in await admin.list_topics()
    finally:
        await admin.close()


async def read_batches(consumer: aiokafka.AIOKafkaConsumer) -> dict[int, Batch]:
    """What has come, by partition; empty where nothing has."""
    found: Mapping[aiokafka.TopicPartition, list[Any]] = await consumer.getmany(
        timeout_ms=POLL_MS, max_records=RECORDS_AT_ONCE
    )
    return {tp.partition: _batch_of(records) for tp, records in found.items() if records}


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
