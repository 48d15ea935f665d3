"""EDGE: the topics that the ingestor writes: made when missing, in the shape of the raw one."""

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import InvalidPartitionsError, KafkaError, TopicAlreadyExistsError, for_code
from msgspec import Struct

from deloton.running.logs import get_logger
from deloton.wire.kafka import client_options
from ingestor.settings import IngestorSettings

_log = get_logger(__name__)

_DAY_MS = 24 * 60 * 60 * 1000


class TopicShape(Struct, frozen=True):
    """Over how many partitions and how many brokers a topic is spread."""

    partitions: int
    replicas: int


def topic_configs(settings: IngestorSettings) -> dict[str, dict[str, str]]:
    """Each topic's settings.

    Heart rates are of use for minutes: a day is kept for looking into an incident. Ride events
    and dead letters are kept as long as the raw topic keeps its lines, about 90 days.
    """
    return {
        settings.heart_rates_topic: {"retention.ms": str(_DAY_MS)},
        settings.ride_events_topic: {"retention.ms": str(90 * _DAY_MS)},
        settings.dead_letters_topic: {"retention.ms": str(90 * _DAY_MS)},
    }


async def ensure_topics(settings: IngestorSettings, at_least: int = 0) -> None:
    """Make the topics that are written, or widen them to the raw topic's number of partitions.

    They get `at_least` so many: who was given a partition knows better than a broker that has
    not heard of it yet. Waits for the raw topic, which is not ours to make. Raises `KafkaError`
    where the cluster refuses or cannot be reached.
    """
    admin = AIOKafkaAdminClient(**client_options(settings))
    await admin.start()
    try:
        raw = await _wait_for_topic(admin, settings.raw_topic)
        existing = await _shapes(admin)
        for topic, config in topic_configs(settings).items():
            if topic not in existing:
                await _create(admin, topic, raw, config)
            elif existing[topic].partitions < (wanted := max(raw.partitions, at_least)):
                await _widen(admin, topic, wanted)
    finally:
        await admin.close()


async def _wait_for_topic(admin: AIOKafkaAdminClient, topic: str) -> TopicShape:
    while (shape := (await _shapes(admin)).get(topic)) is None:
        _log.warning("the raw topic does not exist yet; waiting", topic=topic)
        await asyncio.sleep(2)
    return shape


async def _create(
    admin: AIOKafkaAdminClient, topic: str, shape: TopicShape, config: dict[str, str]
) -> None:
    wanted = NewTopic(topic, shape.partitions, shape.replicas, topic_configs=config)
    try:
        _raise_refusals(await admin.create_topics([wanted]))
    except TopicAlreadyExistsError:
        # Another worker was faster.
        return
    _log.info("topic made", topic=topic, partitions=shape.partitions)


async def _widen(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> None:
    try:
        _raise_refusals(await admin.create_partitions({topic: NewPartitions(partitions)}))
    except InvalidPartitionsError:
        # Another worker was faster.
        return
    _log.info("topic widened", topic=topic, partitions=partitions)


async def _shapes(admin: AIOKafkaAdminClient) -> dict[str, TopicShape]:
    """The shape of every topic there is; asking for one by name could make it."""
    described = await admin.describe_topics(await admin.list_topics())
    return {
        topic["topic"]: TopicShape(
            len(topic["partitions"]), len(topic["partitions"][0]["replicas"])
        )
        for topic in described
        if topic["partitions"]
    }


def _raise_refusals(response: Any) -> None:  # noqa: ANN401 - aiokafka's responses have no types
    for _, code, *_ in response.topic_errors:
        if code:
            error: type[KafkaError] = for_code(code)
            raise error
