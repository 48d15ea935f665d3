"""CORE: by how much our time is ahead of a bike's clock, and how one can know.

A bike's stamps are a witness, and so is the time at which its records came; neither is simply
believed. The cases:

| stamps and arrivals | what it means | our time |
|---|---|---|
| a ride begins more than 5 s after its own arrival | impossible: the clock is fast | the arrival |
| both advance in step over 19 s, and the stamp is at most 30 s old | a live stream, a right clock | the stamp, to the microsecond |
| both advance in step over 19 s, and the stamp is older or later than that | a live stream: the difference is the clock's | the arrival |
| arrivals advance faster, or slower | a backlog: its stamps are all there is | the stamp |
| the count of seconds goes on, the stamp does not fit | the clock was set in mid-ride | the count's |

What a live stream has shown holds for the rides that follow, until it shows something else.
"""  # noqa: E501 - tables

from datetime import UTC, datetime, timedelta

from msgspec import Struct

from deloton.feed.assembly.facts import NO_TIME

FAST = timedelta(seconds=5)
SLOW = timedelta(seconds=30)
LOOK_EVERY = timedelta(seconds=10)
# What advances in step once may do so by chance, where a backlog comes in pieces: so it is looked
# at more closely, and must do so some times in a row.
LOOK_CLOSELY = timedelta(seconds=3)
TIMES_IN_STEP = 4
# Once it is known, it is looked at less often: a bike sends twice a second, and a look is dear.
LOOK_SELDOM = timedelta(seconds=30)
# A stream that pauses is looked at anew.
LONGEST_LOOK = timedelta(seconds=60)
IN_STEP_MS = 1_000

_MILLISECOND = timedelta(milliseconds=1)
_LAST_MS = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp() * 1000)


class Clock(Struct, eq=False):
    """What one stream's stamps and arrivals have shown.

    `ahead` is what our time has ahead of the bike's clock, None as long as it is not known.
    `stamp` and `came_ms` are those of the last look, the latter in ms since 1970: most looks
    compare no more than what has passed since, and a datetime would be dear.
    """

    ahead: timedelta | None = None
    stamp: datetime | None = None
    came_ms: int | None = None
    in_step: int = 0

    def at_beginning(self, stamp: datetime, came_at: datetime | None) -> timedelta:
        """What our time has ahead where a ride begins."""
        ahead = self.ahead or NO_TIME
        if came_at is None:
            return ahead
        if _is_right(stamp, came_at):
            ahead = NO_TIME
            self.ahead = self.ahead and NO_TIME
        elif stamp + ahead - came_at > FAST:
            ahead = self.ahead = came_at - stamp
        return ahead

    def look(self, stamp: datetime, timestamp_ms: int, ahead: timedelta) -> timedelta:
        """By how much what is taken for our time is wrong, as far as one can know.

        `timestamp_ms` is the record's.
        """
        before, came_before_ms = self.stamp, self.came_ms
        self.stamp, self.came_ms = stamp, timestamp_ms if _is_time(timestamp_ms) else None
        if before is None or came_before_ms is None or self.came_ms is None:
            self.in_step = 0
            return NO_TIME
        passed = stamp - before
        if (
            LOOK_CLOSELY <= passed <= LONGEST_LOOK
            and abs(self.came_ms - came_before_ms - passed / _MILLISECOND) <= IN_STEP_MS
        ):
            self.in_step += 1
        else:
            self.in_step = 0
        came = came_at(self.came_ms) if self.in_step >= TIMES_IN_STEP else None
        if came is None:
            return NO_TIME
        self.ahead = ahead
        if not -FAST <= came - stamp - ahead <= SLOW:
            self.ahead = NO_TIME if _is_right(stamp, came) else came - stamp
        return self.ahead - ahead

    @property
    def look_after(self) -> timedelta:
        """How long after a look the next one is due."""
        if self.in_step >= TIMES_IN_STEP:
            return LOOK_SELDOM
        return LOOK_CLOSELY if self.in_step else LOOK_EVERY

    def was_set(self, change: timedelta) -> None:
        """The clock was set: what is known of it changes as much, and looking begins anew."""
        if self.ahead is not None:
            self.ahead += change
        self.stamp = self.came_ms = None
        self.in_step = 0


def _is_right(stamp: datetime, came_at: datetime) -> bool:
    return -FAST <= came_at - stamp <= SLOW


def came_at(timestamp_ms: int) -> datetime | None:
    """When a record came; None where Kafka does not know, or names a time that cannot be."""
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC) if _is_time(timestamp_ms) else None


def _is_time(timestamp_ms: int) -> bool:
    return 0 < timestamp_ms < _LAST_MS
