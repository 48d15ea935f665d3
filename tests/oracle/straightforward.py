"""The rows that raw messages must become, by the plainest computation there is.

The messages of each partition in, in their order; riders, bikes, rides with their readings, and
the offsets of refused messages out. Everything is held in lists and gone through several times.
"""

import math
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests.oracle.clocks import Clock
from tests.oracle.raw_lines import Line, read_line, rider_row, words_or_none

PAIR_WITHIN = timedelta(seconds=1)
SAME_BEGINNING = timedelta(seconds=2)
COUNTS_ON_S = 5
HALF_A_SECOND = timedelta(seconds=0.5)
SILENCE = timedelta(seconds=30)

Row = dict[str, Any]
RideKey = tuple[str, datetime]
StreamKey = tuple[int, bytes | None]
Streams = dict[StreamKey, list[tuple[int, Line | None]]]


class RawMessage(NamedTuple):
    """A record of the raw topic; `came_ms` since 1970, 0 where nobody knows when it came."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    came_ms: int = 0


class Reading(NamedTuple):
    """A row of `readings` without its ride."""

    at: datetime
    elapsed_s: float | None
    heart_rate_bpm: int | None
    cadence_rpm: int | None
    resistance: int | None
    power_watts: float | None


@dataclass
class Ride:
    """A ride as its stream's lines tell it."""

    partition: int
    bike_serial: str
    started_at: datetime
    rider: Row | None
    firmware: str | None
    clock: Clock
    # By how much our time is ahead of the bike's clock, and when the ride began by each clock.
    ahead: timedelta = timedelta(0)
    readings: list[Reading] = field(default_factory=list)
    # The beginning and the seconds that the last Ride line implied, and when that reading was.
    beginning: datetime = field(init=False)
    counted_s: float = 0.0
    counted_at: datetime = field(init=False)
    beginnings: list[datetime] = field(init=False)
    # When it began as far as was known then.
    told_at: datetime = field(init=False)
    # Lines that told what cannot be.
    impossible_lines: int = 0
    # The next one was announced and nothing of it came.
    announced_over: bool = False

    def __post_init__(self) -> None:
        self.counted_at = self.told_at = self.started_at
        self.beginning = self.started_at - self.ahead
        self.beginnings = [self.beginning]

    def set_clock(self, stamp: datetime, at: datetime) -> None:
        """The bike's clock was set: this stamp is at this time of ours, if that goes on at all."""
        at = max(at, self.last_at + timedelta(microseconds=1))
        self.clock.was_set(at - stamp - self.ahead)
        self.ahead = at - stamp
        self.beginnings.append(self.started_at - self.ahead)

    def hear(self, line: Line) -> None:
        """A Ride line came: all of the ride's time may turn out to be wrong."""
        wrong = self.clock.hear(stamp_of(line), line.came_at, self.ahead)
        if not wrong:
            return
        self.ahead += wrong
        self.started_at += wrong
        self.counted_at += wrong
        self.readings = [reading._replace(at=reading.at + wrong) for reading in self.readings]

    def add_late(self, line: Line, other_half: Line | None, ahead: timedelta) -> None:
        """What came when the ride had gone on: halves that are known already tell nothing."""
        for half in (line, other_half):
            if half is not None:
                self.add_late_half(half, ahead, line.duration_s)
        self.readings.sort()

    def add_late_half(self, half: Line, ahead: timedelta, count_s: float | None) -> None:
        """Complete a reading that lacks this half, or add one."""
        at = stamp_of(half) + ahead
        if half.duration_s is not None:
            if any(reading.elapsed_s == half.duration_s for reading in self.readings):
                return
            lacking = [
                reading
                for reading in sorted(self.readings)
                if reading.elapsed_s is None and timedelta(0) <= reading.at - at < PAIR_WITHIN
            ][:1]
            new = reading_of(half, None, ahead)
            if lacking:
                new = lacking[0]._replace(elapsed_s=half.duration_s, resistance=half.resistance)
        else:
            if any(reading.at == at or is_whole(reading, count_s) for reading in self.readings):
                return
            lacking = [
                reading
                for reading in sorted(self.readings)
                if reading.power_watts is None and timedelta(0) <= at - reading.at < PAIR_WITHIN
            ][-1:]
            new = reading_of(None, half, ahead)
            if lacking:
                new = new._replace(elapsed_s=lacking[0].elapsed_s, resistance=lacking[0].resistance)
        self.readings = [reading for reading in self.readings if reading not in lacking] + [new]

    @property
    def key(self) -> RideKey:
        """What is unique of a ride, whatever number it gets."""
        return self.bike_serial, self.started_at

    @property
    def longest_s(self) -> float:
        """How far it counted."""
        return max((r.elapsed_s for r in self.readings if r.elapsed_s is not None), default=0.0)

    @property
    def last_at(self) -> datetime:
        """When it was last heard of: its time never stands, and what is late is sorted in."""
        return self.readings[-1].at if self.readings else self.started_at

    def add(
        self,
        line: Line,
        other_half: Line | None,
        early: Line | None = None,
        *,
        waits: bool = False,
    ) -> None:
        """One more reading: of a pair, of a Ride line alone or of a Telemetry line alone.

        `early` is a Telemetry line that came right before, when nobody knew yet of which ride.
        A Ride line that waits for its other half tells of the clock alone as yet.
        """
        self.impossible_lines += bool(other_half and other_half.impossible)
        if line.duration_s is None:
            self.impossible_lines += line.impossible
            self.readings.append(reading_of(None, line, self.ahead))
            return
        ride_at = self.begin_second(line, early)
        if waits:
            return
        if other_half and not is_soon_after(other_half, line):
            self.set_clock(stamp_of(other_half), ride_at + HALF_A_SECOND)
        self.readings.append(
            reading_of(line, other_half, self.ahead)
            if other_half
            else reading_of(line, None, ride_at - stamp_of(line))
        )
        self.counted_s, self.counted_at = line.duration_s, self.readings[-1].at
        self.beginning = ride_at - self.ahead - timedelta(seconds=line.duration_s)

    def begin_second(self, line: Line, early: Line | None = None) -> datetime:
        """A Ride line came, whose other half may still come: returns when that was."""
        self.impossible_lines += line.impossible
        last_stamp = self.last_at - self.ahead
        if not self.has_beginning_of(line) or (stamp_of(line) <= last_stamp and self.readings):
            more = timedelta(seconds=(line.duration_s or 0) - self.counted_s)
            told_after = HALF_A_SECOND if self.counted_s else timedelta(0)
            self.set_clock(stamp_of(line), self.counted_at + more - told_after)
        if early is not None:
            self.add(early, None)
        self.hear(line)
        return stamp_of(line) + self.ahead

    def has_beginning_of(self, line: Line) -> bool:
        """Whether a Ride line implies the beginning that the last one implied."""
        return abs(beginning_of(line) - self.beginning) <= SAME_BEGINNING


@dataclass
class Expected:
    """All rows; rides and readings by bike and start, refusals as (partition, offset)."""

    riders: dict[int, Row] = field(default_factory=dict)
    bikes: dict[str, str | None] = field(default_factory=dict)
    rides: dict[RideKey, Row] = field(default_factory=dict)
    readings: dict[RideKey, list[Reading]] = field(default_factory=dict)
    refused: set[tuple[int, int]] = field(default_factory=set)
    partitions: dict[RideKey, int] = field(default_factory=dict)


def read_streams(messages: Iterable[RawMessage]) -> Streams:
    """The lines of each stream in their order, None in place of those that cannot be read.

    A stream is what shares a key; without a key it is what shares a partition. A line that came
    before, however long ago, tells nothing.
    """
    streams: Streams = {}
    told: set[tuple[StreamKey, bytes | None]] = set()
    for partition, offset, key, value, came_ms in messages:
        lines = streams.setdefault((partition, key), [])
        line = read_line(offset, value)
        if line is not None and came_ms > 0:
            line = line._replace(came_at=datetime.fromtimestamp(came_ms / 1000, UTC))
        # Markers alone bear no stamp: they are always the same.
        if line is not None and line.at is not None:
            if ((partition, key), value) in told:
                if line.kind == "system":
                    take_back_announcement(lines)
                continue
            told.add(((partition, key), value))
        lines.append((offset, line))
    return streams


def take_back_announcement(lines: list[tuple[int, Line | None]]) -> None:
    """What came right before a `[SYSTEM]` line that was told before came again with it."""
    while lines and (last := lines[-1][1]) is not None and last.kind == "announcement":
        lines.pop()


def expected_rows(streams: Streams, *, waited: bool | Container[StreamKey]) -> Expected:
    """The rows once all messages are stored; `waited`: where 30 s of silence have passed since.

    Until then the last ride of a stream is in progress, and a last Ride line waits on.
    """
    expected = Expected()
    rides: list[Ride] = []
    for (partition, key), lines in streams.items():
        refused = {offset for offset, line in lines if line is None}
        over = waited if isinstance(waited, bool) else (partition, key) in waited
        own = rides_of(partition, key, [line for _, line in lines if line], refused, over)
        expected.refused |= {(partition, offset) for offset in refused}
        # A stream that only announced rides has none.
        for ride, following in zip(own, [*own[1:], None], strict=False):
            expected.rides[ride.key] = ride_row(ride, following, over)
        rides += own
    add_what_rides_tell(expected, rides)
    return expected


def rides_of(  # noqa: C901, PLR0912, PLR0915 - one case after another
    partition: int, key: bytes | None, lines: list[Line], refused: set[int], waited: bool
) -> list[Ride]:
    """The rides of one stream; lines that belong to no ride join the refused ones."""
    rides: list[Ride] = []
    announced = False
    bike = f"unknown:{key.decode()}" if key else f"unknown:partition {partition}"
    units = list(in_pairs(lines, waited))
    early: Line | None = None
    clock = Clock()
    for number, (line, other_half) in enumerate(units):
        following = next(iter(units[number + 1 : number + 2]), None)
        ride = rides[-1] if rides else None
        waits = following is None and not (waited or other_half) and line.kind == "ride"
        refused |= {half.offset for half in (line, other_half) if half and half.impossible}
        if line.kind == "announcement":
            announced = True
            continue
        if line.kind == "system":
            data, at = line.user_data or {}, stamp_of(line)
            bike = words_or_none(data.get("bike_serial")) or bike
            rider = rider_row(data, at)
            in_mid_ride = ride is not None and is_in_mid_ride(line, rides, announced)
            # Markers decide nothing: they may have come again.
            others = (unit for unit in units[number + 1 :] if unit[0].kind != "announcement")
            decisive = next(others, None)
            if in_mid_ride and decisive is None and not waited:
                continue
            if (
                in_mid_ride
                and decisive is not None
                and counts_on(decisive[0], rides, announced=decisive is not following)
            ):
                take_over(rides, at, rider, line.firmware)
            elif ride is None or (ride.bike_serial, ride.beginnings[0]) != (bike, at):
                ahead = ahead_at_beginning(clock, at, line, ride)
                rider = rider and rider | {"seen_at": at + ahead}
                rides.append(Ride(partition, bike, at + ahead, rider, line.firmware, clock, ahead))
        elif belongs(line, rides, announced) == "nowhere yet":
            past, ahead = past_ride_of(line, rides)
            if ride and past and counts_on_from(line, past, ride):
                ride.beginning, ride.counted_s = beginning_of(line), (line.duration_s or 0) - 1
                ride.add(line, other_half, early, waits=waits)
                announced, early = False, None
                continue
            if past is not None:
                past.add_late(line, other_half, ahead)
                continue
            if line.kind == "telemetry":
                if following is not None and is_just_before(line, following[0]):
                    early = line
                elif following is not None or waited:
                    refused.add(line.offset)
                continue
            began = beginning_of(line)
            ahead = ahead_at_beginning(clock, began, line, ride)
            rides.append(Ride(partition, bike, began + ahead, None, None, clock, ahead))
            rides[-1].add(line, other_half, early, waits=waits)
        elif ride and belongs(line, rides, announced) == "to this ride":
            ride.add(line, other_half, early, waits=waits)
        elif ride and belongs(line, rides, announced) == "repeat":
            past, ahead = past_ride_of(line, rides)
            if past is not None:
                past.add_late(line, other_half, ahead)
            elif line.kind == "telemetry":
                refused.add(line.offset)
            continue
        announced, early = False, None
    if rides:
        rides[-1].announced_over = announced
    return rides


def ahead_at_beginning(clock: Clock, began: datetime, line: Line, former: Ride | None) -> timedelta:
    """What our time has ahead of the stamp at which a ride began, told of by a line.

    It begins after the one before.
    """
    ahead = clock.at_beginning(stamp_of(line), line.came_at)
    if former and ahead and began + ahead <= former.started_at:
        ahead = former.last_at + timedelta(milliseconds=1) - began
    return ahead


def is_in_mid_ride(line: Line, rides: list[Ride], announced: bool) -> bool:
    """Whether a rider is told, unannounced, while a ride may go on: the next line decides."""
    since_last = stamp_of(line) + rides[-1].ahead - rides[-1].last_at
    return not announced and rides[-1].counted_s > 0 and timedelta(0) <= since_last <= SILENCE


def counts_on_from(line: Line, past: Ride, ride: Ride) -> bool:
    """Whether a ride that was announced in the midst of the one before has its first line here."""
    if line.kind != "ride" or ride.readings or past is ride:
        return False
    since = stamp_of(line) + ride.ahead - ride.started_at
    more_s = (line.duration_s or 0) - past.longest_s
    return more_s <= COUNTS_ON_S and timedelta(0) <= since <= SILENCE


def counts_on(line: Line, rides: list[Ride], *, announced: bool) -> bool:
    """Whether the ride goes on with this line."""
    return line.kind == "ride" and belongs(line, rides, announced) == "to this ride"


def take_over(rides: list[Ride], stamp: datetime, rider: Row | None, firmware: str | None) -> None:
    """The same rider: newer facts. Another: the ride ends, and the count goes on in the next."""
    ride = rides[-1]
    if rider is None or ride.rider is None or rider["rider_id"] == ride.rider["rider_id"]:
        if rider is not None:
            ride.rider = rider | {"seen_at": ride.started_at}
        return
    started_at = stamp + ride.ahead
    rider = rider | {"seen_at": started_at}
    following = Ride(
        ride.partition, ride.bike_serial, started_at, rider, firmware, ride.clock, ride.ahead
    )
    following.beginning, following.counted_at = ride.beginning, ride.counted_at
    following.counted_s = ride.counted_s
    rides.append(following)


def belongs(line: Line, rides: list[Ride], announced: bool) -> str:
    """What a Ride line (with or without its other half) or a lone Telemetry line is part of."""
    if not rides:
        return "nowhere yet"
    ride = rides[-1]
    if line.duration_s is None:
        since_last = stamp_of(line) + ride.ahead - ride.last_at
        if since_last <= timedelta(0):
            return "repeat"
        return "nowhere yet" if announced or since_last > SILENCE else "to this ride"
    more_s = line.duration_s - ride.counted_s
    if ride.has_beginning_of(line):
        return "to this ride" if more_s > 0 else "repeat"
    past, _ = past_ride_of(line, rides)
    if past is not None and line.duration_s <= past.longest_s:
        return "repeat"
    counts_on = 0 < more_s <= COUNTS_ON_S and not announced and (past is None or past is ride)
    return "to this ride" if counts_on else "nowhere yet"


def past_ride_of(line: Line, rides: list[Ride]) -> tuple[Ride | None, timedelta]:
    """The ride that a line tells of when it is over, and what our time had ahead there.

    The newest ride that told this second, or else that could.
    """
    could: list[tuple[Ride | None, timedelta]] = []
    for ride in reversed(rides):
        for beginning in reversed(ride.beginnings):
            ahead = ride.started_at - beginning
            at = stamp_of(line) + ahead
            if line.duration_s is None:
                if ride.started_at <= at <= ride.last_at + PAIR_WITHIN:
                    return ride, ahead
                continue
            drift = timedelta(seconds=line.duration_s * 0.005)
            if abs(beginning_of(line) - beginning) <= SAME_BEGINNING + drift:
                if line.duration_s <= ride.longest_s:
                    return ride, ahead
                could.append((ride, ahead))
    return could[0] if could else (None, timedelta(0))


def is_just_before(telemetry: Line, other: Line) -> bool:
    """Whether a Ride line tells of the ride that a Telemetry line is of."""
    return other.kind == "ride" and (
        timedelta(0) <= stamp_of(other) - stamp_of(telemetry) <= PAIR_WITHIN
    )


def in_pairs(lines: list[Line], waited: bool) -> Iterator[tuple[Line, Line | None]]:
    """Each line alone, but a Ride line with the Telemetry line that comes right after it.

    Announcements between the two come first. A last Ride line that still waits for its other half,
    because one has not waited long enough, is alone.
    """
    lines = [
        line
        for line, before in zip(lines, [None, *lines], strict=False)
        if not (before and line.kind == "ride" and line[1:-1] == before[1:-1])
    ]
    place = 0
    told: list[Line] = []
    while place < len(lines):
        line = lines[place]
        place += 1
        if line.kind != "ride":
            yield line, None
            continue
        until = place
        while until < len(lines) and lines[until].kind == "announcement":
            until += 1
        after, beyond = [*lines[until : until + 2], None, None][:2]
        is_undecided = after is None or (
            beyond is None and after.kind == "telemetry" and not is_soon_after(after, line)
        )
        if is_undecided and not waited:
            yield line, None
            return
        if after and (is_soon_after(after, line) or is_after_set_clock(line, after, beyond, told)):
            yield from ((each, None) for each in lines[place:until])
            yield line, after
            place = until + 1
        else:
            yield line, None
        told.append(line)


def is_after_set_clock(line: Line, after: Line, beyond: Line | None, told: list[Line]) -> bool:
    """Whether the clock was set between the halves: the next second follows on both."""
    if after.kind != "telemetry" or beyond is None or beyond.kind != "ride":
        return False
    follows = timedelta(0) < stamp_of(beyond) - stamp_of(after) < PAIR_WITHIN
    counts_on = (beyond.duration_s or 0) - (line.duration_s or 0) == 1
    return follows and counts_on and not any(is_same_second(beyond, each) for each in told)


def is_same_second(line: Line, other: Line) -> bool:
    """Whether two Ride lines tell of the same second."""
    beside = abs(stamp_of(line) - stamp_of(other))
    return line.duration_s == other.duration_s and beside <= SAME_BEGINNING


def is_soon_after(telemetry: Line, ride: Line) -> bool:
    """Whether a Telemetry line can be the other half of a Ride line."""
    return (
        telemetry.kind == "telemetry"
        and timedelta(0) <= stamp_of(telemetry) - stamp_of(ride) < PAIR_WITHIN
    )


def is_whole(reading: Reading, count_s: float | None) -> bool:
    """Whether this is the second of that count, with both its halves."""
    return count_s is not None and reading.elapsed_s == count_s and reading.power_watts is not None


def reading_of(ride: Line | None, telemetry: Line | None, ahead: timedelta) -> Reading:
    """One reading of two halves or of one; at the Telemetry line's stamp if there is one.

    `ahead`: by how much our time is ahead of that.
    """
    return Reading(
        at=stamp_of(telemetry or ride) + ahead,
        elapsed_s=ride.duration_s if ride else None,
        heart_rate_bpm=telemetry.heart_rate_bpm if telemetry else None,
        cadence_rpm=telemetry.cadence_rpm if telemetry else None,
        resistance=ride.resistance if ride else None,
        power_watts=telemetry.power_watts if telemetry else None,
    )


def ride_row(ride: Ride, following: Ride | None, waited: bool) -> Row:
    """The row of `rides`; totals only of a ride that is over."""
    row: Row = {"rider_id": ride.rider and ride.rider["rider_id"]}
    row |= {"ended_at": None, "end_reason": None, "implausible_count": ride.impossible_lines}
    # Lines that come in bulk tell of a clock only where it is set in mid-ride.
    row["clock_beginnings"] = ride.beginnings if ride.ahead or len(ride.beginnings) > 1 else None
    if following is None and not waited:
        return row | dict.fromkeys(totals_of([]))
    if following is None:
        silent = not ride.announced_over
    else:
        silent = following.told_at - ride.last_at > SILENCE
    row |= {"ended_at": ride.last_at, "end_reason": "silence" if silent else "next_ride"}
    return row | totals_of(ride.readings)


def totals_of(readings: list[Reading]) -> Row:
    """What a ride comes to; what was not measured counts nowhere."""
    heart_rates = [r.heart_rate_bpm for r in readings if r.heart_rate_bpm is not None]
    cadences = [r.cadence_rpm for r in readings if r.cadence_rpm is not None]
    powers = [r.power_watts for r in readings if r.power_watts is not None]
    resistances = [r.resistance for r in readings if r.resistance is not None]
    return {
        "reading_count": len(readings),
        "duration_s": max((r.elapsed_s for r in readings if r.elapsed_s is not None), default=0),
        "mean_heart_rate_bpm": mean(heart_rates),
        "max_heart_rate_bpm": max(heart_rates, default=None),
        "heart_rate_count": len(heart_rates),
        "mean_cadence_rpm": mean(cadences),
        "max_cadence_rpm": max(cadences, default=None),
        "mean_power_watts": mean(powers),
        "max_power_watts": max(
            (r.power_watts for r in readings if r.power_watts is not None and not deviates(r, 300)),
            default=None,
        ),
        "total_power_watts": math.fsum(powers),
        "energy_kj": math.fsum(powers) / 1000,
        "mean_resistance": mean(resistances),
        "power_deviation_s": longest_deviation_s(readings),
        "power_denied_s": sum(deviates(reading, 300) for reading in readings),
    }


def longest_deviation_s(readings: list[Reading]) -> int:
    """How many seconds in a row the power was more than 5 W beside what it should have been."""
    seconds = {r.elapsed_s for r in readings if r.elapsed_s is not None and deviates(r)}
    longest = so_far = 0
    for second in sorted(seconds):
        so_far = so_far + 1 if second - 1 in seconds else 1
        longest = max(longest, so_far)
    return longest


def deviates(reading: Reading, by_more_than: float = 5) -> bool:
    """Of what was not measured, or lies beyond what bikes have shown, nothing is known."""
    resistance, cadence, power = reading.resistance, reading.cadence_rpm, reading.power_watts
    if resistance is None or cadence is None or power is None:
        return False
    if resistance > 170 or cadence > 219:
        return False
    u, v = resistance / 100, cadence / 100
    expected = (
        4.2159538 * v + 10.054831 * v**2 + 54.667494 * v**3 - 30.30654 * v**4
        + u * (12.123681 * v + 123.47741 * v**2 - 363.07596 * v**3 + 171.52276 * v**4)
        + u**2 * (-34.516007 * v + 116.70946 * v**2 + 269.42293 * v**3 - 155.4625 * v**4)
        + u**3 * (22.886962 * v + 49.140188 * v**2 - 129.27113 * v**3 + 54.342042 * v**4)
    )  # fmt: skip
    return abs(power - max(expected, 0)) > by_more_than


def mean(values: list[int] | list[float]) -> float | None:
    """The mean, None of nothing."""
    return math.fsum(values) / len(values) if values else None


def add_what_rides_tell(expected: Expected, rides: list[Ride]) -> None:
    """Readings, riders and bikes; the newest line about a rider wins."""
    for ride in sorted(rides, key=lambda ride: ride.started_at):
        expected.readings[ride.key] = ride.readings
        expected.partitions[ride.key] = ride.partition
        expected.bikes[ride.bike_serial] = ride.firmware or expected.bikes.get(ride.bike_serial)
        if ride.rider:
            expected.riders[ride.rider["rider_id"]] = ride.rider


def beginning_of(line: Line) -> datetime:
    """When a ride began that has lasted so many seconds."""
    return stamp_of(line) - timedelta(seconds=line.duration_s or 0)


def stamp_of(line: Line | None) -> datetime:
    """The stamp of a line of a kind that has one."""
    if line is None or line.at is None:
        raise ValueError("This line has no stamp.")
    return line.at
