"""SHELL: sends dead letters again whose lines can be read by now.

Reads the whole topic of dead letters up to its present end. Letters that are still unreadable
stay where they are, and so do letters that were sent again before and refused again: their
first copies are in the topic too. Sending a letter twice changes nothing.
"""

from collections import Counter
from collections.abc import AsyncIterator

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from deloton.feed.log_lines import DoubtfulLine, Refusal, RefusalReason, parse_message
from deloton.wire.kafka import client_options
from ingestor.partition_state import REPLAY_HEADER
from ingestor.publisher import CUT_HEADER
from ingestor.settings import IngestorSettings


async def replay_dead_letters(
    settings: IngestorSettings, *, reason: str | None, dry_run: bool
) -> Counter[str]:
    """Send the readable letters of one reason (None: of all) back to where they came from.

    Returns how many letters were `read`, `sent`, and left behind as `unreadable`.
    """
    counts: Counter[str] = Counter(read=0, sent=0, unreadable=0)
    producer = AIOKafkaProducer(**client_options(settings), acks="all")
    await producer.start()
    try:
        async for letter in _letters(settings):
            headers = dict(letter.headers)
            if REPLAY_HEADER in headers or not headers.keys() >= {"topic", "partition", "reason"}:
                continue
            if reason not in (None, headers["reason"].decode()):
                continue
            if headers["reason"].decode() == RefusalReason.TWO_BIKES:
                # Sent again, they would be mixed after all: nobody knows of which bike each is.
                counts["unreadable"] += 1
                counts["read"] += 1
                continue
            counts["read"] += 1
            if CUT_HEADER in headers or isinstance(
                parse_message(letter.value), Refusal | DoubtfulLine
            ):
                counts["unreadable"] += 1
                continue
            counts["sent"] += 1
            if not dry_run:
                await _send_again(producer, letter, headers)
        await producer.flush()
    finally:
        await producer.stop()
    return counts


async def _letters(settings: IngestorSettings) -> AsyncIterator[aiokafka.ConsumerRecord]:
    topic = settings.dead_letters_topic
    consumer = AIOKafkaConsumer(
        **client_options(settings), auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        known = await consumer._client.fetch_all_metadata()  # noqa: SLF001 - no public way
        partitions = [
            TopicPartition(topic, number) for number in known.partitions_for_topic(topic) or ()
        ]
        if not partitions:
            return
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        at_end = False
        while not at_end:
            batches = await consumer.getmany(timeout_ms=1000)
            for letters in batches.values():
                for letter in letters:
                    yield letter
            # Some brokers tell of an end that lies before their last records.
            at_end = not batches and all(
                [await consumer.position(tp) >= ends[tp] for tp in partitions]
            )
    finally:
        await consumer.stop()


async def _send_again(
    producer: AIOKafkaProducer, letter: aiokafka.ConsumerRecord, headers: dict[str, bytes]
) -> None:
    origin = f"{letter.partition}/{letter.offset}".encode()
    await producer.send(
        headers["topic"].decode(),
        key=letter.key,
        value=letter.value,
        partition=int(headers["partition"]),
        headers=[(REPLAY_HEADER, origin)],
    )
