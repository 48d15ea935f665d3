"""What the transport does about topics that its consumer does not know, on a real Apache Kafka."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ingestor.transport import look_for_topic
from tests.conftest import unique
from tests.kafka.apache_kafka import ApacheKafka

LOOK_EVERY_S = 0.2


@pytest.mark.kafka
async def test_a_topic_that_was_not_known_is_shared_out_as_soon_as_it_is(
    broker: ApacheKafka,
) -> None:
    topic = unique("late")
    async with AIOKafkaConsumer(**broker.client_options, group_id=topic) as consumer:
        consumer.subscribe([topic])
        await look_for_topic(consumer, topic)
        assert consumer.assignment() == set()
        await broker.create_topic(topic, partitions=1)
        while not consumer.assignment():
            await look_for_topic(consumer, topic)
            await asyncio.sleep(LOOK_EVERY_S)
        assert consumer.assignment() == {TopicPartition(topic, 0)}
