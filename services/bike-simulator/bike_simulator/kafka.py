"""EDGE: sends lines to Kafka, in bulk, in order, without losing one.

Delivery is at least once: a batch whose answer got lost is sent again, so a line can come twice,
as it can from a real bike. Order is kept because a partition has one batch under way at a time.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, KafkaTimeoutError, TopicAlreadyExistsError, UnknownError
from aiokafka.helpers import create_ssl_context
from aiokafka.partitioner import murmur2

from bike_simulator.fleet import Message
from bike_simulator.settings import Settings

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH_BYTES: Final = 256 * 1024
REQUEST_BYTES: Final = 4 * 1024 * 1024
REQUEST_TIMEOUT_MS: Final = 10_000
FIRST_PAUSE_S: Final = 0.1
LONGEST_PAUSE_S: Final = 10.0
TOPIC_WITHIN_S: Final = 60.0
MOST_REPLICAS: Final = 3


class TopicMissing(Exception):
    """The topic is not there, and creating it was not asked for."""


class KafkaOutlet:
    """Messages to one topic; each key goes to the partition any Kafka client would choose."""

    def __init__(
        self,
        settings: Settings,
        create_partitions: int | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Plan to send to `settings.raw_topic`.

        `create_partitions` creates the topic with that many partitions unless it exists;
        without it, a missing topic is waited for a minute (TopicMissing after that).
        """
        self._settings = settings
        self._topic = settings.raw_topic
        self._create_partitions = create_partitions
        self._sleep = sleep
        self._producer: AIOKafkaProducer | None = None
        self._away_since_s: float | None = None
        self._partition_of: Callable[[bytes], int] = partition_finder(1)

    async def open(self) -> None:
        """Find the topic and connect; waits for a broker that is not there yet."""
        await self._insist(self._find_topic)
        partitions = await self._insist(self._connect)
        self._partition_of = partition_finder(partitions)

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Send all; returns when the broker has acknowledged every one."""
        by_partition: dict[int, list[Message]] = {}
        for message in messages:
            by_partition.setdefault(self._partition_of(message.key), []).append(message)
        await asyncio.gather(
            *(self._deliver_in_order(partition, lines) for partition, lines in by_partition.items())
        )

    async def close(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _deliver_in_order(self, partition: int, messages: list[Message]) -> None:
        sent = 0
        while sent < len(messages):

            async def send(begin: int = sent) -> int:
                return await self._send_batch(partition, messages, begin)

            sent = await self._insist(send)

    async def _send_batch(self, partition: int, messages: list[Message], begin: int) -> int:
        """Send as many as fit into a batch; returns the place of the first that did not.

        A record bears the time of its line, as if a bike had sent it then; but, however fast the
        fleet goes, no time to come.
        """
        if self._producer is None:
            raise RuntimeError("The outlet is not open.")
        batch = self._producer.create_batch()
        append, now_ms = batch.append, round(time.time() * 1000)
        end = begin
        for message in messages[begin:] if begin else messages:
            sent_ms = min(message.at_us // 1000, now_ms)
            if append(key=message.key, value=message.value, timestamp=sent_ms) is None:
                break
            end += 1
        batch.close()
        acknowledged = await self._producer.send_batch(batch, self._topic, partition=partition)
        # If a stop cancels this wait, nobody asks the future any more: that is no error.
        acknowledged.add_done_callback(lambda future: future.cancelled() or future.exception())
        await acknowledged
        return end

    async def _connect(self) -> int:
        """Start the producer; returns the topic's number of partitions."""
        producer = AIOKafkaProducer(
            **connection(self._settings),
            acks="all",
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )
        try:
            await producer.start()
            partitions = len(await producer.partitions_for(self._topic))
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return partitions

    async def _find_topic(self) -> None:
        admin = AIOKafkaAdminClient(**connection(self._settings))
        try:
            await admin.start()
            if self._create_partitions is not None:
                await self._create_topic(admin, self._create_partitions)
            else:
                await self._wait_for_topic(admin)
        finally:
            await admin.close()

    async def _create_topic(self, admin: AIOKafkaAdminClient, partitions: int) -> None:
        if self._topic in await admin.list_topics():
            return
        brokers = (await admin.describe_cluster())["brokers"]
        replicas = min(MOST_REPLICAS, len(brokers))
        try:
            await admin.create_topics([NewTopic(self._topic, partitions, replicas)])
            log.info("topic created", extra={"facts": {"topic": self._topic}})
        except TopicAlreadyExistsError:
            return

    async def _wait_for_topic(self, admin: AIOKafkaAdminClient) -> None:
        waited_s = 0.0
        # Asking for all topics, not for this one: a broker may create what it is asked for.
        while self._topic not in await admin.list_topics():
            if waited_s == 0:
                log.warning("topic missing, waiting", extra={"facts": {"topic": self._topic}})
            if waited_s >= TOPIC_WITHIN_S:
                raise TopicMissing(
                    f"There is no topic {self._topic!r} at {self._settings.bootstrap_servers}: "
                    "create it, or say --create-topic."
                )
            await self._sleep(1.0)
            waited_s += 1.0

    async def _insist(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works, with growing pauses; what will not pass is raised.

        Partitions try side by side: the first to fail and the first to succeed speak for all.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = await attempt()
            except (KafkaError, OSError) as error:
                if not is_passing(error):
                    raise
                if self._away_since_s is None:
                    self._away_since_s = time.monotonic()
                    log.warning("broker away", extra={"facts": {"error": str(error)}})
                await self._sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                if self._away_since_s is not None:
                    away_s = round(time.monotonic() - self._away_since_s, 1)
                    self._away_since_s = None
                    log.info("broker back", extra={"facts": {"away_s": away_s}})
                return answer


def is_passing(error: KafkaError | OSError) -> bool:
    """Whether it helps to try again; it does not against a wrong password or a wrong argument."""
    passing = isinstance(error, OSError | KafkaTimeoutError | UnknownError)
    return passing or bool(getattr(error, "retriable", False))


def connection(settings: Settings) -> dict[str, Any]:
    """What every client of the broker needs to know."""
    sasl = {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.sasl_password,
    }
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
        "ssl_context": create_ssl_context() if settings.uses_tls else None,
        "client_id": "bike-simulator",
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        **(sasl if settings.uses_sasl else {}),
    }


def partition_finder(partitions: int) -> Callable[[bytes], int]:
    """Kafka's default partitioner: murmur2 of the key; remembers the answer for each bike."""

    @cache
    def partition_of(key: bytes) -> int:
        return int((murmur2(key) & 0x7FFFFFFF) % partitions)

    return partition_of
