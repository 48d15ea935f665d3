"""SHELL: heart rates of the partitions that Kafka assigns become alerts, and these become rows."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import aiokafka
import asyncpg
from aiokafka.abc import ConsumerRebalanceListener

from deloton.rules.calendar import age_on
from deloton.rules.heart_rate import Limit, LimitPolicy, limits_of
from deloton.running.health import Health
from deloton.running.insistence import Insistence
from deloton.running.logs import get_logger
from deloton.store import database
from deloton.wire import kafka
from hr_alerter import metrics
from hr_alerter.alerts import MailKind
from hr_alerter.episodes import Alert, PartitionWatch
from hr_alerter.recoveries import store_recoveries, withdraw_recoveries
from hr_alerter.recovery import Recovery
from hr_alerter.settings import AlerterSettings
from hr_alerter.store import (
    AlertRules,
    WhoRides,
    store_alerts,
    store_held_rates,
    store_proofs,
    who_rides,
)
from hr_alerter.topic_reader import Batch, TopicReader

_log = get_logger(__name__)

COMMIT_EVERY_S: Final = 1.0
LOOK_FOR_TOPIC_EVERY_S: Final = 1.0


class Watcher(ConsumerRebalanceListener):  # type: ignore[misc]
    """Watches the heart rates of its partitions."""

    def __init__(
        self,
        settings: AlerterSettings,
        health: Health,
        pool: asyncpg.Pool,
        on_stored: Callable[[], None],
    ) -> None:
        """Nothing is assigned yet; `on_stored` is called when alerts have been stored."""
        self._settings = settings
        self._health = health
        self._insist = Insistence(
            health,
            longest_wait_s=COMMIT_EVERY_S,
            on_failure=lambda what: metrics.RETRIES.labels(what).inc(),
        )
        self._pool = pool
        self._on_stored = on_stored
        self._policy = settings.limit_policy()
        self._rules = AlertRules(
            timedelta(seconds=settings.alert_cool_down_s),
            timedelta(seconds=settings.alert_max_age_s),
        )
        self._reader = TopicReader(settings)
        self._watches: dict[int, PartitionWatch] = {}
        self._next_offsets: dict[int, int] = {}
        self._commit_at = 0.0
        # The group has said which partitions are ours, be it none.
        self._is_in_group = False
        self._stopping = False
        # A batch is decided and stored before its partition is given up.
        self._at_work = asyncio.Lock()

    @property
    def partitions(self) -> list[int]:
        """Those that are watched now."""
        return list(self._watches)

    async def run(self) -> None:
        """Watch until `stop`; returns once what was read is stored and committed."""
        await self._insist.on("broker", kafka.is_transient, self._find_topic)
        await self._insist.on("broker", kafka.is_transient, lambda: self._reader.start(self))
        try:
            while not self._stopping:
                batches = await self._insist.on("broker", kafka.is_transient, self._reader.read)
                self._listen()
                async with self._at_work:
                    await self._watch(batches)
                    if time.monotonic() >= self._commit_at:
                        for watch in self._watches.values():
                            await self._learn_from(watch.forget_silent_rides())
                        await self._commit(self.partitions)
            # Not after an error: what was being decided is not stored.
            await self._commit(self.partitions)
            for watch in self._watches.values():
                await self._learn_from(watch.held_rates())
        finally:
            await self._reader.stop()

    def stop(self) -> None:
        """Read nothing more."""
        self._stopping = True

    async def on_partitions_revoked(self, revoked: list[aiokafka.TopicPartition]) -> None:
        """Let go of partitions; whoever gets them goes on where no alert is lost."""
        self._is_in_group = False
        async with self._at_work:
            numbers = [tp.partition for tp in revoked if tp.partition in self._watches]
            await self._commit(numbers)
            for number in numbers:
                await self._learn_from(self._watches.pop(number).held_rates())
                self._next_offsets.pop(number, None)
                self._reader.forget(number)
                metrics.forget_partition(number)

    async def on_partitions_assigned(self, assigned: list[aiokafka.TopicPartition]) -> None:
        """Watch partitions, of whose rides nothing is known yet."""
        self._reader.hear()
        self._is_in_group = True
        self._health.working("broker: reading")
        rules = self._settings.episode_rules()
        for tp in assigned:
            self._watches[tp.partition] = PartitionWatch(rules)
            metrics.LAG.labels(tp.partition).set_function(partial(self._lag, tp.partition))
            metrics.RIDES.labels(tp.partition).set(0)
        _log.info("partitions assigned", partitions=sorted(self._watches))

    def _listen(self) -> None:
        """A frozen broker refuses nothing: that it is silent is all there is to notice.

        Who has no partitions, because others have them all, asks for nothing and misses nothing.
        """
        if self._is_in_group and not self._watches:
            return
        if self._reader.silent_s() > self._settings.broker_silent_from_s:
            self._health.failing("broker: reading")
        else:
            self._health.working("broker: reading")

    async def _watch(self, batches: dict[int, Batch]) -> None:
        ours = [(self._watches[n], batch) for n, batch in batches.items() if n in self._watches]
        await self._learn(ours)
        fresh_from = time.time() - self._settings.alert_max_age_s
        said = [
            each
            for watch, batch in ours
            for each in watch.decide(batch.samples, batch.arrived_at, fresh_from)
        ]
        await self._store([each for each in said if isinstance(each, Alert)])
        # A danger that has come back meanwhile is not over.
        last_said = {each.sample.ride_id: each for each in said}.values()
        await self._store_recoveries([each for each in last_said if isinstance(each, Recovery)])
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
        known = await self._insist.on(
            "database: storing", database.is_transient, lambda: self._look_up(asked)
        )
        for number, ride_ids in unknown.items():
            for ride_id in ride_ids:
                who = known.get(ride_id)
                ours[number][0].learn(
                    ride_id,
                    limits_for(who, self._policy),
                    awaits_recovery=who is not None and who.awaits_recovery,
                )

    async def _look_up(self, ride_ids: set[int]) -> dict[int, WhoRides]:
        known = await who_rides(self._pool, ride_ids, self._settings.time_zone)
        proofs = {number: who.proof for number, who in known.items() if who.proof}
        if proofs:
            await store_proofs(self._pool, proofs)
        return known

    async def _learn_from(self, held: dict[int, int]) -> None:
        """Keep what hearts can do for their next rides; without a database it is not learnt."""
        if not held:
            return
        try:
            await store_held_rates(self._pool, held)
        except Exception as error:
            if not database.is_transient(error):
                raise
            _log.warning("held heart rates not stored", rides=len(held))

    async def _store(self, alerts: list[Alert]) -> None:
        if not alerts:
            return
        stored = await self._insist.on(
            "database: storing",
            database.is_transient,
            lambda: store_alerts(self._pool, alerts, self._rules),
        )
        self._on_stored()
        for alert in stored:
            metrics.count(MailKind.ALERT, alert.level, alert.state, alert.whose)
        told = {(alert.ride_id, alert.level) for alert in stored}
        new = [(each.sample.ride_id, each.limit.level) for each in alerts if each.is_new]
        metrics.SUPPRESSED.inc(sum(alert not in told for alert in new))
        if stored:
            _log.info("alerts stored", alerts=len(stored))
        if new:
            rides = {ride_id for ride_id, _ in new}
            await self._insist.on(
                "database: storing",
                database.is_transient,
                lambda: withdraw_recoveries(self._pool, rides),
            )

    async def _store_recoveries(self, recoveries: list[Recovery]) -> None:
        if not recoveries:
            return
        stored = await self._insist.on(
            "database: storing",
            database.is_transient,
            lambda: store_recoveries(self._pool, recoveries, self._rules.max_age),
        )
        for state in stored.states:
            metrics.RECOVERIES.labels(state).inc()
        # What came too late was of no use: it is said again once it is.
        fresh_from = datetime.now(UTC) - self._rules.max_age
        of_use = {one.sample.ride_id for one in recoveries if one.sample.measured_at >= fresh_from}
        looked_into = of_use - set(stored.waiting)
        for watch in self._watches.values():
            watch.end_waiting(looked_into)
        if stored.states:
            _log.info("recoveries stored", recoveries=len(stored.states))

    async def _commit(self, numbers: list[int]) -> None:
        """Commit up to where a successor misses nothing."""
        self._commit_at = time.monotonic() + COMMIT_EVERY_S
        await self._reader.commit(
            {
                number: self._watches[number].safe_offset(self._next_offsets[number])
                for number in numbers
                if number in self._next_offsets
            }
        )

    def _tell(self, number: int, batch: Batch) -> None:
        metrics.RIDES.labels(number).set(len(self._watches[number].rides))
        metrics.SAMPLES.inc(len(batch.samples))

    def _lag(self, number: int) -> float:
        return self._reader.lag(number, self._next_offsets.get(number))

    async def _find_topic(self) -> None:
        while not await self._reader.topic_exists():
            _log.warning("the topic does not exist yet", topic=self._settings.heart_rates_topic)
            await asyncio.sleep(LOOK_FOR_TOPIC_EVERY_S)


def limits_for(who: WhoRides | None, policy: LimitPolicy) -> tuple[Limit, ...]:
    """A ride's limits; none where alerts are off, or where the ride is gone."""
    if who is None or not who.own.alerts_on:
        return ()
    age = age_on(who.rode_on, who.born_on) if who.born_on else None
    return limits_of(age, policy, who.own, who.proof)
