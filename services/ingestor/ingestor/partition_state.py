"""CORE: what a worker knows of one partition, and what a batch of its records comes to."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

import msgspec
from msgspec import Struct

from deloton.assembly import Assembled, Stream, end_silent_rides, stream_key, unknown_bike
from deloton.log_lines import Refusal, RideLine, parse_messages


class Record(Protocol):
    """What we read of a Kafka record."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...  # noqa: D102


class RefusedRecord(Struct, frozen=True):
    """A record that becomes a dead letter, and why."""

    record: Record
    refusal: Refusal


class Batch(Struct, frozen=True):
    """What some consecutive records of a partition come to.

    `replayed` are records that a person sent again: they belong to rides of the past.
    """

    next_offset: int
    records: int
    newest_timestamp_ms: int
    assembled: Assembled
    refused: list[RefusedRecord]
    replayed: list[Record]


class StreamNote(Struct, frozen=True, array_like=True):
    """What the rows of a stream's last ride do not tell of it: see `PartitionState.notes`."""

    key: bytes
    waiting: tuple[datetime, float, int] | None
    progress: tuple[datetime, datetime, float, datetime | None, datetime | None] | None
    announced: bool = False


_encode_notes = msgspec.msgpack.Encoder().encode
_decode_notes = msgspec.msgpack.Decoder(list[StreamNote]).decode

REPLAY_HEADER = "deloton-replayed"


class PartitionState:
    """The streams of one partition. A record without a key belongs to the stream b""."""

    def __init__(
        self, streams: Iterable[Stream] = (), notes: bytes = b"", partition: int = 0
    ) -> None:
        """Take up the streams as they were stored, with the `notes` stored beside them."""
        self._partition = partition
        self.streams = {stream.key: stream for stream in streams}
        for note in _decode_notes(notes) if notes else ():
            _apply_note(self._stream(note.key), note)

    def assemble(self, records: Sequence[Record], now: float) -> Batch:
        """Parse and assemble records in their order; `now` is any clock that never falls back."""
        out = Assembled()
        refused: list[RefusedRecord] = []
        replayed: list[Record] = []
        streams = self.streams
        lines = parse_messages([record.value for record in records])
        for record, line in zip(records, lines, strict=True):
            if record.headers and is_replayed(record):
                replayed.append(record)
                continue
            if type(line) is Refusal:
                refused.append(RefusedRecord(record, line))
                continue
            stream = streams.get(record.key or b"") or self._stream(record.key)
            stream.heard_at = now
            refusal = stream.accept(line, out)  # type: ignore[arg-type]
            if refusal is not None:
                refused.append(RefusedRecord(record, refusal))
        last = records[-1]
        return Batch(last.offset + 1, len(records), last.timestamp, out, refused, replayed)

    def end_silent_rides(self, heard_before: float) -> Assembled:
        """End the open rides of streams not heard since a moment of the clock of `assemble`."""
        return end_silent_rides(self.streams.values(), heard_before)

    def hear_all(self, now: float) -> None:
        """Start every stream's silence anew: the worker itself was away or behind."""
        for stream in self.streams.values():
            stream.heard_at = now

    def open_rides(self) -> int:
        """How many rides are in progress."""
        return sum(
            stream.ride is not None and stream.ride.ended_at is None
            for stream in self.streams.values()
        )

    def notes(self) -> bytes:
        """What must be stored beside the rows for another worker to go on from here exactly.

        That is the Ride lines that wait for their other half, which streams have announced a
        ride, and the progress of rides in which the clock jumped, which the rows do not tell.
        """
        return _encode_notes(
            [
                _note_of(stream)
                for stream in self.streams.values()
                if stream.waiting is not None
                or stream.announced
                or (stream.ride is not None and stream.ride.clock_jumped)
            ]
        )

    def _stream(self, message_key: bytes | None) -> Stream:
        key = stream_key(message_key)
        stream = self.streams.get(key)
        if stream is None:
            stream = self.streams[key] = Stream(key, unknown_bike(key, self._partition))
        return stream


def is_replayed(record: Record) -> bool:
    """Whether a person sent a dead letter again (`dead_letters.py`)."""
    return any(name == REPLAY_HEADER for name, _ in record.headers)


def _note_of(stream: Stream) -> StreamNote:
    line, ride = stream.waiting, stream.ride
    waiting = (line.at, line.elapsed_s, line.resistance) if line else None
    progress = None
    if ride is not None and ride.clock_jumped:
        progress = (ride.last_at, ride.counted_at, ride.elapsed_s, ride.first_at, ride.latest_at)
    return StreamNote(stream.key, waiting, progress, stream.announced)


def _apply_note(stream: Stream, note: StreamNote) -> None:
    ride = stream.ride
    if ride is None:
        return
    stream.announced = stream.announced or note.announced
    if note.waiting is not None:
        stream.waiting = RideLine(*note.waiting)
    if note.progress is not None:
        ride.last_at, ride.counted_at, ride.elapsed_s, ride.first_at, ride.latest_at = note.progress
