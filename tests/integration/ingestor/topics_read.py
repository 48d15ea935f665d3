"""What lies in a topic, and settings of an ingestor that writes to topics of the test's own."""

from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from demo.embedded_broker import EmbeddedBroker
from ingestor.settings import IngestorSettings


def settings_for(
    broker: EmbeddedBroker, name: str, database_url: str = "postgresql://db"
) -> IngestorSettings:
    """Settings whose topics all end in a name."""
    return IngestorSettings.model_validate(
        {
            "database_url": database_url,
            "kafka_bootstrap_servers": broker.bootstrap_servers,
            "raw_topic": f"raw-{name}",
            "heart_rates_topic": f"heart-rates-{name}",
            "ride_events_topic": f"ride-events-{name}",
            "dead_letters_topic": f"dead-letters-{name}",
        }
    )


async def read_topic(
    broker: EmbeddedBroker, topic: str, partition: int = 0
) -> list[ConsumerRecord]:
    """Every record of a partition, from its beginning to its present end."""
    where = TopicPartition(topic, partition)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign([where])
        end = (await consumer.end_offsets([where]))[where]
        found: list[ConsumerRecord] = []
        while await consumer.position(where) < end:
            for records in (await consumer.getmany(where, timeout_ms=500)).values():
                found += records
        return found
    finally:
        await consumer.stop()


async def send(
    broker: EmbeddedBroker,
    topic: str,
    messages: Sequence[tuple[bytes | None, bytes | None]],
    partition: int = 0,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    """Produce keys and values to a partition, in their order."""
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    await producer.start()
    try:
        for key, value in messages:
            await producer.send(
                topic, key=key, value=value, partition=partition, headers=list(headers)
            )
        await producer.flush()
    finally:
        await producer.stop()
