"""How long a backlog is: a benchmark that counts too few lines is over too early."""

from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer

from benchmarks.system import length_of
from demo.embedded_broker import EmbeddedBroker
from tests.kafka.apache_kafka import ApacheKafka

# Benchmarks run on the embedded broker alone.
pytestmark = pytest.mark.embedded


async def test_the_last_batch_of_each_partition_is_counted(
    broker: EmbeddedBroker | ApacheKafka, make_topic: Callable[..., Awaitable[str]]
) -> None:
    topic = await make_topic(partitions=2)
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        for partition, size in [(0, 30), (1, 500), (0, 70), (1, 1)]:
            batch = producer.create_batch()
            for _ in range(size):
                batch.append(key=b"SN0001", value=b"a line", timestamp=None)
            await (await producer.send_batch(batch, topic, partition=partition))
    assert await length_of(topic, broker.bootstrap_servers) == 601


async def test_an_empty_topic_has_no_lines(
    broker: EmbeddedBroker | ApacheKafka, make_topic: Callable[..., Awaitable[str]]
) -> None:
    assert await length_of(await make_topic(partitions=2), broker.bootstrap_servers) == 0
