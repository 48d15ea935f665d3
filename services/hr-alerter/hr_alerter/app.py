"""SHELL: heart rates flow in, alerts become rows, the sender mails them, pages tell how it is."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import aiokafka
import asyncpg
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from deloton import database, kafka
from deloton.errors import SettingsError
from deloton.health import Health, HealthReport
from deloton.heart_rate import Limit, LimitPolicy, age_on, limits_of
from deloton.logs import get_logger
from deloton.mail import open_mailer
from deloton.pages import serve_pages
from deloton.retries import until_it_works
from hr_alerter import metrics
from hr_alerter.alerts import AlertState
from hr_alerter.claims import Claims
from hr_alerter.episodes import Alert, PartitionWatch
from hr_alerter.mails import make_composer
from hr_alerter.sender import Sender, SendingRules
from hr_alerter.settings import AlerterSettings
from hr_alerter.store import AlertRules, WhoRides, store_alerts, who_rides
from hr_alerter.topic_reader import Batch, make_consumer, read_batches, topic_exists

_log = get_logger(__name__)

T = TypeVar("T")

POOL_SIZE = 5
COMMIT_EVERY_S = 1.0
COMMIT_WITHIN_S = 5.0
LOOK_FOR_TOPIC_EVERY_S = 1.0
# Who stops us waits at least ten seconds before it kills.
FINISH_WITHIN_S = 8.0


async def run(settings: AlerterSettings) -> None:
    """Run until SIGTERM or SIGINT; what is with the mail provider then comes to its end.

    Raises `SettingsError` where the pages' port is taken.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    health = Health()
    watcher = Watcher(settings, health)
    port = settings.metrics_port
    try:
        pages = await serve_pages(settings.listen_address, port, watcher.report_health)
    except OSError as error:
        raise SettingsError(
            f"METRICS_PORT {port} cannot be listened on: {error.strerror}"
        ) from error
    try:
        async with connected(settings, health) as (pool, sender):
            watcher.connect(pool, sender.wake)
            await run_until(stopped, watcher, sender)
    finally:
        await pages.cleanup()


@contextlib.asynccontextmanager
async def connected(
    settings: AlerterSettings, health: Health
) -> AsyncIterator[tuple[asyncpg.Pool, Sender]]:
    """The database's pool, and what mails alerts."""
    url = settings.database_url.get_secret_value()
    pool = await database.connect_pool(url, size=POOL_SIZE, application="hr-alerter")
    mail_url = settings.mail_url.get_secret_value()
    mailer = open_mailer(
        mail_url,
        aws_endpoint_url=settings.aws_endpoint_url,
        connections=settings.mail_connections,
    )
    rules = SendingRules(
        settings.mail_rate_per_s,
        settings.mail_connections,
        settings.mail_attempts,
        timedelta(seconds=settings.alert_max_age_s),
    )
    compose = make_composer(settings.mail_from, ZoneInfo(settings.time_zone))
    try:
        async with mailer as way_out:
            yield pool, Sender(pool, Claims(url), way_out, compose, rules, health)
    finally:
        # What is still under way may wait for a database that is away.
        pool.terminate()


async def run_until(stopped: asyncio.Event, watcher: "Watcher", sender: Sender) -> None:
    """Watch and send; once stopped, let both finish. Raises what ended either before."""
    sending = asyncio.create_task(sender.run())
    watching = asyncio.create_task(watcher.run())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({sending, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    watcher.stop()
    sender.stop()
    await asyncio.wait({sending, watching}, timeout=FINISH_WITHIN_S)
    watching.cancel()
    sending.cancel()
    for ended in await asyncio.gather(sending, watching, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


class Watcher(ConsumerRebalanceListener):  # type: ignore[misc]
    """Watches the heart rates of the partitions that Kafka assigns."""

    def __init__(self, settings: AlerterSettings, health: Health) -> None:
        """Nothing is assigned yet."""
        self._settings = settings
        self._health = health
        self._policy: LimitPolicy = settings.limit_policy()
        self._rules = AlertRules(
            timedelta(seconds=settings.alert_cool_down_s),
            timedelta(seconds=settings.alert_max_age_s),
        )
        self._watches: dict[int, PartitionWatch] = {}
        self._next_offsets: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._commit_at = 0.0
        self._stopping = False
        # A batch is decided and stored before its partition is given up.
        self._at_work = asyncio.Lock()
        self._pool: asyncpg.Pool | None = None
        self._on_stored: Callable[[], None] = lambda: None
        self._consumer: aiokafka.AIOKafkaConsumer | None = None

    def connect(self, pool: asyncpg.Pool, on_stored: Callable[[], None]) -> None:
        """Where alerts are stored, and who is told that some were."""
        self._pool = pool
        self._on_stored = on_stored

    def report_health(self) -> HealthReport:
        """The health page."""
        return self._health.report(list(self._watches))

    async def run(self) -> None:
        """Watch until `stop`; returns once what was read is stored and committed."""
        await self._insist("broker", kafka.is_transient, self._find_topic)
        await self._insist("broker", kafka.is_transient, self._start_consumer)
        consumer = self._require_consumer()
        consumer.subscribe([self._settings.heart_rates_topic], listener=self)
        try:
            while not self._stopping:
                batches = await self._insist(
                    "broker", kafka.is_transient, lambda: read_batches(consumer)
                )
                async with self._at_work:
                    await self._watch(batches)
                    if time.monotonic() >= self._commit_at:
                        for watch in self._watches.values():
                            watch.forget_silent_rides()
                        await self._commit(list(self._watches))
            # Not after an error: what was being decided is not stored.
            await self._commit(list(self._watches))
        finally:
            await consumer.stop()

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True

    async def on_partitions_revoked(self, revoked: list[aiokafka.TopicPartition]) -> None:
        """Let go of partitions; whoever gets them goes on where no alert is lost."""
        async with self._at_work:
            numbers = [tp.partition for tp in revoked if tp.partition in self._watches]
            await self._commit(numbers)
            for number in numbers:
                del self._watches[number]
                self._next_offsets.pop(number, None)
                self._committed.pop(number, None)
                metrics.forget_partition(number)

    async def on_partitions_assigned(self, assigned: list[aiokafka.TopicPartition]) -> None:
        """Watch partitions, of whose rides nothing is known yet."""
        rules = self._settings.episode_rules()
        for tp in assigned:
            self._watches[tp.partition] = PartitionWatch(rules)
            metrics.LAG.labels(tp.partition).set(0)
            metrics.RIDES.labels(tp.partition).set(0)
        _log.info("partitions assigned", partitions=sorted(self._watches))

    async def _watch(self, batches: dict[int, Batch]) -> None:
        ours = [(self._watches[n], batch) for n, batch in batches.items() if n in self._watches]
        await self._learn(ours)
        fresh_from = time.time() - self._settings.alert_max_age_s
        alerts = [
            alert
            for watch, batch in ours
            for alert in watch.decide_alerts(batch.samples, batch.arrived_at, fresh_from)
        ]
        await self._store(alerts)
        for number, batch in batches.items():
            if number in self._watches:
                self._next_offsets[number] = batch.next_offset
                self._tell(number, batch)

    async def _learn(self, ours: list[tuple[PartitionWatch, Batch]]) -> None:
        unknown = {
            number: watch.unknown_rides(batch.samples) for number, (watch, batch) in enumerate(ours)
        }
        asked = set().union(*unknown.values())
        if not asked:
            return
        known = await self._insist(
            "database",
            database.is_transient,
            lambda: who_rides(self._require_pool(), asked, self._settings.time_zone),
        )
        for number, ride_ids in unknown.items():
            for ride_id in ride_ids:
                ours[number][0].learn(ride_id, limits_for(known.get(ride_id), self._policy))

    async def _store(self, alerts: list[Alert]) -> None:
        if not alerts:
            return
        stored = await self._insist(
            "database",
            database.is_transient,
            lambda: store_alerts(self._require_pool(), alerts, self._rules),
        )
        self._on_stored()
        new = [alert for alert in stored if alert.state is AlertState.PENDING]
        for alert in stored:
            metrics.ALERTS.labels(alert.level, alert.state).inc()
        metrics.SUPPRESSED.inc(len(alerts) - len(stored))
        if new:
            _log.info("alerts stored", pending=len(new))

    async def _commit(self, numbers: list[int]) -> None:
        """Commit up to where a successor misses nothing; what fails is committed the next time."""
        self._commit_at = time.monotonic() + COMMIT_EVERY_S
        offsets = {
            number: self._watches[number].safe_offset(self._next_offsets[number])
            for number in numbers
            if number in self._next_offsets
        }
        moved = {n: offset for n, offset in offsets.items() if self._committed.get(n) != offset}
        if not moved:
            return
        topic = self._settings.heart_rates_topic
        positions = {aiokafka.TopicPartition(topic, n): offset for n, offset in moved.items()}
        try:
            async with asyncio.timeout(COMMIT_WITHIN_S):
                await self._require_consumer().commit(positions)
        except (CommitFailedError, IllegalStateError):
            _log.info("partitions lost before their offsets were committed")
        except (KafkaError, TimeoutError) as error:
            if not kafka.is_transient(error):
                raise
            _log.warning("offsets not committed", error=type(error).__name__)
        else:
            self._committed |= moved

    def _tell(self, number: int, batch: Batch) -> None:
        consumer = self._require_consumer()
        tp = aiokafka.TopicPartition(self._settings.heart_rates_topic, number)
        with contextlib.suppress(IllegalStateError):
            end: int | None = consumer.highwater(tp)
            if end is not None:
                metrics.LAG.labels(number).set(max(0, end - batch.next_offset))
        metrics.RIDES.labels(number).set(len(self._watches[number].rides))
        metrics.SAMPLES.inc(len(batch.samples))

    async def _find_topic(self) -> None:
        while not await topic_exists(self._settings):
            _log.warning("the topic does not exist yet", topic=self._settings.heart_rates_topic)
            await asyncio.sleep(LOOK_FOR_TOPIC_EVERY_S)

    async def _start_consumer(self) -> None:
        consumer = make_consumer(self._settings)
        try:
            await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        self._consumer = consumer

    async def _insist(
        self,
        what: str,
        passes_by_itself: Callable[[BaseException], bool],
        step: Callable[[], Awaitable[T]],
    ) -> T:
        def note_failure() -> None:
            self._health.failing(what)
            metrics.RETRIES.labels(what).inc()

        result = await until_it_works(
            what, step, passes_by_itself=passes_by_itself, on_failure=note_failure
        )
        self._health.working(what)
        return result

    def _require_pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the watcher is not connected")
        return self._pool

    def _require_consumer(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        if self._consumer is None:
            raise RuntimeError("the watcher has not been started")
        return self._consumer


def limits_for(who: WhoRides | None, policy: LimitPolicy) -> tuple[Limit, ...]:
    """A ride's limits; none where alerts are off, or where the ride is gone."""
    if who is None or not who.own.alerts_on:
        return ()
    return limits_of(_age(who.born_on, who.rode_on), policy, who.own)


def _age(born_on: date | None, day: date) -> int | None:
    return age_on(day, born_on) if born_on else None
