"""SHELL: takes one partition's batches, one after another, from records to rows.

Assemble, store new rides, publish, then commit rows and offset together. Each step may be
repeated after a crash at any point: rides have natural keys, consumers of the topics drop
repeats, and rows move with their offset.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import asyncpg
from msgspec import Struct

from deloton import database, kafka
from deloton.assembly import SILENCE, Assembled
from deloton.health import Health
from deloton.logs import get_logger
from deloton.retries import until_it_works
from ingestor import claims, metrics, store
from ingestor.amendment import amend_rides
from ingestor.partition_state import Batch, Record, RefusedRecord
from ingestor.publisher import Publisher
from ingestor.reading_days import ReadingDays

_log = get_logger(__name__)

T = TypeVar("T")

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
        self._state = claimed.state
        self._outlets = outlets
        self._clock = clock
        self._busy = asyncio.Lock()
        self._caught_up_at: float | None = None
        # None was taken yet: whatever comes first finds itself away for too long.
        self._last_look = Look(-math.inf, 0)
        self._newest_timestamp_ms: int | None = None
        self._partition = str(claimed.claim.partition)

    async def process(self, records: Sequence[Record]) -> None:
        """Bring a batch of records to their rows. Raises `PartitionLost`."""
        async with self._busy:
            first = records[0].offset
            if first < self.next_offset:
                await self._start_over(first)
            started_at = self._clock()
            batch = self._state.assemble(records, started_at)
            refused = [*batch.refused, *await self._amend(batch.replayed)]
            await self._store(batch.assembled, refused, batch.next_offset)
            self._newest_timestamp_ms = batch.newest_timestamp_ms
            self._count(batch, self._clock() - started_at)

    async def watch(self, end_offset: int | None) -> None:
        """Report the lag; once caught up, end the rides that have been silent for 30 s.

        Silence is told as of the look before: all that Kafka had by then must have been worked
        on. That there are new records at each look, as in a large fleet, hinders nothing.

        `end_offset` is where the partition ends in Kafka, None where that is not known. Does
        nothing while a batch is under way. Raises `PartitionLost`.
        """
        if not self.is_idle or end_offset is None:
            return
        async with self._busy:
            self._report(max(0, end_offset - self.next_offset))
            before, self._last_look = self._last_look, Look(self._clock(), end_offset)
            stood_still = self._last_look.at - before.at > LONGEST_LOOK_AWAY_S
            if stood_still or self.next_offset < before.end_offset:
                self._caught_up_at = None
                return
            if self._caught_up_at is None:
                self._caught_up_at = before.at
            heard_before = before.at - SILENCE.total_seconds()
            if self._caught_up_at <= heard_before:
                ended = self._state.end_silent_rides(heard_before)
                if ended.settled:
                    await self._store(ended, [], self.next_offset)

    @property
    def is_idle(self) -> bool:
        """Whether no batch is under way."""
        return not self._busy.locked()

    async def finish(self) -> None:
        """Wait for the batch under way."""
        async with self._busy:
            metrics.forget_partition(self.claim.partition)

    async def _store(
        self, assembled: Assembled, refused: Sequence[RefusedRecord], next_offset: int
    ) -> None:
        pool, claim = self._outlets.pool, self.claim
        if started := assembled.started:
            await self._insist_on_database(lambda: store.store_rides(pool, claim, started))
        await self._insist_on_broker(
            lambda: self._outlets.publisher.publish(claim.partition, assembled, refused)
        )
        days = {reading.at.date() for reading in assembled.readings}
        await self._insist_on_database(lambda: self._outlets.days.ensure(days))
        offsets, notes = (self.next_offset, next_offset), self._state.notes()
        await self._insist_on_database(
            lambda: store.commit_batch(pool, claim, offsets, assembled, refused, notes)
        )
        self.next_offset = next_offset

    async def _amend(self, replayed: Sequence[Record]) -> list[RefusedRecord]:
        if not replayed:
            return []
        pool, claim = self._outlets.pool, self.claim
        return await self._insist_on_database(
            lambda: amend_rides(pool, claim.topic, claim.partition, replayed)
        )

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
        return await self._insist("database", database.is_transient, step)

    async def _insist_on_broker(self, step: Callable[[], Awaitable[T]]) -> T:
        return await self._insist("broker", kafka.is_transient, step)

    async def _insist(
        self,
        what: str,
        passes_by_itself: Callable[[BaseException], bool],
        step: Callable[[], Awaitable[T]],
    ) -> T:
        def note_failure() -> None:
            metrics.RETRIES.labels(what).inc()
            self._outlets.health.failing(what)

        result = await until_it_works(
            what, step, passes_by_itself=passes_by_itself, on_failure=note_failure
        )
        self._outlets.health.working(what)
        return result

    def _report(self, lag: int) -> None:
        metrics.LAG.labels(self._partition).set(lag)
        metrics.OPEN_RIDES.labels(self._partition).set(self._state.open_rides())
        behind = 0.0
        if lag and self._newest_timestamp_ms is not None:
            behind = max(0.0, datetime.now(UTC).timestamp() - self._newest_timestamp_ms / 1000)
        metrics.SECONDS_BEHIND.labels(self._partition).set(behind)

    def _count(self, batch: Batch, seconds: float) -> None:
        assembled = batch.assembled
        metrics.LINES.labels(self._partition).inc(batch.records)
        metrics.BATCHES.labels(self._partition).inc()
        metrics.BATCH_LINES.observe(batch.records)
        metrics.BATCH_SECONDS.observe(seconds)
        metrics.READINGS.inc(len(assembled.readings))
        measured = sum(reading.heart_rate_bpm is not None for reading in assembled.readings)
        metrics.HEART_RATES.inc(measured)
        metrics.RIDES.inc(len(assembled.started))
        metrics.REPEATS.inc(assembled.repeats)
        for letter in batch.refused:
            metrics.DEAD_LETTERS.labels(letter.refusal.reason).inc()
