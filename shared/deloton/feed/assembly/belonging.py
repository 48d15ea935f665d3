"""CORE: where a Ride line belongs: the table of `deloton.feed.assembly`, row by row."""

from collections.abc import Callable
from datetime import timedelta
from enum import Enum, auto

from msgspec import Struct

from deloton.feed.assembly.facts import Ride
from deloton.feed.assembly.memory import Found
from deloton.feed.log_lines import RideLine

COUNTS_ON_S = 5.0


class Place(Enum):
    """Where a Ride line belongs."""

    NEXT = auto()
    SET_CLOCK = auto()
    LATE = auto()
    TAIL = auto()
    TWO_BIKES = auto()
    NEW = auto()


class Belonging(Struct, frozen=True):
    """The place, and for what is late its ride with what our time has ahead of that clock."""

    place: Place
    ride: Ride | None = None
    ahead: timedelta = timedelta(0)


_NEXT, _SET_CLOCK = Belonging(Place.NEXT), Belonging(Place.SET_CLOCK)
_NEW, _TWO_BIKES = Belonging(Place.NEW), Belonging(Place.TWO_BIKES)


def belonging(  # noqa: PLR0911 - a row of the table each
    line: RideLine,
    ride: Ride | None,
    waiting: RideLine | None,
    find: Callable[[RideLine], Found | None],
    *,
    announced: bool,
) -> Belonging:
    """Where a Ride line belongs, in a stream on `ride` where `waiting` waits.

    `find` looks among past rides, and may raise `Forgotten`.
    """
    told_s = 0.0
    if ride is not None:
        told_s = waiting.elapsed_s if waiting is not None else ride.elapsed_s
        if ride.goes_on_with(line):
            if line.elapsed_s > told_s:
                return _NEXT
            if line.elapsed_s > ride.from_s:
                if _is_of_another_bike(line, ride, waiting):
                    return _TWO_BIKES
                return Belonging(Place.LATE, ride, ride.ahead)
    found = find(line)
    if found is None:
        counts_on = ride is not None and 0 < line.elapsed_s - told_s <= COUNTS_ON_S
        return _SET_CLOCK if counts_on and not announced else _NEW
    past, ahead = found.ride, found.ahead
    if line.elapsed_s <= past.elapsed_s:
        return Belonging(Place.LATE, past, ahead)
    if past is ride:
        return _SET_CLOCK if line.elapsed_s - told_s <= COUNTS_ON_S else _NEW
    if ride is not None and past.bike_serial != ride.bike_serial:
        return _TWO_BIKES
    return Belonging(Place.TAIL, past, ahead)


def _is_of_another_bike(line: RideLine, ride: Ride, waiting: RideLine | None) -> bool:
    """Whether another bike began within two seconds of this ride, and counts beside it.

    What comes again bears an old stamp; what tells an old second at a new one never was told. But
    where the clock was set back, old stamps are later than new ones.
    """
    if waiting is not None and line.elapsed_s == waiting.elapsed_s:
        return line.at != waiting.at
    last_stamp = ride.last_stamp if waiting is None else max(ride.last_stamp, waiting.at)
    return line.at > last_stamp and len(ride.beginnings) == 1
