"""SHELL: the Faust app: partitions come and go, batches flow, two pages tell how it is."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Set
from datetime import timedelta
from typing import Any, cast

import faust
from aiohttp import web
from faust.types import TP, StreamT

from deloton.errors import PartitionLost
from deloton.running.health import Health, HealthReport
from deloton.running.insistence import Insistence
from deloton.running.logs import get_logger
from deloton.running.pages import serve_pages
from deloton.store import database
from deloton.wire import kafka
from ingestor import metrics
from ingestor.claims import claim_partition
from ingestor.hot_rows import HotRows
from ingestor.packing import Packer
from ingestor.partition_worker import Outlets, PartitionWorker
from ingestor.publisher import Publisher
from ingestor.reading_days import ReadingDays, utc_today
from ingestor.settings import IngestorSettings
from ingestor.topics import ensure_topics
from ingestor.transport import FAUST_LOGGER, BatchingConsumer, BatchingTransport

_log = get_logger(__name__)

WATCH_EVERY_S = 1.0
MAINTAIN_EVERY_S = 600.0
LONGEST_ANSWER_S = 5.0
POOL_SIZE = 10
# How long a worker that stops tries to leave its last offsets in Kafka.
COMMIT_S = 5.0
# A question to one broker, of a few hundred bytes.
METADATA_MAX_AGE_MS = 5_000
COMMIT_AGAIN_S = 0.1
# A worker that was frozen in a transaction holds its partition's row: PostgreSQL lets it go, so
# that the successor's claim need not wait until it wakes.
SERVER_SETTINGS = {"idle_in_transaction_session_timeout": "10s", "statement_timeout": "30s"}


class IngestorApp(faust.App):
    """A Faust app with the batching transport, and a worker for each of its partitions."""

    logger = FAUST_LOGGER

    def __init__(self, settings: IngestorSettings) -> None:
        """Describe the app; it connects when it is started."""
        self.settings = settings
        self.client_options: Mapping[str, Any] = kafka.client_options(settings)
        self.workers: dict[int, PartitionWorker] = {}
        self._lost_at: dict[int, float] = {}
        self.health = Health()
        self._insist = Insistence(self.health)
        self._pages: web.AppRunner | None = None
        self._outlets: Outlets | None = None
        super().__init__(settings.consumer_group, **_faust_settings(settings))
        raw_lines = self.topic(settings.raw_topic, value_type=bytes, value_serializer="raw")
        self.agent(raw_lines, name="ingest", isolated_partitions=True)(self._ingest)
        self.task(self._watch_partitions)
        self.task(self._watch_topic)
        self.task(self._maintain_readings)
        self.task(self._pack_rides)

    async def take_over(self, assigned: Set[TP]) -> None:
        """Claim the assigned partitions anew; Faust has let go of the former ones before."""
        for worker in self.workers.values():
            await worker.finish()
        self.workers.clear()
        self._lost_at.clear()
        # The raw topic may have grown.
        needed = max((tp.partition + 1 for tp in assigned), default=0)
        await self._insist.on(
            "broker", kafka.is_transient, lambda: ensure_topics(self.settings, needed)
        )
        for tp in sorted(assigned):
            worker = self.workers[tp.partition] = await self._claim(tp.partition)
            self._tell_of(worker)
        _log.info("partitions assigned", partitions=sorted(self.workers))

    def next_offsets(self) -> dict[TP, int]:
        """Where to go on in the partitions that have been taken over."""
        topic = self.settings.raw_topic
        return {TP(topic, number): worker.next_offset for number, worker in self.workers.items()}

    async def on_first_start(self) -> None:
        """Open the pages, then wait for what the work depends on."""
        settings = self.settings
        self._pages = await serve_pages(
            settings.listen_address,
            settings.metrics_port,
            self._report_health,
            metrics.FAILING_SECONDS,
        )
        await self._insist.on("broker", kafka.is_transient, self._prepare_topics)
        self._outlets = await self._connect()
        await self._insist.on("database", database.is_transient, self._outlets.days.maintain)
        await super().on_first_start()

    async def on_stop(self) -> None:
        """Let the batches under way finish, and let Kafka know where PostgreSQL is."""
        for worker in list(self.workers.values()):
            await worker.finish()
        await super().on_stop()
        await self._commit_what_is_stored()

    async def on_shutdown(self) -> None:
        """Disconnect once nothing is under way any more."""
        await super().on_shutdown()
        if self._outlets is not None:
            await self._outlets.publisher.stop()
            await self._outlets.pool.close()
        if self._pages is not None:
            await self._pages.cleanup()

    async def _commit_what_is_stored(self) -> None:
        """Kafka refuses while a rebalance is under way, as when others stop with us."""
        consumer, given_up_at = cast(BatchingConsumer, self.consumer), time.monotonic() + COMMIT_S
        while not await consumer.commit_exactly(self.next_offsets()):
            if time.monotonic() > given_up_at:
                # Nothing is lost by it: the next owner goes on where PostgreSQL says.
                _log.warning("Kafka's offsets of the group stay behind the stored ones")
                return
            await asyncio.sleep(COMMIT_AGAIN_S)

    def _on_rebalance_when_stopped(self) -> None:
        """Stay connected, other than Faust does: the last commit is still to come."""

    async def _ingest(self, stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            number = event.message.partition
            # Of a partition that was lost nothing is written until it is assigned anew.
            if number not in self._lost_at:
                worker = self.workers[number]
                await self._unless_lost(worker, worker.process(event.message.value))

    async def _claim(self, number: int) -> PartitionWorker:
        outlets = self._require_outlets()
        claimed = await self._insist.on(
            "database",
            database.is_transient,
            lambda: claim_partition(outlets.pool, self.settings.raw_topic, number),
        )
        return PartitionWorker(claimed, outlets)

    def _tell_of(self, worker: PartitionWorker) -> None:
        number = worker.claim.partition
        tp = TP(self.settings.raw_topic, number)
        metrics.tell_of_partition(
            number,
            lambda: worker.standing(cast(BatchingConsumer, self.consumer).end(tp)),
            lambda: worker.state.open_rides(),  # noqa: PLW0108  the state may be another by then
        )

    async def _unless_lost(self, worker: PartitionWorker, work: Awaitable[None]) -> None:
        try:
            await work
        except PartitionLost as lost:
            _log.warning("partition lost; nothing of it was written", reason=str(lost))
            number = worker.claim.partition
            # It may have been assigned to us anew by now.
            if self.workers.get(number) is worker:
                del self.workers[number]
                metrics.forget_partition(number)
                self._lost_at[number] = time.monotonic()

    async def _watch_partitions(self) -> None:
        topic = self.settings.raw_topic
        while not self.should_stop:
            for number, worker in list(self.workers.items()):
                end_offset = cast(BatchingConsumer, self.consumer).end_offset(TP(topic, number))
                await self._unless_lost(worker, worker.watch(end_offset))
            self._note_whether_brokers_answer()
            self._refuse_to_wait_for_ever()
            await self.sleep(WATCH_EVERY_S)

    def _note_whether_brokers_answer(self) -> None:
        """Who has nothing to do and is not answered would not learn that there is something."""
        consumer, topic = cast(BatchingConsumer, self.consumer), self.settings.raw_topic
        idle = [number for number, worker in self.workers.items() if worker.is_idle]
        answered = [consumer.answered_at(TP(topic, number)) for number in idle]
        oldest = min((at for at in answered if at is not None), default=None)
        if oldest is not None and time.time() - oldest > LONGEST_ANSWER_S:
            self.health.failing("fetch")
        elif oldest is not None:
            self.health.working("fetch")

    async def _watch_topic(self) -> None:
        while not self.should_stop:
            await cast(BatchingConsumer, self.consumer).look_for(self.settings.raw_topic)
            await self.sleep(WATCH_EVERY_S)

    def _refuse_to_wait_for_ever(self) -> None:
        """Who has lost a partition is soon told so by Kafka, unless the claim was lost otherwise.

        Somebody may have emptied the database, or given two deployments one of them. A restart
        claims the partition anew.
        """
        patience_s = 2 * self.conf.broker_session_timeout
        overdue = [
            number
            for number, lost_at in self._lost_at.items()
            if time.monotonic() - lost_at > patience_s
        ]
        if overdue:
            raise RuntimeError(f"partitions {overdue} are ours by Kafka but not by PostgreSQL")

    async def _maintain_readings(self) -> None:
        while True:
            await self.sleep(MAINTAIN_EVERY_S)
            # A day takes minutes to compare: who is told to stop begins none.
            if self.should_stop:
                return
            outlets = self._require_outlets()
            await self._insist.on("database", database.is_transient, outlets.days.maintain)
            if self.settings.pack_after_s != "never":
                rows = HotRows(outlets.pool, timedelta(hours=self.settings.readings_hot_hours))
                await self._insist.on("database", database.is_transient, rows.drop)

    async def _pack_rides(self) -> None:
        if self.settings.pack_after_s == "never":
            return
        packer = Packer(self._require_outlets().pool, self.settings.pack_after_s)
        while not self.should_stop:
            await self.sleep(await self._insist.on("database", database.is_transient, packer.pack))

    async def _prepare_topics(self) -> None:
        await ensure_topics(self.settings)

    async def _connect(self) -> Outlets:
        url = self.settings.database_url.get_secret_value()
        pool = await database.connect_pool(
            url, size=POOL_SIZE, application="ingestor", server_settings=SERVER_SETTINGS
        )
        days = ReadingDays(pool, self.settings.readings_retention_days, utc_today)
        outlets = Outlets(pool, days, Publisher(self.settings), self.health)
        await self._insist.on("broker", kafka.is_transient, outlets.publisher.start)
        return outlets

    def _require_outlets(self) -> Outlets:
        if self._outlets is None:
            raise RuntimeError("the app has not been started")
        return self._outlets

    def _report_health(self) -> HealthReport:
        return self.health.report(list(self.workers))

    def _new_transport(self) -> BatchingTransport:
        return BatchingTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Nothing of ours is kept in files: the file system may be read-only."""


def _faust_settings(settings: IngestorSettings) -> dict[str, Any]:
    session_s = settings.session_timeout_s
    return {
        "broker": f"kafka://{settings.kafka_bootstrap_servers.replace(',', ';kafka://')}",
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": session_s / 5,
        "broker_rebalance_timeout": 2 * session_s,
        # So soon partitions that were added are seen.
        "consumer_metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "broker_request_timeout": max(90.0, 2 * session_s),
        "broker_max_poll_records": settings.batch_records,
        "consumer_max_fetch_size": settings.fetch_bytes,
        # One batch waits while one is worked on; more would only cost memory.
        "stream_buffer_maxsize": 1,
        "agent_supervisor": "mode.supervisors.CrashingSupervisor",
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "web_enabled": False,
        "autodiscover": False,
    }
