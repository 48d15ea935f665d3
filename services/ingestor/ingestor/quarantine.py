"""SHELL: what PostgreSQL refuses for good, set apart from what it takes.

A batch is stored whole or not at all. One that is refused for a reason that waiting does not mend
is halved, and each half stored as a batch of its own, until the culprit is alone: it becomes a
dead letter, and the lines around it are stored as if a parser had refused it.

Alone means without what its stream had before, too: a Ride line becomes a reading only with a
later line, and a ride's end follows from the next ride's line. So the half that waits is tried
alone, and a ride whose end is refused is left without one, rather than that an innocent line
pays for it, and the next, and the next.
"""

from collections.abc import Sequence
from typing import Protocol

import asyncpg

from deloton.feed.assembly import (
    Assembled,
    Reading,
    Stream,
    end_silent_rides,
    release_waiting,
    stream_key,
)
from deloton.feed.log_lines import DoubtfulLine, LogLine, Refusal, RideAnnounced, parse_message
from deloton.running.logs import get_logger
from deloton.store.database import REFUSALS
from ingestor import metrics
from ingestor.partition_state import PartitionState, Record, RefusedRecord
from ingestor.refusals import refused_by_database

_log = get_logger(__name__)


class Partition(Protocol):
    """What this asks of a partition's worker."""

    @property
    def state(self) -> PartitionState:
        """What is in progress."""

    async def take(self, records: Sequence[Record]) -> None:
        """Store consecutive records as one batch, or nothing. Raises one of `REFUSALS`."""

    async def add(
        self, assembled: Assembled, refused: Sequence[RefusedRecord], past: Record | None
    ) -> None:
        """Store this and go on after the record `past`; None: with the same record as before."""

    async def try_readings(self, readings: Sequence[Reading]) -> None:
        """Store nothing; raises what PostgreSQL has against these, if it is one of `REFUSALS`."""

    async def go_back(self) -> None:
        """Forget what was not stored."""


async def take_around_culprits(
    partition: Partition, records: Sequence[Record], at_hand: Sequence[Record] = ()
) -> None:
    """Store records; each that PostgreSQL refuses becomes a dead letter.

    `at_hand` are the records among which the one is looked for that waits for its other half.
    """
    try:
        await partition.take(records)
    except REFUSALS as error:
        await partition.go_back()
        if len(records) == 1:
            await _isolate(partition, records[0], error, at_hand)
            return
        middle = len(records) // 2
        for half in (records[:middle], records[middle:]):
            await take_around_culprits(partition, half, at_hand or records)


async def end_silent_around_culprits(partition: Partition, heard_before: float) -> None:
    """End the rides of streams not heard since `heard_before`, but for ends that are refused."""
    for stream in partition.state.silent_streams(heard_before):
        error = await _end(partition, stream.key, heard_before)
        if error and await _refuse_waiting(partition, partition.state.streams[stream.key], ()):
            error = await _end(partition, stream.key, heard_before)
        if error:
            _leave_ride(partition.state.streams[stream.key], error)


async def _isolate(
    partition: Partition,
    record: Record,
    error: asyncpg.PostgresError,
    at_hand: Sequence[Record],
) -> None:
    if await _refuse_waiting(partition, partition.state.stream_of(record), at_hand):
        await take_around_culprits(partition, [record], at_hand)
        return
    _note(error, partition.state.stream_of(record))
    if not await _goes_without_ride(partition, record):
        await partition.add(Assembled(), [refused_by_database(record, error)], past=record)


async def _refuse_waiting(partition: Partition, stream: Stream, at_hand: Sequence[Record]) -> bool:
    """Whether the Ride line that waits is what PostgreSQL refuses; then it waits no more."""
    waiting = stream.waiting
    if waiting is None:
        return False
    alone = Assembled()
    release_waiting(stream, alone)
    try:
        await partition.try_readings(alone.readings)
    except REFUSALS as error:
        await partition.go_back()
        stream = partition.state.streams[stream.key]
        stream.waiting = None
        _note(error, stream)
        # Where it came with a batch before, the count above and the log are all there is.
        letters = [
            refused_by_database(record, error)
            for record in at_hand
            if stream_key(record.key) == stream.key and _line_of(record) == waiting
        ]
        await partition.add(Assembled(), letters[:1], past=None)
        return True
    await partition.go_back()
    return False


async def _goes_without_ride(partition: Partition, record: Record) -> bool:
    """Whether only the end of the ride before is what PostgreSQL refuses of an announcement."""
    stream = partition.state.stream_of(record)
    if stream.ride is None or not isinstance(_line_of(record), RideAnnounced):
        return False
    stream.forget_ride()
    try:
        await partition.take([record])
    except REFUSALS:
        await partition.go_back()
        return False
    return True


async def _end(
    partition: Partition, key: bytes, heard_before: float
) -> asyncpg.PostgresError | None:
    """End a stream's ride, or say why PostgreSQL refuses that."""
    stream = partition.state.streams[key]
    try:
        await partition.add(end_silent_rides([stream], heard_before), [], past=None)
    except REFUSALS as error:
        await partition.go_back()
        return error
    return None


def _line_of(record: Record) -> LogLine | Refusal:
    parsed = parse_message(record.value)
    return parsed.line if isinstance(parsed, DoubtfulLine) else parsed


def _leave_ride(stream: Stream, error: asyncpg.PostgresError) -> None:
    """Let a ride stay open in the database whose end is refused there."""
    _note(error, stream)
    stream.forget_ride()


def _note(error: asyncpg.PostgresError, stream: Stream) -> None:
    sqlstate = error.sqlstate or "unknown"
    metrics.REFUSED_BY_DATABASE.labels(sqlstate).inc()
    ride_id = stream.ride.ride_id if stream.ride else None
    _log.error("refused by the database", error=type(error).__name__, ride_id=ride_id)
