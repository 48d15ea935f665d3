"""CORE: late lines against what is stored: repeats are dropped, the rest amends its ride."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct, field

from deloton.feed.assembly.facts import Assembled, Late, Reading, Ride
from deloton.feed.log_lines import RideLine


class Seconds(Struct, eq=False):
    """Which seconds are known of a ride: by their count, and by the times of their readings.

    `whole` are the counts of those of which the Telemetry line is known too.
    """

    elapsed_s: set[float] = field(default_factory=set)
    whole: set[float] = field(default_factory=set)
    at: set[datetime] = field(default_factory=set)

    def add(self, at: datetime, elapsed_s: float | None, *, is_whole: bool) -> None:
        """One more reading, `is_whole` where its Telemetry line came."""
        self.at.add(at)
        if elapsed_s is not None:
            self.elapsed_s.add(elapsed_s)
            if is_whole:
                self.whole.add(elapsed_s)

    def know(self, late: Late, at: datetime) -> bool:
        """Whether a line tells nothing new, at this time of ours."""
        if isinstance(late.line, RideLine):
            return late.line.elapsed_s in self.elapsed_s
        return late.half_of_s in self.whole or at in self.at


def place(out: Assembled, stored: dict[int, Seconds]) -> None:
    """Take the late lines of `out` into it: as repeats, or as halves of readings to be amended.

    `stored` tells by ride id which seconds the database has around them.
    """
    known = {ride: stored.get(ride.ride_id or 0, Seconds()) for ride in rides_of(out.late)}
    for reading in out.readings:
        if reading.ride in known:
            is_whole = reading.power_watts is not None
            known[reading.ride].add(reading.at, reading.elapsed_s, is_whole=is_whole)
    for late in out.late:
        if any(known[ride].know(late, at) for ride, at in late.moments):
            out.repeats += 1
            continue
        half = half_of(late)
        # What completes a second that is known by half is known by the count of that half.
        count, is_whole = half.elapsed_s or late.half_of_s, half.elapsed_s is None
        known[late.ride].add(half.at, count, is_whole=is_whole)
        out.amended.append(half)
        if late.doubt is not None:
            out.implausible[late.ride] += 1
            out.refuse(late.record, late.doubt)
    out.late.clear()


def half_of(late: Late) -> Reading:
    """What one line alone tells of a reading."""
    line = late.line
    if isinstance(line, RideLine):
        return Reading(
            ride=late.ride, at=late.at, elapsed_s=line.elapsed_s, resistance=line.resistance
        )
    return Reading(
        ride=late.ride,
        at=late.at,
        heart_rate_bpm=line.heart_rate_bpm,
        cadence_rpm=line.cadence_rpm,
        power_watts=line.power_watts,
    )


def rides_of(lates: Iterable[Late]) -> dict[Ride, tuple[datetime, datetime]]:
    """The rides that late lines may be of, and between which times they lie."""
    spans: dict[Ride, tuple[datetime, datetime]] = {}
    for late in lates:
        for ride, at in late.moments:
            begin, end = spans.get(ride, (at, at))
            spans[ride] = min(begin, at), max(end, at)
    return spans
