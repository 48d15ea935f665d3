"""CORE: when a danger that riders were told of is over, and stays so.

A heart is back to normal at a rate well within its limits: not just below the one that it had
passed. It has stayed so once that was seen often enough, without a longer gap, without a reading
beyond in between. Seconds without a reading that can be believed neither count nor break it.

A sensor that errs shows a normal rate while the heart races, for minutes. So the heart must have
been followed from the danger on, in steps that hearts make, and must keep moving as hearts do.
Whom we lost from sight we do not call well, until the danger is seen again and its end with it.

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
# Between two readings that are believed a heart is followed: a second's step (`SensorRules`), and
# what a fit heart loses in a second after exercise. Unseen for longer, it is lost.
STEP_BPM: Final = 12.0
FALLS_BPM_PER_S: Final = 0.5
LOST_AFTER_S: Final = 30.0
# So many readings of one number are none of a heart.
STILL_READINGS: Final = 15


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
    """What a ride's heart has shown since it was last told of a danger; `is_awaited`: it was.

    `is_followed`: nothing but steps that hearts make since that `danger`. `same` counts readings of
    one number in a row.
    """

    normal: NormalRange
    is_awaited: bool = False
    danger: AlertLevel | None = None
    is_followed: bool = False
    count: int = 0
    since: datetime | None = None
    last_at: float = 0.0
    last_bpm: int = 0
    same: int = 0

    def await_recovery(self) -> None:
        """A danger was told, or is to be; what was seen until now says nothing of its end."""
        self.is_awaited = True
        self.count = 0

    def see_danger(self, at: float, bpm: int, level: AlertLevel) -> None:
        """A danger is told by this reading: follow the heart from here on.

        A heart that raced when it was lost from sight, or may have, is not found by a low rate.
        """
        is_lost = self.is_awaited and not self.is_followed and self.danger is not AlertLevel.LOW
        if level is not AlertLevel.LOW or not is_lost:
            self.danger, self.is_followed = level, True
        self.await_recovery()
        self.last_at, self.last_bpm, self.same = at, bpm, 1

    def take(self, at: float, sample: HeartRate) -> Recovery | None:
        """Count a reading that is believed, `at` seconds since the epoch; say what it comes to."""
        if not self._follow(at, sample.heart_rate_bpm):
            self.count = 0
            return None
        self.count += 1
        if self.count == 1 or self.since is None:
            self.since = sample.measured_at
        late = self.count - STAYS_S
        return Recovery(sample, self.since) if late >= 0 and late % SAY_AGAIN_AFTER_S == 0 else None

    def _follow(self, at: float, bpm: int) -> bool:
        """Whether a reading counts: one of a heart that was followed, is normal, and moves."""
        apart_s, step_bpm = at - self.last_at, abs(bpm - self.last_bpm)
        is_step = step_bpm <= STEP_BPM + FALLS_BPM_PER_S * apart_s
        self.is_followed = self.is_followed and is_step and apart_s <= LOST_AFTER_S
        self.same = 1 if step_bpm else self.same + 1
        self.last_at, self.last_bpm = at, bpm
        if apart_s >= GAP_S:
            self.count = 0
        return self.is_followed and self.same < STILL_READINGS and self.normal.holds(bpm)
