"""CORE: what a worker knows of one partition, and what a batch of its records comes to."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from operator import attrgetter

import msgspec
from msgspec import Struct

from deloton.events import EndReason
from deloton.feed.assembly import (
    Assembled,
    Forgotten,
    Memory,
    Record,
    RefusedRecord,
    Ride,
    Stream,
    end_silent_rides,
    stream_key,
    unknown_bike,
    without_stranger,
)
from deloton.feed.assembly.crowd import Crowd
from deloton.feed.assembly.state import Held
from deloton.feed.log_lines import (
    DoubtfulLine,
    Parsed,
    Refusal,
    RideAnnounced,
    RideLine,
    TelemetryLine,
    parse_message,
    parse_messages,
)

__all__ = ["Batch", "PartitionState", "Question", "Record", "RefusedRecord", "is_replayed"]


class Batch(Struct, frozen=True):
    """What some consecutive records of a partition come to.

    `replayed` are records that a person sent again: they belong to rides of the past.
    """

    next_offset: int
    records: int
    newest_timestamp_ms: int
    assembled: Assembled
    replayed: list[Record]

    @property
    def refused(self) -> list[RefusedRecord]:
        """The records that become dead letters."""
        return self.assembled.refused


class Question(Struct, frozen=True):
    """What must be looked up before a batch can go on.

    `serials`: up to which stamp these bikes have told. With a `stamp`, instead: the rides of the
    one bike around it.
    """

    serials: list[str]
    stamp: datetime | None = None


class KeptRecord(Struct, frozen=True, array_like=True):
    """A record that is held over the end of a batch: it may become a dead letter yet."""

    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


HalfNote = tuple[datetime, float, int | None]


class StreamNote(Struct, frozen=True, array_like=True):
    """What the rows of a stream's last ride do not tell of it: see `PartitionState.notes`."""

    key: bytes
    waiting: HalfNote | None
    progress: tuple[datetime, datetime, float, datetime | None, datetime | None] | None
    announced: bool = False
    held: KeptRecord | None = None
    crowd: tuple[datetime | None, float, int] | None = None
    tail: tuple[datetime | None, bool] = (None, False)
    clock_ahead_us: int | None = None
    from_s: float = 0.0
    held_is_told: bool = False
    unpaired: KeptRecord | None = None
    late_half: HalfNote | None = None


_encode_notes = msgspec.msgpack.Encoder().encode
_decode_notes = msgspec.msgpack.Decoder(list[StreamNote]).decode

# Of longer rides the last readings are looked for in no more daily partitions than this.
RESTORED_WITHIN = timedelta(days=1)
FORGOTTEN_AT_ONCE = 10_000
REPLAY_HEADER = "deloton-replayed"
# So many records are parsed before they are assembled: what they are in between stays in the
# processor's cache. With 10,000 a line costs an eighth more.
PARSED_AT_ONCE = 1_000

_key_of, _value_of = attrgetter("key"), attrgetter("value")


def _nobody_answers(question: Question) -> None:
    raise LookupError(f"this must be looked up first: {question}")


class PartitionState:
    """The streams of one partition. A record without a key belongs to the stream b""."""

    def __init__(
        self,
        streams: Iterable[Stream] = (),
        notes: bytes = b"",
        partition: int = 0,
        memory: Memory | None = None,
    ) -> None:
        """Take up the streams as they were stored, with the `notes` stored beside them.

        `memory` None: nothing was told before that is not among the streams.
        """
        self._partition = partition
        self.memory = memory or Memory(whole=True)
        self.streams = {stream.key: stream for stream in streams}
        for stream in self.streams.values():
            stream.memory = self.memory
        for note in _decode_notes(notes) if notes else ():
            _apply_note(self._stream(note.key), note)
        # The moment of the last batch, and that of the last before the notes, which told of these.
        self._now = self._noted_at = -math.inf
        self._noted: dict[bytes, Stream] = {}
        self.left_open: set[int] = set()

    def assemble(
        self,
        records: Sequence[Record],
        now: float,
        answer: Callable[[Question], None] = _nobody_answers,
    ) -> Batch:
        """The same as `assembling`, for who answers at once or need not be asked.

        `answer` lets `memory` learn what is asked. Raises LookupError where nobody answers.
        """
        steps = self.assembling(records, now)
        while True:
            try:
                question = next(steps)
            except StopIteration as done:
                batch: Batch = done.value
                return batch
            answer(question)

    def assembling(self, records: Sequence[Record], now: float) -> Generator[Question, None, Batch]:
        """Parse and assemble records in their order; `now` is any clock that never falls back.

        Yields what `memory` must learn before it can go on.
        """
        out = Assembled()
        replayed: list[Record] = []
        self._now = now
        for first in range(0, len(records), PARSED_AT_ONCE):
            some = records[first : first + PARSED_AT_ONCE]
            yield from self._assembling_some(some, out, replayed)
        last = records[-1]
        return Batch(last.offset + 1, len(records), last.timestamp, out, replayed)

    def _assembling_some(
        self, records: Sequence[Record], out: Assembled, replayed: list[Record]
    ) -> Generator[Question, None, None]:
        streams, now = self.streams, self._now
        parsed = parse_messages(list(map(_value_of, records)))
        for record, line in zip(records, parsed, strict=True):
            if record.headers and is_replayed(record):
                replayed.append(record)
                continue
            if type(line) is Refusal:
                out.refuse(record, line)
                continue
            stream = streams.get(record.key or b"") or self._stream(record.key)
            stream.heard_at = now
            while True:
                try:
                    if type(line) is DoubtfulLine:
                        _accept_doubtful(stream, line, record, out)
                    else:
                        stream.accept(line, record, out)
                    break
                except Forgotten as forgotten:
                    yield self._question(forgotten, records, parsed)

    def _question(
        self, forgotten: Forgotten, records: Sequence[Record], parsed: Sequence[Parsed]
    ) -> Question:
        if forgotten.stamp is not None:
            return Question([forgotten.bike_serial], forgotten.stamp)
        # Who asks for one bike soon asks for the others.
        named = {line.bike_serial for line in parsed if isinstance(line, RideAnnounced)}
        unnamed = {
            unknown_bike(stream_key(key), self._partition)
            for key in {record.key for record in records}
        }
        asked = {forgotten.bike_serial, *named, *unnamed} - self.memory.newest.keys()
        return Question(sorted(filter(None, asked)))

    def forget_what_is_stored(self, assembled: Assembled) -> None:
        """After a batch was stored: what can be asked for again need not be kept."""
        for key in assembled.moved.keys() & self.streams.keys():
            self.streams[key].let_go_of_stored_rides()
        self.memory.forget_rides()

    def end_silent_rides(self, heard_before: float) -> Assembled:
        """End the open rides of streams not heard since a moment of the clock of `assemble`."""
        return end_silent_rides(self.streams.values(), heard_before)

    def strangers(self, records: Iterable[Record]) -> set[bytes]:
        """The keys of streams that were never heard here."""
        keys = {key or b"" for key in set(map(_key_of, records))} - self.streams.keys()
        return {stream_key(key) for key in keys} - self.streams.keys() if keys else keys

    def take_up(self, streams: Iterable[Stream]) -> None:
        """Go on with streams that were in other partitions."""
        for stream in streams:
            stream.memory = self.memory
            self.streams[stream.key] = stream

    def let_go(self, keys: Iterable[bytes]) -> Assembled:
        """Forget streams that go on in other partitions; return the halves that waited here."""
        out = Assembled()
        for key in keys:
            self.streams.pop(key).let_go(out)
        return out

    def silent_streams(self, heard_before: float) -> list[Stream]:
        """The streams whose open rides `end_silent_rides` would end, or whose held lines decide."""
        return [
            stream
            for stream in self.streams.values()
            if stream.heard_at < heard_before and (stream.is_riding or stream.held is not None)
        ]

    def forget_silent(self, heard_before: float) -> None:
        """Let go of streams without a ride in progress that were last heard before a moment.

        They can be asked for, like what memory knows of their bikes.
        """
        for stream in list(self.streams.values()):
            if stream.heard_at < heard_before and not stream.is_riding:
                self._forget(stream)

    def forget_spare(self, kept: int) -> None:
        """Keep so many of the streams without a ride in progress, those that were heard last.

        Of the others those go of which there is no note: who asks for them finds them as they
        were. No more than `FORGOTTEN_AT_ONCE` go: a worker must not stand still.
        """
        if len(self.streams) <= kept:
            return
        silent = sorted(
            (stream for stream in self.streams.values() if not stream.is_riding),
            key=attrgetter("heard_at"),
        )
        others = silent[: max(0, len(silent) - kept)]
        spare = (stream for stream in others if _note_of(stream) is None)
        for stream in islice(spare, FORGOTTEN_AT_ONCE):
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        del self.streams[stream.key]
        self.memory.forget_bikes((stream.bike_serial, stream.stand_in))

    def heard_as(self, other: "PartitionState") -> "PartitionState":
        """This state, with every stream last heard when `other` has heard it.

        Nor is the end of a ride asked for again that `other` has left open.
        """
        for key, stream in self.streams.items():
            if key in other.streams:
                stream.heard_at = other.streams[key].heard_at
            ride = stream.ride
            if ride is not None and ride.ended_at is None and ride.ride_id in other.left_open:
                ride.ended_at, ride.end_reason = ride.last_at, EndReason.SILENCE
                self.left_open.add(ride.ride_id)
        return self

    def leave_open(self, ride: Ride) -> None:
        """Note a ride whose end PostgreSQL refuses: it has ended for its stream alone."""
        if ride.ride_id is not None:
            self.left_open.add(ride.ride_id)

    def open_rides(self) -> int:
        """How many rides are in progress."""
        return sum(stream.is_riding for stream in self.streams.values())

    def notes(self) -> bytes:
        """What must be stored beside the rows for another worker to go on from here exactly.

        That is the lines that wait or are held, which streams have announced a ride or hold two
        bikes, what is known of clocks, and the progress of rides that last longer than a day or
        were taken over in mid-ride, which the rows do not tell.
        """
        # Of a hundred thousand streams few were heard since the last notes: no other's change.
        heard = {s.key: s for s in self.streams.values() if s.heard_at >= self._noted_at}
        self._noted_at = self._now
        noted = {
            key: (stream, note)
            for key, stream in (self._noted | heard).items()
            if self.streams.get(key) is stream and (note := _note_of(stream)) is not None
        }
        self._noted = {key: stream for key, (stream, _) in noted.items()}
        return _encode_notes([note for _, note in noted.values()])

    def stream_of(self, record: Record) -> Stream:
        """The stream that a record belongs to."""
        return self._stream(record.key)

    def _stream(self, message_key: bytes | None) -> Stream:
        key = stream_key(message_key)
        stream = self.streams.get(key)
        if stream is None:
            stream = self.streams[key] = Stream(key, memory=self.memory, partition=self._partition)
        return stream


def noted_keys(notes: bytes) -> list[bytes]:
    """The keys of the streams that `notes` tell of."""
    return [note.key for note in _decode_notes(notes)] if notes else []


def is_replayed(record: Record) -> bool:
    """Whether a person sent a dead letter again (`dead_letters.py`)."""
    return any(name == REPLAY_HEADER for name, _ in record.headers)


def _accept_doubtful(
    stream: Stream, doubtful: DoubtfulLine, record: Record, out: Assembled
) -> None:
    """Take what could be measured; what could not is a dead letter, unless the line is a repeat."""
    before = len(out.refused), out.repeats, len(out.late)
    stream.accept(doubtful.line, record, out)
    if len(out.late) > before[2]:
        out.late[-1].doubt = doubtful.refusal
    elif (len(out.refused), out.repeats) == before[:2] and stream.ride is not None:
        out.implausible[stream.ride] += 1
        out.refuse(record, doubtful.refusal)


def _note_of(stream: Stream) -> StreamNote | None:
    ride, held, crowd, unpaired = stream.ride, stream.held, stream.crowd, stream.unpaired
    progress = None
    if ride is not None and (ride.from_s or ride.last_at - ride.started_at > RESTORED_WITHIN):
        progress = (ride.last_stamp, ride.counted_stamp, ride.elapsed_s, None, None)
    clock_ahead = stream.clock.ahead
    waits = stream.waiting or stream.late_half or held or unpaired
    # An announcement tells something of the ride before alone: of a bike that started up, nothing.
    announced = stream.announced and ride is not None
    if not (waits or crowd or progress or clock_ahead or announced or stream.tail_stamp):
        return None
    return StreamNote(
        stream.key,
        _half(stream.waiting),
        progress,
        announced,
        _kept(held.record) if held else None,
        (crowd.beginning, crowd.elapsed_s, crowd.alone_for) if crowd else None,
        (stream.tail_stamp, stream.in_tail),
        None if clock_ahead is None else clock_ahead // timedelta(microseconds=1),
        ride.from_s if ride is not None else 0.0,
        held is not None and held.is_told,
        _kept(unpaired.record) if unpaired else None,
        _half(stream.late_half),
    )


def _half(line: RideLine | None) -> HalfNote | None:
    return (line.at, line.elapsed_s, line.resistance) if line else None


def _kept(record: Record) -> KeptRecord:
    return KeptRecord(
        record.offset, record.key, record.value, record.timestamp, tuple(record.headers)
    )


def _apply_note(stream: Stream, note: StreamNote) -> None:
    ride = stream.ride
    stream.announced = stream.announced or note.announced
    stream.tail_stamp, stream.in_tail = note.tail
    if note.crowd is not None:
        stream.crowd = Crowd(*note.crowd)
    stream.held = _held(note.held, is_told=note.held_is_told)
    if stream.held is not None and isinstance(stream.held.line, RideAnnounced):
        believed = without_stranger(stream.held.line, stream.bike_serial)
        stream.held = msgspec.structs.replace(stream.held, line=believed)
    stream.unpaired = _held(note.unpaired)
    stream.late_half = RideLine(*note.late_half) if note.late_half else None
    if note.clock_ahead_us is not None:
        stream.clock.ahead = timedelta(microseconds=note.clock_ahead_us)
    if ride is None:
        return
    if note.waiting is not None:
        stream.waiting = RideLine(*note.waiting)
    if note.progress is not None:
        ride.last_stamp, ride.counted_stamp, ride.elapsed_s, *_ = note.progress
        ride.from_s = note.from_s


def _held(record: KeptRecord | None, *, is_told: bool = False) -> Held | None:
    if record is None:
        return None
    line = parse_message(record.value)
    line = line.line if isinstance(line, DoubtfulLine) else line
    return Held(line, record, is_told) if isinstance(line, TelemetryLine | RideAnnounced) else None
