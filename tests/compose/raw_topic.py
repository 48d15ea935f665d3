"""Every message of the raw topic, read from inside: Kafka's address means nothing out here."""

import base64
import json

from tests.compose.composed_system import compose
from tests.oracle.straightforward import RawMessage

# Goes on until nothing comes: the stand-in tells of ends that lie before its last records.
READ = """
import asyncio, base64, json, os
from aiokafka import AIOKafkaConsumer, TopicPartition

def text(data):
    return None if data is None else base64.b64encode(data).decode()

async def read():
    consumer = AIOKafkaConsumer(bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"])
    await consumer.start()
    partitions = [TopicPartition("deloton", number) for number in range(8)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning()
    at_least = sum((await consumer.end_offsets(partitions)).values())
    count = 0
    while (batches := await consumer.getmany(timeout_ms=2000)) or count < at_least:
        for records in batches.values():
            for each in records:
                print(json.dumps([each.partition, each.offset, text(each.key), text(each.value)]))
            count += len(records)
    await consumer.stop()

asyncio.run(read())
"""


def read_raw_topic() -> list[RawMessage]:
    """All messages; those of a partition in their order."""
    printed = compose("exec", "-T", "ingestor", "python", "-c", READ).splitlines()
    told = map(json.loads, printed)
    return [
        RawMessage(partition, offset, _bytes(key), _bytes(value))
        for partition, offset, key, value in told
    ]


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
