"""CORE: a ride's time goes on through all that its bike's clock does (the cases: `clock`)."""

from datetime import datetime, timedelta

from deloton.feed.assembly.facts import NO_TIME, Assembled, Record, Ride, count_back
from deloton.feed.assembly.state import StreamState
from deloton.feed.log_lines import RideLine


def note_set_clock(stream: StreamState, ride: Ride, line: RideLine, out: Assembled) -> None:
    """The ride counts on, its stamp does not fit: from here on its stamps are of a new clock."""
    # A reading is told half a second after its Ride line, and so before the next one.
    told_after_s = 0.5 if ride.elapsed_s > ride.from_s else 0.0
    more_s = line.elapsed_s - ride.elapsed_s
    at = ride.counted_stamp + ride.ahead + timedelta(seconds=more_s - told_after_s)
    set_clock_to(stream, ride, line.at, at, out)
    ride.counted_stamp = count_back(line.at, more_s)


def set_clock_to(
    stream: StreamState, ride: Ride, stamp: datetime, at: datetime, out: Assembled
) -> None:
    """The bike's clock was set: `stamp` is what it shows at a time of ours; time never stands."""
    last_at = ride.last_at
    ahead = max(at, last_at + timedelta(microseconds=1)) - stamp
    stream.clock.was_set(ahead - ride.ahead)
    ride.ahead = ahead
    ride.beginnings.append(ride.started_at - ahead)
    ride.last_stamp = last_at - ahead
    out.set_clocks[ride] = None
    stream.look_at = stamp


def look_at_clock(stream: StreamState, stamp: datetime, record: Record, out: Assembled) -> None:
    """See whether the ride's time is right, as far as one can know by now."""
    ride = stream.ride
    if ride is None:
        return
    wrong = stream.clock.look(stamp, record.timestamp, ride.ahead)
    stream.look_at = stamp + stream.clock.look_after
    if wrong:
        _shift(ride, wrong, out)


def _shift(ride: Ride, wrong: timedelta, out: Assembled) -> None:
    """All of the ride's times were wrong by so much."""
    ride.started_at += wrong
    ride.ahead += wrong
    for reading in out.readings:
        if reading.ride is ride:
            reading.at += wrong
    for late in out.late:
        if late.ride is ride:
            late.at += wrong
        late.instead = [(each, at + wrong if each is ride else at) for each, at in late.instead]
    out.shifted[ride] = out.shifted.get(ride, NO_TIME) + wrong
    out.set_clocks[ride] = None
