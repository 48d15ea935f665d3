"""CORE: which ride a line tells of: among the rides that are here, then among the bike's others.

Each may raise `Forgotten`, having changed nothing.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from deloton.feed.assembly.facts import NO_TIME, Ride
from deloton.feed.assembly.memory import Found, nearest
from deloton.feed.assembly.state import StreamState
from deloton.feed.log_lines import RideAnnounced, RideLine


def ride_that_counts(stream: StreamState, line: RideLine) -> Found | None:
    """The ride that a Ride line is of, by its count and stamp."""

    def told(ride: Ride) -> Found | None:
        fit = ride.ahead_of(line)
        return None if fit is None else Found(ride, *fit, is_tail=line.elapsed_s > ride.elapsed_s)

    return _find(stream, stream.bike_serial, line.at, told)


def rides_at(stream: StreamState, stamp: datetime) -> list[tuple[Ride, timedelta]]:
    """The rides that were going on at a stamp, with what our time has ahead; the likeliest first.

    There are several where a clock was set back.
    """

    def told(ride: Ride) -> Found | None:
        aheads = ride.aheads_at(stamp)
        return Found(ride, aheads[0], NO_TIME) if aheads else None

    found = _find(stream, stream.bike_serial, stamp, told)
    if found is None:
        return []
    others = [ride for ride in _near(stream) if ride is not found.ride]
    return [(ride, ahead) for ride in (found.ride, *others) for ahead in ride.aheads_at(stamp)]


def ride_begun_by(stream: StreamState, line: RideAnnounced) -> Ride | None:
    """The ride that an announcement began, if it came before."""
    serial = line.bike_serial or stream.bike_serial

    def told(ride: Ride) -> Found | None:
        begun = ride.identity == (serial, line.at)
        return Found(ride, ride.ahead, NO_TIME) if begun else None

    found = _find(stream, serial, line.at, told)
    return found.ride if found is not None else None


def _find(
    stream: StreamState, serial: str, stamp: datetime, told: Callable[[Ride], Found | None]
) -> Found | None:
    found = nearest(_near(stream), told)
    for name in (serial, stream.stand_in):
        if found is None or found.is_tail:
            other = stream.memory.find(name, stamp, told)
            found = other if found is None or (other and not other.is_tail) else found
    return found


def _near(stream: StreamState) -> list[Ride]:
    """The rides that are here, the newest first."""
    current = [stream.ride] if stream.ride is not None else []
    return current + stream.past[::-1]
