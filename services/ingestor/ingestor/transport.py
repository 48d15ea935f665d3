"""EDGE: a Faust transport that hands over whole batches instead of single messages.

Stock Faust pays 60 to 90 µs a message for its own machinery. Here an event's value is a list of
consecutive records of one partition, and its offset is that of the last: the machinery is paid
once a batch. What follows from that:

- A partition that still works on a batch is left alone; what arrives meanwhile waits in the
  fetcher and makes the next batch larger. So batches are small when idle and large when behind.
- The offsets between two events' are no gaps: an acknowledged event stands for all records up
  to it, because the events of a partition are worked on one after another.
- Where to go on is what the app says (it asks PostgreSQL), not what Kafka's consumer group
  remembers.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from time import monotonic
from typing import Any, Protocol, cast

import aiokafka
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecord
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import aiokafka as faust_aiokafka
from faust.types import TP, ConsumerMessage

from ingestor.internals import refuse_unknown_internals
from ingestor.standing import End

# How often partitions that have become free are added to those that are asked for records.
POLL_S = 0.02
# While there are few records they are gathered for so long: a batch costs about a millisecond
# however small it is. Where one look brings more than so many, the next follows at once.
GATHER_S = 0.05
MANY_RECORDS = 2_000
# How long a broker holds back an answer while none of the partitions in question has a record.
# A partition that had one when the question was asked has to wait that long for its next.
FETCH_MAX_WAIT_MS = 100


class WholeBatches(fetcher.PartitionRecords):  # type: ignore[misc]
    """Unpacks a fetched partition a producer's batch at a time, as a list, in C.

    aiokafka's own way, a generator that copies each record into a `ConsumerRecord`, is the
    dearest step of reading a topic; a record as it was unpacked has all that we use of it.
    """

    _rest: Sequence[DefaultRecord] = ()

    def take(self, most: int) -> Sequence[DefaultRecord]:
        """The next records of one batch, up to so many; none where the last batch was empty."""
        records = self._rest or self._unpack_batch()
        taken, self._rest = records[:most], records[most:]
        if self._rest:
            self.next_fetch_offset = self._rest[0].offset
        else:
            # Also where the last records of a batch were compacted away.
            self.next_fetch_offset = self._batch_end
        return taken

    def has_more(self) -> bool:
        """Whether `take` can be called again."""
        return bool(self._rest) or self._records.has_next()

    def _unpack_records(self) -> None:
        """No generator: it and this would hold each other, and the fetched bytes, as garbage."""

    def _unpack_batch(self) -> list[DefaultRecord]:
        batch = self._records.next_batch()
        if self._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"Invalid CRC - {self._tp}")
        self._batch_end = batch.next_offset
        records = [] if batch.is_control_batch else list(batch)
        if records and records[0].offset < self.next_fetch_offset:
            return [each for each in records if each.offset >= self.next_fetch_offset]
        return records


class WholeBatchesResult(fetcher.FetchResult):  # type: ignore[misc]
    """Hands on what was fetched of a partition, a batch or what fits of it at a time."""

    _partition_records: WholeBatches | None

    def getall(self, max_records: int) -> list[DefaultRecord]:
        """Take up to `max_records`; the next call goes on where this one ended."""
        fetched = self._partition_records
        if fetched is None or not self.check_assignment(self._topic_partition):
            return []
        taken: list[DefaultRecord] = []
        try:
            while fetched.has_more() and len(taken) < max_records:
                taken += fetched.take(max_records - len(taken))
        except CorruptRecordException:
            # What lies before can be used; the rest is fetched again.
            self._update_position()
            self._partition_records = None
            if not taken:
                raise
            return taken
        self._update_position()
        if not fetched.has_more():
            self._partition_records = None
        return taken


def unpack_whole_batches() -> None:
    """Let the consumers of this process fetch whole batches; `getone` does not work with them.

    aiokafka's fetcher looks its classes up by name and offers no other way to replace them.
    """
    fetcher.PartitionRecords = WholeBatches
    fetcher.FetchResult = WholeBatchesResult


async def look_for_topic(consumer: aiokafka.AIOKafkaConsumer, topic: str) -> None:
    """Ask the brokers for a topic that the consumer does not know, and so has nothing to give of.

    A broker that has just come back may say for a moment that it has no topics. aiokafka, as the
    leader of its group, then gives nobody anything until it asks again: after five minutes.
    """
    if not consumer.partitions_for_topic(topic):
        await consumer._client.force_metadata_update()  # noqa: SLF001


# Faust's services tell of their own doings under the module that defines their class.
FAUST_LOGGER = logging.getLogger("faust")


class BatchingApp(Protocol):
    """What the transport asks of its app beyond Faust."""

    client_options: Mapping[str, Any]

    async def take_over(self, assigned: Set[TP]) -> None:
        """Claim these partitions and no others; returns when each can go on."""

    def next_offsets(self) -> Mapping[TP, int]:
        """The offset to go on with, for every partition that has been taken over."""


class BatchingConsumerThread(faust_aiokafka.AIOKafkaConsumerThread):
    """Makes the aiokafka consumer, with bounds that Faust has no settings for."""

    logger = FAUST_LOGGER

    def _create_worker_consumer(self, _: object) -> aiokafka.AIOKafkaConsumer:
        unpack_whole_batches()
        conf = self.app.conf
        return aiokafka.AIOKafkaConsumer(
            **cast(BatchingApp, self.app).client_options,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=[StickyPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_records=conf.broker_max_poll_records,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=FETCH_MAX_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )


class BatchingConsumer(faust_aiokafka.Consumer):
    """A Faust consumer whose every message is a batch of one partition."""

    logger = FAUST_LOGGER
    # Where `perform_seek` has been: no other partition may be read.
    _sought: frozenset[TP] = frozenset()
    _next_look_at = 0.0

    def _new_consumer_thread(self) -> BatchingConsumerThread:
        return BatchingConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_assigned(self, assigned: Set[TP], generation_id: int = 0) -> None:
        """Take the partitions over before Faust resumes its streams.

        Faust's own signal comes too late: by then another of its tasks may already be seeking.
        """
        self._sought = frozenset()
        await cast(BatchingApp, self.app).take_over(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Yield one message for each partition that is free and has records."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # as Faust does
        await self.sleep(max(0.0, self._next_look_at - monotonic()))
        free = self._get_active_partitions()
        if not free:
            await self.sleep(POLL_S)
            return
        generation = self.app.consumer_generation_id
        self._refuse_dead_fetcher()
        records = await self._getmany(active_partitions=free, timeout=min(timeout, POLL_S))
        found = sum(map(len, records.values()))
        self._next_look_at = monotonic() + (GATHER_S if 0 < found < MANY_RECORDS else 0.0)
        for topic_partition, batch in records.items():
            # What is left out here is fetched again: a rebalance ends in `perform_seek`.
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            tp = TP(topic_partition.topic, topic_partition.partition)
            if tp not in self._sought:
                raise RuntimeError(f"{tp} is read from somewhere else than where it was left")
            yield tp, self._to_message(tp, batch)

    def _refuse_dead_fetcher(self) -> None:
        """Aiokafka fetches in a task of its own and does not notice where that has ended."""
        fetching = cast(Any, self._thread)._consumer._fetcher._fetch_task  # noqa: SLF001
        if fetching.done():
            raise RuntimeError("aiokafka has stopped fetching") from fetching.exception()

    def _to_message(self, tp: TP, record: list[DefaultRecord]) -> ConsumerMessage:
        last = record[-1]
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1000,
            timestamp_type=last.timestamp_type,
            headers=None,
            key=None,
            value=record,  # type: ignore[arg-type]  # not bytes: the agent's topic passes it on
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def perform_seek(self) -> None:
        """Go to where the app wants to go on in every partition."""
        positions = cast(BatchingApp, self.app).next_offsets()
        if positions:
            await self.seek_wait(positions)
        for tp in positions:
            # Kafka's memory of the group may be ahead of PostgreSQL's, as after a restore.
            self._committed_offset[tp] = None
        self._sought = frozenset(positions)

    async def commit_exactly(self, offsets: Mapping[TP, int]) -> bool:
        """Commit these offsets of the partitions that are ours; False where Kafka refuses now."""
        try:
            assigned = self.assignment()
        except ConsumerNotStarted:
            return True
        ours = {tp: offset for tp, offset in offsets.items() if tp in assigned}
        return not ours or await self._commit(ours)

    def end_offset(self, tp: TP) -> int | None:
        """Where a partition ends, as far as the last answer told; None where none has."""
        try:
            end: int | None = self.highwater(tp)
        except (AssertionError, AttributeError, ConsumerNotStarted):
            # What aiokafka makes of a partition that is not, or no longer, ours to ask about.
            return None
        return end

    def answered_at(self, tp: TP) -> float | None:
        """When the brokers last answered about a partition, in seconds since 1970.

        They do so several times a second, records or not. None where none has answered yet.
        """
        try:
            consumer = cast(Any, self._thread)._ensure_consumer()  # noqa: SLF001
            answered_ms: int | None = consumer.last_poll_timestamp(tp)
        except (AssertionError, AttributeError, ConsumerNotStarted):
            return None
        return answered_ms / 1000 if answered_ms is not None else None

    def end(self, tp: TP) -> End | None:
        """Where a partition ended when the brokers last told; None where none has."""
        offset, told_at = self.end_offset(tp), self.answered_at(tp)
        return None if offset is None or told_at is None else End(offset, told_at)

    async def look_for(self, topic: str) -> None:
        """Make sure that the topic is known where partitions are given out."""
        thread = cast(Any, self._thread)
        if thread is not None and thread._consumer is not None:  # noqa: SLF001
            await thread.call_thread(look_for_topic, thread._consumer, topic)  # noqa: SLF001

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """The records between two messages' offsets were part of the second."""

    def _new_offset(self, tp: TP) -> int | None:
        acked = self._acked[tp]
        if not acked:
            return None
        newest: int = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return newest + 1


class PlainProducer(faust_aiokafka.Producer):
    """Faust's producer, which a worker always starts, logged in as our other clients are."""

    logger = FAUST_LOGGER

    def _settings_auth(self) -> Mapping[str, Any]:
        return cast(BatchingApp, self.app).client_options


class BatchingTransport(faust_aiokafka.Transport):
    """Faust's aiokafka transport with the consumer and the producer above.

    Raises `RuntimeError` where the libraries are not as all this knows them.
    """

    Consumer = BatchingConsumer
    Producer = PlainProducer

    def __init__(self, *arguments: Any, **names: Any) -> None:  # noqa: ANN401  Faust's
        """As Faust makes it, once the libraries were looked through."""
        refuse_unknown_internals()
        super().__init__(*arguments, **names)
