"""SHELL: what PostgreSQL refuses for good, set apart from what it takes.

A batch is stored whole or not at all. One that is refused for a reason that waiting does not mend
is halved, and each half stored as a batch of its own, until the culprit is alone: it becomes a
dead letter, and the lines around it are stored as if a parser had refused it.

Alone means without what its stream had before, too: a Ride line becomes a reading only with a
later line, another line is held until the next decides it, and a ride's end follows from the next
ride's line. So each of these is tried without the others, in transactions that are taken back. A
line that waits or is held and is refused becomes the letter, and a ride whose end is refused is
left without one, rather than that an innocent line pays for it, and the next, and the next.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import chain, combinations
from typing import Final, Protocol

import asyncpg
from msgspec import Struct
from msgspec.structs import replace

from deloton.feed.assembly import (
    Assembled,
    Ended,
    Ride,
    Stream,
    decide_held,
    end_silent_rides,
    release_waiting,
    stream_key,
)
from deloton.feed.log_lines import DoubtfulLine, LogLine, Refusal, RideAnnounced, parse_message
from deloton.running.logs import get_logger
from deloton.store.database import REFUSALS
from ingestor import metrics
from ingestor.partition_state import PartitionState, Record, RefusedRecord, is_replayed
from ingestor.refusals import refused_by_database

_log = get_logger(__name__)

# Where a stream holds lines, with their records, for the next line to decide.
_HOLDS: Final = ("unpaired", "held")


class Partition(Protocol):
    """What this asks of a partition's worker."""

    @property
    def state(self) -> PartitionState:
        """What is in progress."""

    async def take(self, records: Sequence[Record]) -> None:
        """Store consecutive records as one batch, or nothing. Raises one of `REFUSALS`."""

    async def assemble(self, record: Record) -> Assembled:
        """What a record comes to after what is stored; nothing is."""

    async def add(
        self, assembled: Assembled, refused: Sequence[RefusedRecord], past: Record | None
    ) -> None:
        """Store this and go on after the record `past`; None: with the same record as before."""

    async def try_rows(self, assembled: Assembled) -> None:
        """Store nothing; raises what PostgreSQL has against this, if it is one of `REFUSALS`."""

    async def go_back(self) -> None:
        """Forget what was not stored."""


class Step(Struct, frozen=True):
    """What PostgreSQL refused: the record `past` of a stream, or None: its silence.

    `assemble` says anew what it comes to.
    """

    key: bytes
    error: asyncpg.PostgresError
    past: Record | None
    assemble: Callable[[], Awaitable[Assembled]]


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
        await _end_around_culprits(partition, stream.key, heard_before)


async def _isolate(
    partition: Partition,
    record: Record,
    error: asyncpg.PostgresError,
    at_hand: Sequence[Record],
) -> None:
    stream = partition.state.stream_of(record)
    if await _refuse_waiting(partition, stream, at_hand):
        await take_around_culprits(partition, [record], at_hand)
        return
    step = Step(stream.key, error, record, lambda: partition.assemble(record))
    # What is sent again belongs to rides of the past, and to nothing that its stream holds.
    if is_replayed(record) or not await _store_around(partition, step):
        _note(error, partition.state.stream_of(record).ride)
        await partition.add(Assembled(), [refused_by_database(record, error)], past=record)


async def _end_around_culprits(partition: Partition, key: bytes, heard_before: float) -> None:
    async def end() -> Assembled:
        return end_silent_rides([partition.state.streams[key]], heard_before)

    try:
        await partition.add(await end(), [], past=None)
    except REFUSALS as error:
        await partition.go_back()
        step = Step(key, error, None, end)
        if await _refuse_waiting(partition, partition.state.streams[key], ()):
            await _end_around_culprits(partition, key, heard_before)
        elif not await _store_around(partition, step):
            await _let_go(partition, step)


async def _refuse_waiting(partition: Partition, stream: Stream, at_hand: Sequence[Record]) -> bool:
    """Whether the Ride line that waits is what PostgreSQL refuses; then it waits no more."""
    waiting = stream.waiting
    if waiting is None:
        return False
    alone = Assembled()
    release_waiting(stream, alone)
    error = await _refusal(partition, alone)
    await partition.go_back()
    if error is None:
        return False
    stream = partition.state.streams[stream.key]
    stream.waiting = None
    _note(error, stream.ride)
    # Where it came with a batch before, the count above and the log are all there is.
    letters = [
        refused_by_database(record, error)
        for record in at_hand
        if stream_key(record.key) == stream.key and _line_of(record) == waiting
    ]
    await partition.add(Assembled(), letters[:1], past=None)
    return True


async def _store_around(partition: Partition, step: Step) -> bool:
    """Whether a step is stored without what it does not answer for: lines held, and ends."""
    stream = partition.state.streams[step.key]
    held = [name for name in _HOLDS if getattr(stream, name) is not None]
    choices = chain.from_iterable(combinations(held, count) for count in range(len(held) + 1))
    for left_out in choices:
        if await _store_without(partition, step, left_out):
            return True
    return False


async def _store_without(partition: Partition, step: Step, left_out: Sequence[str]) -> bool:
    """Store a step, and held lines as letters instead of what they come to; or nothing at all."""
    if "held" in left_out and not await _may_be_refused(partition, step.key):
        return False
    letters = _take_out(partition.state.streams[step.key], left_out, step.error)
    assembled = await step.assemble()
    open_rides = await _refused_ends(partition, assembled)
    assembled = _without_ends(assembled, open_rides)
    if await _refusal(partition, assembled):
        await partition.go_back()
        return False
    await partition.add(assembled, letters, past=step.past)
    for ride, error in open_rides.items():
        _note(error, ride)
        partition.state.leave_open(ride)
    for _ in letters:
        _note(step.error, partition.state.streams[step.key].ride)
    return True


async def _may_be_refused(partition: Partition, key: bytes) -> bool:
    """Whether what is held may be the culprit: not so a `[SYSTEM]` line whose ride is taken.

    That a step is stored without it proves nothing: another `[SYSTEM]` line would be held then.
    """
    stream = partition.state.streams[key]
    if stream.held is None or not isinstance(stream.held.line, RideAnnounced):
        return True
    stream.held = replace(stream.held, is_told=False)
    alone = Assembled()
    decide_held(stream, alone)
    error = await _refusal(partition, Assembled(changes=[*alone.started]))
    await partition.go_back()
    return error is not None


def _take_out(
    stream: Stream, names: Iterable[str], error: asyncpg.PostgresError
) -> list[RefusedRecord]:
    """The letters of held lines, which are held no more."""
    letters = [refused_by_database(getattr(stream, name).record, error) for name in names]
    for name in names:
        setattr(stream, name, None)
    return letters


async def _refused_ends(
    partition: Partition, assembled: Assembled
) -> dict[Ride, asyncpg.PostgresError]:
    """The rides that PostgreSQL would not take with their ends."""
    refused = {}
    for ride in assembled.settled.values():
        alone = Assembled(
            changes=[start for start in assembled.started if start.ride is ride],
            readings=[reading for reading in assembled.readings if reading.ride is ride],
            settled={ride.identity: ride},
        )
        if ride.ended_at is not None and (error := await _refusal(partition, alone)):
            refused[ride] = error
    return refused


def _without_ends(assembled: Assembled, rides: Iterable[Ride]) -> Assembled:
    """The same, but that these rides do not end."""
    left_open = set(rides)
    return replace(
        assembled,
        settled={key: each for key, each in assembled.settled.items() if each not in left_open},
        changes=[
            change
            for change in assembled.changes
            if not (type(change) is Ended and change.ride in left_open)
        ],
    )


async def _refusal(partition: Partition, assembled: Assembled) -> asyncpg.PostgresError | None:
    """Why PostgreSQL would not take this; None where it would."""
    try:
        await partition.try_rows(assembled)
    except REFUSALS as error:
        return error
    return None


async def _let_go(partition: Partition, step: Step) -> None:
    """The stream begins anew: nothing of it is stored however it is tried, and others wait."""
    stream = partition.state.streams[step.key]
    _note(step.error, stream.ride)
    held = [name for name in _HOLDS if getattr(stream, name) is not None]
    letters = _take_out(stream, held, step.error)
    stream.forget_ride()
    await partition.add(Assembled(), letters, past=None)


def _line_of(record: Record) -> LogLine | Refusal:
    parsed = parse_message(record.value)
    return parsed.line if isinstance(parsed, DoubtfulLine) else parsed


def _note(error: asyncpg.PostgresError, ride: Ride | None) -> None:
    sqlstate = error.sqlstate or "unknown"
    metrics.REFUSED_BY_DATABASE.labels(sqlstate).inc()
    ride_id = ride.ride_id if ride is not None else None
    _log.error("refused by the database", error=type(error).__name__, ride_id=ride_id)
