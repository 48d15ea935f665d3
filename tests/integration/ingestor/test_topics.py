"""The topics that are written have as many partitions as the raw one, and are made by us."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from demo.embedded_broker import EmbeddedBroker
from ingestor.settings import IngestorSettings
from ingestor.topics import ensure_topics
from tests.conftest import unique
from tests.integration.ingestor.topics_read import settings_for


async def partition_counts(broker: EmbeddedBroker, settings: IngestorSettings) -> dict[str, int]:
    """How many partitions each of the topics that are written has."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    described = await admin.describe_topics(await admin.list_topics())
    await admin.close()
    wanted = (settings.heart_rates_topic, settings.ride_events_topic, settings.dead_letters_topic)
    return {
        topic["topic"].split("-topics")[0]: len(topic["partitions"])
        for topic in described
        if topic["topic"] in wanted
    }


async def counts_become(
    broker: EmbeddedBroker, settings: IngestorSettings, expected: dict[str, int]
) -> None:
    """Wait until the brokers have heard of it: Kafka tells who asks a little later."""
    while (counts := await partition_counts(broker, settings)) != expected:
        assert all(counts[topic] <= expected[topic] for topic in counts)
        await asyncio.sleep(0.1)


async def test_topics_are_made_as_wide_as_the_raw_one(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker, unique("topics"))
    await broker.create_topic(settings.raw_topic, 3)
    for _ in range(2):
        await ensure_topics(settings)
    expected = {"heart-rates": 3, "ride-events": 3, "dead-letters": 3}
    await counts_become(broker, settings, expected)


async def test_topics_that_are_wider_are_left_as_they_are(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker, unique("topics"))
    await broker.create_topic(settings.raw_topic, 2)
    await broker.create_topic(settings.ride_events_topic, 6)
    await ensure_topics(settings)
    expected = {"heart-rates": 2, "ride-events": 6, "dead-letters": 2}
    await counts_become(broker, settings, expected)


async def test_workers_that_make_topics_at_once_do_not_disturb_each_other(
    broker: EmbeddedBroker,
) -> None:
    settings = settings_for(broker, unique("topics"))
    await broker.create_topic(settings.raw_topic, 2)
    await asyncio.gather(*(ensure_topics(settings) for _ in range(4)))
    expected = {"heart-rates": 2, "ride-events": 2, "dead-letters": 2}
    await counts_become(broker, settings, expected)


async def test_the_raw_topic_is_waited_for_and_never_made(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker, unique("topics"))
    waiting = asyncio.create_task(ensure_topics(settings))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    assert await partition_counts(broker, settings) == {}
    await broker.create_topic(settings.raw_topic, 2)
    await waiting
    expected = {"heart-rates": 2, "ride-events": 2, "dead-letters": 2}
    await counts_become(broker, settings, expected)


async def test_heart_rates_are_kept_for_a_day(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker, unique("topics"))
    await broker.create_topic(settings.raw_topic, 1)
    await ensure_topics(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    resource = ConfigResource(ConfigResourceType.TOPIC, settings.heart_rates_topic)
    [answer] = await admin.describe_configs([resource])
    await admin.close()
    configs = {name: value for name, value, *_ in answer.resources[0][4]}
    assert configs["retention.ms"] == "86400000"
