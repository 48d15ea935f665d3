"""SHELL: takes one partition's batches, one after another, from records to rows.

Assemble, store new rides, publish, then commit rows and offset together. Each step may be
repeated after a crash at any point: rides have natural keys, consumers of the topics drop
repeats, and rows move with their offset. What PostgreSQL refuses is set apart (`quarantine`).
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import TypeVar

import asyncpg
from msgspec import Struct

from deloton.feed.assembly import Assembled, Reading
from deloton.feed.log_lines import RefusalReason
from deloton.rules.silence import SILENCE
from deloton.rules.whose import Whose, whose_bike
from deloton.running.health import Health
from deloton.running.insistence import Insistence
from deloton.running.logs import get_logger
from deloton.store import database
from deloton.wire import kafka
from ingestor import claims, metrics, store
from ingestor.amendment import amend_rides
from ingestor.assembling import assemble, look_up, place_late_lines
from ingestor.deleted import without
from ingestor.partition_state import Batch, Question, Record, RefusedRecord
from ingestor.publisher import Publisher
from ingestor.quarantine import end_silent_around_culprits, take_around_culprits
from ingestor.reading_days import ReadingDays
from ingestor.standing import End, Standing, standing

_log = get_logger(__name__)

T = TypeVar("T")

_at_of = attrgetter("at")
_serial_of = attrgetter("ride.bike_serial")

# A worker that has not looked for so long was busy or suspended: what Kafka has got meanwhile
# is not known yet, so the silence it finds is its own.
LONGEST_LOOK_AWAY_S = 10.0


class Outlets(Struct, frozen=True):
    """Where a worker's results go."""

    pool: asyncpg.Pool
    days: ReadingDays
    publisher: Publisher
    health: Health


class Look(Struct, frozen=True):
    """Where a partition ended in Kafka at a moment of the worker's clock."""

    at: float
    end_offset: int


# A stream that has been silent for so long is not kept in memory; it is looked for every hour.
FORGET_AFTER_S = 86_400.0
FORGET_EVERY_S = 3_600.0
# So many streams without a ride in progress are kept in memory, of each partition: about 7 MB.
SPARE_STREAMS = 5_000
COUNT_EVERY_S = 60.0


class PartitionWorker:
    """One claimed partition: its state, and how far it is stored."""

    def __init__(
        self,
        claimed: claims.ClaimedPartition,
        outlets: Outlets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go on where the claim says. `clock` tells seconds and never falls back."""
        self.claim = claimed.claim
        self.next_offset = claimed.next_offset
        self.state = claimed.state
        self._outlets = outlets
        self._insist = Insistence(
            outlets.health, on_failure=lambda what: metrics.RETRIES.labels(what).inc()
        )
        self._clock = clock
        self._busy = asyncio.Lock()
        self._caught_up_at: float | None = None
        # None was taken yet: whatever comes first finds itself away for too long.
        self._last_look = Look(-math.inf, 0)
        self._newest_timestamp_ms: int | None = None
        # Rides that were deleted while they went on: nothing of them is sent either.
        self._deleted: frozenset[int] = frozenset()
        # Dead letters of a batch that was halved since: where they lie, and why.
        self._sent_letters: set[tuple[int, str]] = set()
        self._since = self._forgot_at = self._counted_at = clock()
        self._partition = str(claimed.claim.partition)

    async def process(self, records: Sequence[Record]) -> None:
        """Bring a batch of records to their rows. Raises `PartitionLost`."""
        async with self._busy:
            first = records[0].offset
            if first < self.next_offset:
                await self._start_over(first)
            self._sent_letters.clear()
            await take_around_culprits(self, records)

    async def take(self, records: Sequence[Record]) -> None:
        """Bring consecutive records to their rows as one batch, or to none.

        Raises `PartitionLost`, or one of `database.REFUSALS`: `go_back` comes next.
        """
        started_at = self._clock()
        await self._take_streams(records)
        batch = await assemble(self.state, records, started_at, self._look_up)
        replayed = await self._amend(batch.replayed)
        await self._store(batch.assembled, replayed, batch.next_offset)
        self._newest_timestamp_ms = batch.newest_timestamp_ms
        self._count(batch, self._clock() - started_at)

    async def add(
        self, assembled: Assembled, refused: Sequence[RefusedRecord], past: Record | None
    ) -> None:
        """Store this and go on after the record `past`. Raises as `take` does."""
        await self._store(assembled, refused, past.offset + 1 if past else self.next_offset)
        self._count_rows(assembled)
        self._count_letters([*assembled.refused, *refused])
        if past is not None:
            self._newest_timestamp_ms = past.timestamp
            metrics.LINES.labels(self._partition).inc()

    async def assemble(self, record: Record) -> Assembled:
        """What a record comes to after what is stored; nothing is."""
        await self._take_streams([record])
        batch = await assemble(self.state, [record], self._clock(), self._look_up)
        return batch.assembled

    async def try_rows(self, assembled: Assembled) -> None:
        """Raise what PostgreSQL would say of this, and store nothing."""
        pool = self._outlets.pool
        await self._insist_on_database(lambda: place_late_lines(pool, assembled))
        await self._insist_on_database(lambda: store.try_rows(pool, assembled))

    async def go_back(self) -> None:
        """Take up the state as it was stored last: what was assembled since is forgotten."""
        state = await self._insist_on_database(
            lambda: claims.read_state(self._outlets.pool, self.claim)
        )
        self.state = state.heard_as(self.state)

    async def watch(self, end_offset: int | None) -> None:
        """Once caught up, end the rides that have been silent for 30 s.

        Silence is told as of the look before: all that Kafka had by then must have been worked
        on. That there are new records at each look, as in a large fleet, hinders nothing.

        `end_offset` is where the partition ends in Kafka, None where that is not known. Does
        nothing while a batch is under way. Raises `PartitionLost`.
        """
        if not self.is_idle or end_offset is None:
            return
        async with self._busy:
            await self._forget_silent_streams()
            before, self._last_look = self._last_look, Look(self._clock(), end_offset)
            stood_still = self._last_look.at - before.at > LONGEST_LOOK_AWAY_S
            if stood_still or self.next_offset < before.end_offset:
                self._caught_up_at = None
                return
            if self._caught_up_at is None:
                self._caught_up_at = before.at
            heard_before = before.at - SILENCE.total_seconds()
            if self._caught_up_at <= heard_before:
                await self._end_silent_rides(heard_before)

    def standing(self, end: End | None) -> Standing:
        """How far this is behind Kafka now, also while a batch is under way or waits."""
        now_s = datetime.now(UTC).timestamp()
        return standing(end, self.next_offset, self._newest_timestamp_ms, now_s)

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way."""
        return not self._busy.locked()

    async def finish(self) -> None:
        """Wait for the batch under way."""
        async with self._busy:
            metrics.forget_partition(self.claim.partition)

    async def _take_streams(self, records: Sequence[Record]) -> None:
        strangers = self.state.strangers(records)
        if strangers:
            pool, claim = self._outlets.pool, self.claim
            self.state.take_up(
                await self._insist_on_database(lambda: claims.take_streams(pool, claim, strangers))
            )

    async def _forget_silent_streams(self) -> None:
        now = self._clock()
        if now - self._counted_at >= COUNT_EVERY_S:
            self._counted_at = now
            self.state.forget_spare(SPARE_STREAMS)
        if now - self._forgot_at < FORGET_EVERY_S:
            return
        self._forgot_at = now
        if now - self._since >= FORGET_AFTER_S:
            self.state.forget_silent(heard_before=now - FORGET_AFTER_S)
        pool, claim = self._outlets.pool, self.claim
        await self._insist_on_database(lambda: claims.forget_streams(pool, claim))

    async def _let_go_of_streams(self, keys: set[bytes]) -> None:
        """A ride that goes on in another partition is not silent: it is the other's to end."""
        if not keys:
            return
        pool, claim = self._outlets.pool, self.claim
        own = await self._insist_on_database(lambda: claims.own_streams(pool, claim, keys))
        if gone := keys - own:
            await self._store(self.state.let_go(gone), [], self.next_offset)

    async def _end_silent_rides(self, heard_before: float) -> None:
        silent = self.state.silent_streams(heard_before)
        await self._let_go_of_streams({stream.key for stream in silent if stream.is_riding})
        ended = self.state.end_silent_rides(heard_before)
        if not ended.settled and not ended.refused:
            return
        try:
            await self._store(ended, [], self.next_offset)
        except database.REFUSALS:
            await self.go_back()
            await end_silent_around_culprits(self, heard_before)

    async def _store(
        self, assembled: Assembled, refused: Sequence[RefusedRecord], next_offset: int
    ) -> None:
        pool, claim = self._outlets.pool, self.claim
        if started := assembled.started:
            self._deleted |= await self._insist_on_database(
                lambda: store.store_rides(pool, claim, started)
            )
        await self._insist_on_database(lambda: place_late_lines(pool, assembled))
        refused = [*assembled.refused, *refused]
        if self._deleted:
            assembled = without(assembled, self._deleted)
        unsent = [letter for letter in refused if _identity(letter) not in self._sent_letters]
        await self._insist_on_broker(
            lambda: self._outlets.publisher.publish(claim.partition, assembled, unsent)
        )
        self._sent_letters.update(map(_identity, refused))
        days = set(map(datetime.date, map(_at_of, (*assembled.readings, *assembled.amended))))
        await self._insist_on_database(lambda: self._outlets.days.ensure(days))
        offsets, notes = (self.next_offset, next_offset), self.state.notes()
        self._deleted |= await self._insist_on_database(
            lambda: store.commit_batch(pool, claim, offsets, assembled, refused, notes)
        )
        self.next_offset = next_offset
        self.state.forget_what_is_stored(assembled)

    async def _amend(self, replayed: Sequence[Record]) -> list[RefusedRecord]:
        if not replayed:
            return []
        pool, claim = self._outlets.pool, self.claim
        return await self._insist_on_database(
            lambda: amend_rides(pool, claim.topic, claim.partition, replayed)
        )

    async def _look_up(self, question: Question) -> None:
        pool, memory = self._outlets.pool, self.state.memory
        await self._insist_on_database(lambda: look_up(pool, memory, question))

    async def _start_over(self, first: int) -> None:
        _log.error(
            "the topic was made anew: its records lie below what is stored; starting over",
            topic=self.claim.topic,
            partition=self.claim.partition,
            stored_to=self.next_offset,
            starts_at=first,
        )
        offsets = (self.next_offset, first)
        await self._insist_on_database(
            lambda: claims.rewind(self._outlets.pool, self.claim, offsets)
        )
        self.next_offset = first

    async def _insist_on_database(self, step: Callable[[], Awaitable[T]]) -> T:
        return await self._insist.on("database", database.is_transient, step)

    async def _insist_on_broker(self, step: Callable[[], Awaitable[T]]) -> T:
        return await self._insist.on("broker", kafka.is_transient, step)

    def _count(self, batch: Batch, seconds: float) -> None:
        metrics.LINES.labels(self._partition).inc(batch.records)
        metrics.BATCHES.labels(self._partition).inc()
        metrics.BATCH_LINES.observe(batch.records)
        metrics.BATCH_SECONDS.observe(seconds)
        self._count_rows(batch.assembled)
        self._count_letters(batch.refused)

    def _count_rows(self, assembled: Assembled) -> None:
        for whose, readings in _by_whose(assembled.readings).items():
            metrics.READINGS.labels(whose).inc(readings)
        measured = sum(reading.heart_rate_bpm is not None for reading in assembled.readings)
        metrics.HEART_RATES.inc(measured)
        metrics.RIDES.inc(len(assembled.started))
        metrics.REPEATS.inc(assembled.repeats)

    def _count_letters(self, refused: Sequence[RefusedRecord]) -> None:
        for letter in refused:
            metrics.DEAD_LETTERS.labels(letter.refusal.reason).inc()
            if letter.refusal.reason is RefusalReason.TWO_BIKES:
                metrics.TWO_BIKES.inc()


def _by_whose(readings: Iterable[Reading]) -> Counter[Whose]:
    """How many are whose; each bike is looked at once, for readings are many."""
    counts: Counter[Whose] = Counter()
    for serial, count in Counter(map(_serial_of, readings)).items():
        counts[whose_bike(serial)] += count
    return counts


def _identity(letter: RefusedRecord) -> tuple[int, str]:
    return letter.record.offset, letter.refusal.reason
