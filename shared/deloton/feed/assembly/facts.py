"""CORE: what is known of a ride, and what lines come to."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from msgspec import Struct, field

from deloton.events import EndReason, Rider
from deloton.feed.log_lines import Refusal, RideLine, TelemetryLine

PAIR_WINDOW = timedelta(seconds=1)
SAME_BEGINNING = timedelta(seconds=2)
# A bike's second is up to half a per cent longer than ours (it sleeps, then sends): so much may
# the beginning that a line implies drift off over a ride.
DRIFT = 0.005

NO_TIME = timedelta(0)
# Before every stamp that can be.
NO_STAMP = datetime.min.replace(tzinfo=UTC)


class Record(Protocol):
    """What we read of a Kafka record. `timestamp`: when it came, in ms since 1970."""

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


class Ride(Struct, eq=False, kw_only=True):
    """A ride as its stream knows it. The bike and its first beginning are its natural key.

    `beginnings` are the stamps at which the ride began by the bike's clock, the first as it was
    told and one more for each time the clock was set since. `ahead` is what our time has ahead of
    that clock: `started_at` and `ended_at` are in our time. `ride_id` is given once the ride is
    stored.

    `last_stamp` is that of the last reading, `counted_stamp` and `elapsed_s` those of the last
    reading with a duration; before the first reading all speak of the start. `from_s` is the
    count with which the ride began: not 0 where a rider took over in mid-ride. `met_stamp` is that
    of the Ride line by which the ride was met, None where it was announced.
    """

    stream_key: bytes
    bike_serial: str
    started_at: datetime
    beginnings: list[datetime]
    ahead: timedelta = NO_TIME
    rider_id: int | None = None
    ride_id: int | None = None
    last_stamp: datetime
    counted_stamp: datetime
    elapsed_s: float = 0.0
    from_s: float = 0.0
    met_stamp: datetime | None = None
    ended_at: datetime | None = None
    end_reason: EndReason | None = None

    @classmethod
    def begin(
        cls,
        stream_key: bytes,
        bike_serial: str,
        stamp: datetime,
        rider_id: int | None,
        ahead: timedelta = NO_TIME,
    ) -> "Ride":
        """A ride of which no reading is known yet."""
        return cls(
            stream_key=stream_key,
            bike_serial=bike_serial,
            started_at=stamp + ahead,
            beginnings=[stamp],
            ahead=ahead,
            rider_id=rider_id,
            last_stamp=stamp,
            counted_stamp=stamp,
        )

    @property
    def last_at(self) -> datetime:
        """When the ride was last heard of, in our time."""
        return self.last_stamp + self.ahead

    @property
    def identity(self) -> tuple[str, datetime]:
        """What is unique of a ride, whatever time we give it: its bike, and its first stamp."""
        return self.bike_serial, self.beginnings[0]

    @property
    def clock_beginnings(self) -> list[datetime] | None:
        """The beginnings, or None where the bike's clock was right and nobody set it."""
        return self.beginnings if self.ahead or len(self.beginnings) > 1 else None

    def goes_on_with(self, line: RideLine) -> bool:
        """Whether a Ride line implies the beginning that this ride's last one implied."""
        beginning = count_back(self.counted_stamp, self.elapsed_s)
        return abs(count_back(line.at, line.elapsed_s) - beginning) <= SAME_BEGINNING

    def ahead_of(self, line: RideLine) -> tuple[timedelta, timedelta] | None:
        """What our time had ahead of the clock by which a line is of this ride, and how far beside.

        None: it is of another. For a ride that is past: any of its beginnings may be meant.
        """
        if line.elapsed_s <= self.from_s:
            return None
        implied = count_back(line.at, line.elapsed_s - self.from_s)
        beside, beginning = min((abs(implied - each), each) for each in self.beginnings)
        if beside > SAME_BEGINNING + timedelta(seconds=line.elapsed_s * DRIFT):
            return None
        ahead = self.started_at - beginning
        if line.elapsed_s <= self.elapsed_s and line.at + ahead > (self.ended_at or self.last_at):
            # A second that was told was told before the ride's end.
            return None
        return ahead, beside

    def aheads_at(self, stamp: datetime) -> list[timedelta]:
        """The same of a stamp alone: it lies between a beginning and the end.

        Of several clocks that may be meant the last first.
        """
        lasted = (self.ended_at or self.last_at) - self.started_at
        return [
            self.started_at - beginning
            for beginning in reversed(self.beginnings)
            if beginning <= stamp <= beginning + lasted + PAIR_WINDOW
        ]


class Reading(Struct, gc=False, kw_only=True):
    """One second of a ride: what was measured, and None for what was not; `at` in our time.

    The fields are those of the table, in its order.
    """

    ride: Ride
    at: datetime
    elapsed_s: float | None = None
    heart_rate_bpm: int | None = None
    cadence_rpm: int | None = None
    resistance: int | None = None
    power_watts: float | None = None


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


class Late(Struct, eq=False):
    """A line that tells of a second that its ride has passed: a repeat, or what is missing.

    `at` is its stamp in our time. `instead` are other rides and times that its stamp alone may
    mean as well: known there, it is a repeat. `half_of_s` is the count of the Ride line before a
    Telemetry line. `doubt` is what of it cannot be.
    """

    ride: Ride
    line: RideLine | TelemetryLine
    at: datetime
    record: Record
    instead: list[tuple[Ride, datetime]] = field(default_factory=list)
    half_of_s: float | None = None
    doubt: Refusal | None = None

    @property
    def moments(self) -> list[tuple[Ride, datetime]]:
        """All that may be meant."""
        return [(self.ride, self.at), *self.instead]


class Assembled(Struct, eq=False):
    """What came of some lines, in their order.

    `settled` are the rides whose end was found, changed or taken back, by their identity; `moved`
    says by their keys which streams went on to another ride. `late` waits for what is stored
    (`late.place`), which gives `amended`: halves of readings. `told_anew` are rides whose rider
    was told again, with newer facts. `shifted` says by how much the time of stored rides was
    wrong; `set_clocks` are rides whose clock was set. `repeats` counts the lines that told nothing
    new, `implausible` for each ride those that told what cannot be.
    """

    changes: list[Started | Ended | Resumed] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    refused: list[RefusedRecord] = field(default_factory=list)
    settled: dict[tuple[str, datetime], Ride] = field(default_factory=dict)
    moved: dict[bytes, Ride] = field(default_factory=dict)
    late: list[Late] = field(default_factory=list)
    amended: list[Reading] = field(default_factory=list)
    told_anew: list[Started] = field(default_factory=list)
    shifted: dict[Ride, timedelta] = field(default_factory=dict)
    set_clocks: dict[Ride, None] = field(default_factory=dict)
    repeats: int = 0
    implausible: Counter[Ride] = field(default_factory=Counter)

    @property
    def started(self) -> list[Started]:
        """The rides that began."""
        return [change for change in self.changes if type(change) is Started]

    def begin(self, started: Started) -> None:
        """Note that a ride began; where it is told again, it is in progress again."""
        self.changes.append(started)
        self.settled.pop(started.ride.identity, None)

    def settle(self, ride: Ride) -> None:
        """Note that the end of a ride is to be stored anew."""
        self.settled[ride.identity] = ride

    def refuse(self, record: Record, refusal: Refusal) -> None:
        """Note that a record becomes a dead letter."""
        self.refused.append(RefusedRecord(record, refusal))


def count_back(stamp: datetime, seconds: float) -> datetime:
    """The stamp so many seconds before; itself where time has no such moment."""
    try:
        return stamp - timedelta(seconds=seconds)
    except OverflowError:
        return stamp
