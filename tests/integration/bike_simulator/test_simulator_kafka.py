"""The simulator against a real broker over TCP."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bike_simulator import FleetPlan, Message, simulate, simulate_windows
from bike_simulator.app import Player
from bike_simulator.kafka import KafkaOutlet, TopicMissing, partition_finder
from bike_simulator.pacing import AT_ONCE
from bike_simulator.settings import Settings
from demo.embedded_broker import EmbeddedBroker
from demo.guardian import Guardian
from tests.kafka.apache_kafka import ApacheKafka

START_AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
PLAN = FleetPlan(START_AT, 20, until_at=START_AT + timedelta(minutes=10), back_to_back=True)
PARTITIONS = 4

Lines = dict[bytes, list[bytes]]


def by_key(messages: list[Message]) -> Lines:
    lines: Lines = defaultdict(list)
    for message in messages:
        lines[message.key].append(message.value)
    return lines


async def read_all(servers: str, topic: str) -> list[Any]:
    partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        missing = sum((await consumer.end_offsets(partitions)).values())
        records: list[Any] = []
        # The embedded broker tells of an end that lies before the records it got last.
        batches = None
        while batches or len(records) < missing:
            batches = await consumer.getmany(timeout_ms=1500)
            for batch in batches.values():
                records += batch
        return records
    finally:
        await consumer.stop()


async def test_a_fleet_arrives_whole_in_order_and_in_the_right_partitions(
    broker: EmbeddedBroker, make_topic: Callable[..., Awaitable[str]]
) -> None:
    topic = await make_topic("deloton", partitions=PARTITIONS)
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, raw_topic=topic)
    await Player(KafkaOutlet(settings), AT_ONCE).play(simulate_windows(PLAN))
    records = await read_all(broker.bootstrap_servers, topic)
    arrived: Lines = defaultdict(list)
    for record in records:
        assert record.partition == partition_finder(PARTITIONS)(record.key)
        arrived[record.key].append(record.value)
    assert arrived == by_key(list(simulate(PLAN)))


async def test_records_bear_the_time_of_their_lines_but_none_to_come(
    broker: EmbeddedBroker, make_topic: Callable[..., Awaitable[str]]
) -> None:
    topic = await make_topic("deloton", partitions=PARTITIONS)
    before_ms = datetime.now(UTC).timestamp() * 1000 - 1
    past_us, to_come_us = 1_772_442_000_123_456, 32_503_680_000_000_000
    outlet = KafkaOutlet(Settings(bootstrap_servers=broker.bootstrap_servers, raw_topic=topic))
    await outlet.open()
    await outlet.deliver([Message(b"SN0000", b"{}", at_us) for at_us in (past_us, to_come_us)])
    await outlet.close()
    past, present = await read_all(broker.bootstrap_servers, topic)
    assert past.timestamp == 1_772_442_000_123
    assert before_ms <= present.timestamp <= datetime.now(UTC).timestamp() * 1000


async def test_a_missing_topic_is_waited_for_and_then_named(broker: EmbeddedBroker) -> None:
    async def no_sleep(_seconds: float) -> None: ...

    settings = Settings(bootstrap_servers=broker.bootstrap_servers, raw_topic="not-there")
    with pytest.raises(TopicMissing, match="not-there"):
        await KafkaOutlet(settings, sleep=no_sleep).open()


async def test_the_topic_is_created_when_asked_for(broker: EmbeddedBroker) -> None:
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, raw_topic="made-by-simulator")
    for _ in range(2):
        outlet = KafkaOutlet(settings, create_partitions=3)
        await outlet.open()
        await outlet.close()


@pytest.mark.kafka
async def test_a_broker_that_goes_away_and_comes_back_gets_the_rest_in_order(
    guardian: Guardian,
) -> None:
    with ApacheKafka(guardian) as kafka:
        await kafka.create_topic("deloton", PARTITIONS)
        outlet = KafkaOutlet(Settings(bootstrap_servers=kafka.bootstrap_servers))
        await outlet.open()
        messages = list(simulate(PLAN))
        first, rest = messages[: len(messages) // 2], messages[len(messages) // 2 :]
        await outlet.deliver(first)
        kafka.kill()
        delivery = asyncio.create_task(outlet.deliver(rest))
        await asyncio.sleep(0.5)
        assert not delivery.done()
        kafka.start()
        await delivery
        await outlet.close()
        records = await read_all(kafka.bootstrap_servers, "deloton")
    arrived = [Message(record.key, record.value, 0) for record in records]
    assert by_key(arrived) == by_key(messages)
