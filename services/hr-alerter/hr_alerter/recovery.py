"""CORE: when a danger that riders were told of is over, and stays so.

A heart is back to normal at a rate well within its limits: not just below the one that it had
passed. It has stayed so once that was seen often enough, without a longer gap, without a reading
beyond in between. Seconds without a reading that can be believed neither count nor break it.

It is said again now and then until somebody has looked into it: whether a mail went out about the
danger, and whether this one did already, the rows know.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

from deloton.events import HeartRate
from deloton.rules.heart_rate import AlertLevel, Limit

# Longer than any danger takes to be decided (a jump to twice the rate: 48 s): none may be on its
# way while a rider reads that all is well.
STAYS_S: Final = 60
# As an episode: what nobody measures for so long may have been anything.
GAP_S: Final = 10.0
# More than a sensor wavers by, and than an episode may come back within its limit.
WITHIN_BPM: Final = 5
SAY_AGAIN_AFTER_S: Final = 15


class Recovery(Struct, frozen=True):
    """A heart that is back to normal, from the reading at `since` to `sample`, the newest one."""

    sample: HeartRate
    since: datetime


class NormalRange(Struct, frozen=True):
    """The rates that are normal after a danger, in whole bpm: from `lowest` to below `below`."""

    lowest: float
    below: float

    @classmethod
    def of(cls, limits: Iterable[Limit]) -> "NormalRange":
        """Some beats within the limits, and within that of jumps: 80 % of the expected maximum.

        Without limits nothing is normal, nor where own limits leave no room between them.
        """
        by_level = {limit.level: limit for limit in limits}
        low, high = by_level.get(AlertLevel.LOW), by_level.get(AlertLevel.HIGH)
        if low is None or high is None:
            return cls(0.0, 0.0)
        highest = min(high.bpm, high.sudden_bpm or high.bpm)
        return cls(low.bpm + WITHIN_BPM, highest - WITHIN_BPM)

    def holds(self, bpm: int) -> bool:
        """Whether a rate is one of them."""
        return self.lowest <= bpm < self.below


class Calm(Struct):
    """What a ride's heart has shown since it was last told of a danger; `is_awaited`: it was."""

    normal: NormalRange
    is_awaited: bool = False
    count: int = 0
    since: datetime | None = None
    last_at: float = 0.0

    def await_recovery(self) -> None:
        """A danger was told, or is to be; what was seen until now says nothing of its end."""
        self.is_awaited = True
        self.count = 0

    def take(self, at: float, sample: HeartRate) -> Recovery | None:
        """Count a reading that is believed, `at` seconds since the epoch; say what it comes to."""
        if at - self.last_at >= GAP_S or not self.normal.holds(sample.heart_rate_bpm):
            self.count = 0
        self.last_at = at
        if not self.normal.holds(sample.heart_rate_bpm):
            return None
        self.count += 1
        if self.count == 1 or self.since is None:
            self.since = sample.measured_at
        late = self.count - STAYS_S
        return Recovery(sample, self.since) if late >= 0 and late % SAY_AGAIN_AFTER_S == 0 else None
