"""Lines of a stream → rides and readings: a state machine without I/O.

All lines of one bike share a stream and come in order; which ride a line belongs to follows
from that order alone, and no line says that a ride ended. The rules, line by line:

A *Ride* line (seconds since the ride began, resistance) waits for its *Telemetry* line:

- Telemetry within a second after it: the two are one reading, at the Telemetry line's stamp.
- Anything else first, but for repeats and announcements: the Ride line is a reading of its own,
  at its own stamp, and what the missing half would have told is None.

A Ride line belongs to the ride of its stream, which is resumed if it was held to be over, where

- its duration counts on by at most 5 s, whatever the stamp says (the clock jumped), unless a
  next ride was announced since; or
- its duration is higher and it implies the same beginning (stamp - duration) within 2 s.

With the same beginning and a duration that is not higher it is a repeat and is dropped; so is
what the ride before this one has told, since a producer sends a whole batch again. Every other
Ride line tells of a ride whose beginning was lost: a ride without a rider begins at
stamp - duration, on the bike that the stream last named.

A *Telemetry* line that no Ride line waits for is a reading with no duration and no resistance.
It is a repeat where it is not later than the ride's last reading. It is refused where it could
belong to no ride: none is known, the next one was announced, a later Ride line waits, or 30 s
have passed.

A `[SYSTEM]` line begins a ride at its stamp. The stamp of this ride or of the one before again is
a repeat, and takes back what was announced. Markers and `Getting user data` announce the next
ride: the one before counts on no more, but may still turn out to go on.

A ride ends at its last reading. The reason is silence where more than 30 s pass before the next
ride's beginning, or where the caller has waited that long and no next ride was announced; else
it is the next ride.

Repeating a series of lines from the same state gives the same rides and readings.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256

from msgspec import Struct, field

from deloton.events import EndReason, Rider
from deloton.log_lines import (
    LogLine,
    Refusal,
    RefusalReason,
    RideAnnounced,
    RideLine,
    TelemetryLine,
)

SILENCE = timedelta(seconds=30)
PAIR_WINDOW = timedelta(seconds=1)
COUNTS_ON_S = 5.0
SAME_BEGINNING = timedelta(seconds=2)
# In bytes: keys and the serials made of them stand in indexes, which hold about 2,700.
LONGEST_KEY = 255
# A step between two stamps of a ride from which on the clock must have been set.
CLOCK_JUMP = timedelta(hours=1)

_NO_TIME = timedelta(0)
_NO_RIDE = Refusal(RefusalReason.NO_RIDE, "telemetry that belongs to no ride seen so far")


class Ride(Struct, eq=False, kw_only=True):
    """A ride as its stream knows it. The bike and the start are its natural key.

    `ride_id` is given once the ride is stored. `last_at` is the stamp of the last reading,
    `counted_at` and `elapsed_s` those of the last reading with a duration; before the first
    reading all speak of the start. `first_at` and `latest_at` widen the span of the readings'
    stamps where the bike's clock jumped. `stream_key` is the key of the stream's messages.
    """

    stream_key: bytes
    bike_serial: str
    started_at: datetime
    rider_id: int | None = None
    ride_id: int | None = None
    last_at: datetime
    counted_at: datetime
    elapsed_s: float = 0.0
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    first_at: datetime | None = None
    latest_at: datetime | None = None

    @classmethod
    def begin(
        cls, stream_key: bytes, bike_serial: str, started_at: datetime, rider_id: int | None
    ) -> "Ride":
        """A ride of which no reading is known yet."""
        return cls(
            stream_key=stream_key,
            bike_serial=bike_serial,
            started_at=started_at,
            rider_id=rider_id,
            last_at=started_at,
            counted_at=started_at,
        )

    @property
    def clock_jumped(self) -> bool:
        """Whether the stamps of the readings may be out of order or far apart."""
        return self.first_at is not None

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last stamp that any reading of the ride can have."""
        stamps = (self.started_at, self.last_at, self.first_at, self.latest_at)
        known = [stamp for stamp in stamps if stamp is not None]
        return min(known), max(known)

    def counts_on_with(self, line: RideLine) -> bool:
        """Whether a Ride line's duration is the next of this ride, whatever its stamp."""
        return 0 < line.elapsed_s - self.elapsed_s <= COUNTS_ON_S

    def goes_on_with(self, line: RideLine) -> bool:
        """Whether a Ride line tells of a later second of this ride, by its stamp."""
        return line.elapsed_s > self.elapsed_s and self._began_with(line)

    def has_heard(self, line: RideLine, elapsed_s: float) -> bool:
        """Whether a Ride line tells of a second of this ride up to the one at `elapsed_s`."""
        return line.elapsed_s <= elapsed_s and self._began_with(line)

    def _began_with(self, line: RideLine) -> bool:
        beginning = _count_back(self.counted_at, self.elapsed_s)
        return abs(_count_back(line.at, line.elapsed_s) - beginning) <= SAME_BEGINNING

    def note_clock_jump(self, at: datetime) -> None:
        """Remember that readings on both sides of a jump to `at` belong to the ride."""
        self.first_at = min(self.first_at or self.started_at, self.last_at, at)
        self.latest_at = max(self.latest_at or self.started_at, self.last_at, at)


class Reading(Struct, gc=False):
    """One second of a ride: what was measured, and None for what was not."""

    ride: Ride
    at: datetime
    elapsed_s: float | None
    resistance: int | None
    heart_rate_bpm: int | None
    cadence_rpm: int | None
    power_watts: float | None


class Started(Struct, eq=False):
    """A ride began; `rider` is what the line that began it told of the rider."""

    ride: Ride
    firmware: str | None
    rider: Rider | None


class Ended(Struct, eq=False):
    """A ride is held to be over since `at`."""

    ride: Ride
    at: datetime
    reason: EndReason


class Resumed(Struct, eq=False):
    """A ride that was held to be over goes on at `at`."""

    ride: Ride
    at: datetime


class Assembled(Struct, eq=False):
    """What came of some lines, in their order.

    `settled` are the rides whose end was found, changed or taken back; `moved` the streams
    that went on to another ride. `repeats` counts the lines that told nothing new.
    """

    changes: list[Started | Ended | Resumed] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    settled: dict[tuple[str, datetime], Ride] = field(default_factory=dict)
    moved: dict[bytes, "Stream"] = field(default_factory=dict)
    repeats: int = 0

    @property
    def started(self) -> list[Started]:
        """The rides that began."""
        return [change for change in self.changes if type(change) is Started]

    def begin(self, started: Started) -> None:
        """Note that a ride began; where it is told again, it is in progress again."""
        self.changes.append(started)
        self.settled.pop((started.ride.bike_serial, started.ride.started_at), None)

    def settle(self, ride: Ride) -> None:
        """Note that the end of a ride is to be stored anew."""
        self.settled[ride.bike_serial, ride.started_at] = ride


class Stream:
    """The lines of one bike: the ride in progress or last heard of, and the waiting Ride line.

    `previous` is the ride before: what it has told may come again. `announced` says that the
    next ride was announced and nothing of it came yet.
    """

    __slots__ = ("announced", "bike_serial", "heard_at", "key", "previous", "ride", "waiting")

    def __init__(self, key: bytes, bike_serial: str | None = None) -> None:
        self.key = stream_key(key)
        self.bike_serial = bike_serial or unknown_bike(self.key)
        self.ride: Ride | None = None
        self.previous: Ride | None = None
        self.waiting: RideLine | None = None
        self.announced = False
        self.heard_at = 0.0

    def accept(self, line: LogLine, out: Assembled) -> Refusal | None:
        """Take the next line; add what follows to `out`, or say why the line is refused."""
        kind = type(line)
        if kind is RideLine:
            self._accept_ride_line(line, out)  # type: ignore[arg-type]
        elif kind is TelemetryLine:
            return self._accept_telemetry(line, out)  # type: ignore[arg-type]
        elif kind is RideAnnounced:
            self._accept_announcement(line, out)  # type: ignore[arg-type]
        else:
            self.announced = True
        return None

    def end_by_silence(self, out: Assembled) -> None:
        """The caller has waited for 30 s and heard nothing."""
        if self.ride is not None and self.ride.ended_at is None:
            self._end_ride(EndReason.NEXT_RIDE if self.announced else EndReason.SILENCE, out)

    def _accept_ride_line(self, line: RideLine, out: Assembled) -> None:
        ride = self.ride
        if ride is not None and self._has_heard(ride, line):
            out.repeats += 1
            return
        self._release_waiting(out)
        if ride is None or not self._goes_on(ride, line):
            started_at = _count_back(line.at, line.elapsed_s)
            ride = Ride.begin(self.key, self.bike_serial, started_at, None)
            self._begin_ride(Started(ride, None, None), out)
        elif ride.ended_at is not None:
            self._resume(ride, line.at, out)
        if not _NO_TIME <= line.at - ride.last_at < CLOCK_JUMP:
            ride.note_clock_jump(line.at)
        self.waiting = line
        self.announced = False

    def _has_heard(self, ride: Ride, line: RideLine) -> bool:
        """Whether a Ride line tells again what this ride or the one before has told."""
        waiting, previous = self.waiting, self.previous
        if waiting is not None:
            if line.at == waiting.at or ride.has_heard(line, waiting.elapsed_s):
                return True
        elif line.elapsed_s <= ride.elapsed_s and ride.has_heard(line, ride.elapsed_s):
            return True
        return (
            previous is not None
            and line.at < ride.started_at
            and previous.has_heard(line, previous.elapsed_s)
        )

    def _goes_on(self, ride: Ride, line: RideLine) -> bool:
        return (not self.announced and ride.counts_on_with(line)) or ride.goes_on_with(line)

    def _accept_telemetry(self, line: TelemetryLine, out: Assembled) -> Refusal | None:
        waiting, ride = self.waiting, self.ride
        if waiting is not None and ride is not None:
            if _NO_TIME <= line.at - waiting.at < PAIR_WINDOW:
                self.waiting = None
                ride.last_at = ride.counted_at = line.at
                ride.elapsed_s = waiting.elapsed_s
                out.readings.append(
                    Reading(
                        ride,
                        line.at,
                        waiting.elapsed_s,
                        waiting.resistance,
                        line.heart_rate_bpm,
                        line.cadence_rpm,
                        line.power_watts,
                    )
                )
                return None
            if line.at <= ride.last_at:
                out.repeats += 1
                return None
            if line.at < waiting.at:
                return _NO_RIDE
            self._release_waiting(out)
        return self._accept_lone_telemetry(line, out)

    def _accept_lone_telemetry(self, line: TelemetryLine, out: Assembled) -> Refusal | None:
        ride = self.ride
        if ride is None:
            return _NO_RIDE
        if line.at <= ride.last_at:
            out.repeats += 1
            return None
        if self.announced or line.at - ride.last_at > SILENCE:
            return _NO_RIDE
        if ride.ended_at is not None:
            self._resume(ride, line.at, out)
        ride.last_at = line.at
        out.readings.append(
            Reading(
                ride,
                line.at,
                None,
                None,
                line.heart_rate_bpm,
                line.cadence_rpm,
                line.power_watts,
            )
        )
        return None

    def _accept_announcement(self, line: RideAnnounced, out: Assembled) -> None:
        bike_serial = line.bike_serial or self.bike_serial
        if any(
            known is not None and known.started_at == line.at and known.bike_serial == bike_serial
            for known in (self.ride, self.previous)
        ):
            self.announced = False
            out.repeats += 1
            return
        self.bike_serial = bike_serial
        rider_id = line.rider.rider_id if line.rider else None
        ride = Ride.begin(self.key, bike_serial, line.at, rider_id)
        self._begin_ride(Started(ride, line.firmware, line.rider), out)

    def _begin_ride(self, started: Started, out: Assembled) -> None:
        self._release_waiting(out)
        if self.ride is not None:
            silent_for = started.ride.started_at - self.ride.last_at
            reason = EndReason.SILENCE if silent_for > SILENCE else EndReason.NEXT_RIDE
            self._end_ride(reason, out)
        self.previous, self.ride = self.ride, started.ride
        self.announced = False
        out.begin(started)
        out.moved[self.key] = self

    def _end_ride(self, reason: EndReason, out: Assembled) -> None:
        """End the ride, or correct the reason of an end."""
        self._release_waiting(out)
        ride = self.ride
        if ride is None or ride.end_reason is reason:
            return
        if ride.ended_at is None:
            out.changes.append(Ended(ride, ride.last_at, reason))
        ride.ended_at, ride.end_reason = ride.last_at, reason
        out.settle(ride)

    def _resume(self, ride: Ride, at: datetime, out: Assembled) -> None:
        ride.ended_at = ride.end_reason = None
        out.changes.append(Resumed(ride, at))
        out.settle(ride)

    def _release_waiting(self, out: Assembled) -> None:
        """Give up waiting for the other half: the Ride line is a reading of its own."""
        line, ride = self.waiting, self.ride
        if line is None or ride is None:
            return
        self.waiting = None
        ride.last_at = ride.counted_at = line.at
        ride.elapsed_s = line.elapsed_s
        out.readings.append(
            Reading(ride, line.at, line.elapsed_s, line.resistance, None, None, None)
        )


def stream_key(key: bytes | None) -> bytes:
    """A message's key as its stream's: none is b"", and a long one its digest, for the index."""
    if key is None or len(key) <= LONGEST_KEY:
        return key or b""
    return b"sha256:" + sha256(key).hexdigest().encode()


def unknown_bike(key: bytes, partition: int = 0) -> str:
    """The stand-in serial of a bike that its stream has not named yet.

    The stream of messages without a key is that of its partition.
    """
    if not key:
        return f"unknown:partition {partition}"
    name = key.decode(errors="backslashreplace").replace("\0", "")
    return f"unknown:{name}"


def _count_back(at: datetime, seconds: float) -> datetime:
    try:
        return at - timedelta(seconds=seconds)
    except OverflowError:
        return at


def end_silent_rides(streams: Iterable[Stream], heard_before: float) -> Assembled:
    """End the open rides of the streams that were last heard before a moment of the caller's."""
    out = Assembled()
    for stream in streams:
        if stream.heard_at < heard_before:
            stream.end_by_silence(out)
    return out
