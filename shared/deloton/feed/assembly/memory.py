"""CORE: the rides that bikes have told of before: in memory, or to be asked for.

A line may come again however long after. What is in memory is looked up; for the rest
`Forgotten` says what must be asked of the database, before anything was changed by the line.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from msgspec import Struct, field

from deloton.feed.assembly.facts import Ride

# Around a stamp so much is asked for at once: the lines that come again are neighbours.
LOOK_AROUND = timedelta(hours=12)


class Found(Struct, frozen=True):
    """A ride that a line tells of, what our time has ahead there, and how far it lies beside.

    `is_tail`: the ride is known, but not yet this second of it.
    """

    ride: Ride
    ahead: timedelta
    beside: timedelta
    is_tail: bool = False


class Forgotten(Exception):
    """Whether a bike told something must be looked up. `stamp` None: up to which stamp it told."""

    def __init__(self, bike_serial: str, stamp: datetime | None) -> None:
        super().__init__("what a bike has told before is not in memory")
        self.bike_serial = bike_serial
        self.stamp = stamp


class Memory(Struct, eq=False):
    """What is known of past rides, by bike.

    `newest`: nothing is stored of the bike after this stamp. `looked_up`: the spans of stamps of
    which all rides are among `rides`. `whole`: there is nothing to be asked (for tests).
    """

    whole: bool = False
    newest: dict[str, datetime] = field(default_factory=dict)
    rides: dict[str, list[Ride]] = field(default_factory=dict)
    looked_up: dict[str, list[tuple[datetime, datetime]]] = field(default_factory=dict)

    def find(
        self, serial: str, stamp: datetime, told: Callable[[Ride], Found | None]
    ) -> Found | None:
        """What `told` finds of the bike's past rides around a stamp. Raises `Forgotten`.

        Whether a line is the tail of a ride can be said only once all rides around it are known.
        """
        if self.whole:
            return None
        found = nearest(self.rides.get(serial, ()), told)
        if found is not None and not found.is_tail:
            return found
        newest = self.newest.get(serial)
        if newest is None:
            raise Forgotten(serial, None)
        spans = self.looked_up.get(serial, ())
        if stamp <= newest and not any(begin <= stamp <= end for begin, end in spans):
            raise Forgotten(serial, stamp)
        return found

    def let_go(self, ride: Ride) -> None:
        """A ride that is stored and that its stream keeps no longer."""
        if ride.bike_serial in self.newest:
            newest = self.newest[ride.bike_serial]
            self.newest[ride.bike_serial] = max(newest, ride.last_stamp)

    def learn_newest(self, newest: dict[str, datetime]) -> None:
        """Take up the newest stamps that are stored of bikes."""
        self.newest |= newest

    def learn_rides(self, serial: str, stamp: datetime, rides: Iterable[Ride]) -> None:
        """Take up all rides around a stamp."""
        known = self.rides.setdefault(serial, [])
        identities = {ride.identity for ride in known}
        known += [ride for ride in rides if ride.identity not in identities]
        self.looked_up.setdefault(serial, []).append((stamp - LOOK_AROUND, stamp + LOOK_AROUND))

    def forget_bikes(self, serials: Iterable[str]) -> None:
        """What is known of bikes that are not heard any more is asked for when they are."""
        for serial in serials:
            self.newest.pop(serial, None)

    def forget_rides(self) -> None:
        """What was looked up for one batch is not kept for the next: rides may be deleted."""
        self.rides.clear()
        self.looked_up.clear()


def nearest(rides: Iterable[Ride], told: Callable[[Ride], Found | None]) -> Found | None:
    """What is found of the ride that fits best; one that told the same before its tail does."""
    found = [each for each in map(told, rides) if each is not None]
    return min(found, key=lambda each: (each.is_tail, each.beside), default=None)
