"""By how much our time is ahead of a bike's clock, from the times at which its lines came.

A stamp of the future is impossible; what comes as it is stamped, second for second, for 19 s is
live, and tells the clock; all else is a backlog, whose stamps are all there is.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

NO_TIME = timedelta(0)
IN_STEP = timedelta(seconds=1)
LIVE_FOR = timedelta(seconds=19)
EARLIEST, LATEST = timedelta(seconds=-5), timedelta(seconds=30)


@dataclass
class Clock:
    """What is known of one bike's clock: `ahead` is None as long as nothing is.

    `came` are the stamps of the newest Ride lines that came in step, each with its arrival.
    """

    ahead: timedelta | None = None
    came: list[tuple[datetime, datetime]] = field(default_factory=list)

    def at_beginning(self, stamp: datetime, came_at: datetime | None) -> timedelta:
        """What our time has ahead for a ride that is told of by this line."""
        if came_at is not None and EARLIEST <= came_at - stamp <= LATEST:
            self.ahead = None if self.ahead is None else NO_TIME
        elif came_at is not None and came_at - stamp - (self.ahead or NO_TIME) < EARLIEST:
            self.ahead = came_at - stamp
        return self.ahead or NO_TIME

    def hear(self, stamp: datetime, came_at: datetime | None, ahead: timedelta) -> timedelta:
        """By how much a ride's time is wrong that has so much ahead, once it is known."""
        if came_at is None:
            self.came = []
            return NO_TIME
        self.came.append((stamp, came_at))
        first_stamp, first_came_at = self.came[0]
        if abs((came_at - first_came_at) - (stamp - first_stamp)) > IN_STEP:
            self.came = [(stamp, came_at)]
        if stamp - self.came[0][0] < LIVE_FOR:
            return NO_TIME
        self.ahead = ahead
        if not EARLIEST <= came_at - stamp - ahead <= LATEST:
            is_right = EARLIEST <= came_at - stamp <= LATEST
            self.ahead = NO_TIME if is_right else came_at - stamp
        return self.ahead - ahead

    def was_set(self, change: timedelta) -> None:
        """The bike's clock was set: what is known of it changes as much."""
        self.came = []
        if self.ahead is not None:
            self.ahead += change
