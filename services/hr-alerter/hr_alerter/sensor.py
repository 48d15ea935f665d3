"""CORE: which of a ride's heart rates can be believed: sensors in a handlebar err in known ways.

A heart's rate changes by a few beats a second. What jumps further, and what is shown just after
hands have returned, is doubted: believed once it has settled, unless it is then still a known fault
(the pedals' rhythm, twice or half the rate before, one number that never moves). A rate that comes
back to where it was is believed at once, so that a spike of seconds costs nothing.
"""

from typing import Final

from msgspec import Struct

from deloton.rules.plausible import PLAUSIBLE

_HEART_RATE: Final = PLAUSIBLE["heart_rate_bpm"]


class SensorRules(Struct, frozen=True):
    """What can be believed, in seconds and bpm."""

    # So long without a reading, and the hands were away. Then, and after a jump, the sensor needs
    # some seconds to find the heart: ours errs for up to 4 s after a grip. A ride's first grip, and
    # one after long, has nothing to compare with; a jump down is oftener a beat missed than a heart
    # that stops.
    hands_away_s: float = 2.5
    long_away_s: float = 30.0
    settle_s: float = 5.0
    settle_first_s: float = 25.0
    settle_down_s: float = 15.0
    # No heart changes faster: at the onset of hard work it rises by 3 to 5 bpm a second.
    jump_bpm_per_s: float = 12.0
    # As near to the rate before a jump, it is back. Steady for so long, that rate was one.
    same_bpm: float = 10.0
    steady_s: float = 10.0
    # One number that changes less often is a frozen one.
    least_moves: int = 2
    # As near to the cadence for so many readings in a row, it is the pedals' rhythm.
    cadence_bpm: float = 2.0
    locked_readings: int = 8
    # What looks like a fault is believed after all if it stays for so long.
    doubt_s: float = 38.0


# Of the rate before: each beat counted twice, every other one missed. Where the one before was
# itself in doubt, or is some time ago, it need be so about.
TWICE: Final = (1.94, 2.08)
ABOUT_TWICE: Final = (1.85, 2.15)


class Sensor(Struct):
    """What a ride's sensor has shown of late. Times are seconds since the epoch."""

    rules: SensorRules = SensorRules()
    last_at: float = 0.0
    last_bpm: int = 0
    believed_from: float = 0.0
    # In a row, up to the last reading.
    near_cadence: int = 0
    # The last steady rate; 0: none yet.
    anchor_bpm: int = 0
    # Of the newest doubt.
    is_doubted: bool = False
    has_jumped: bool = False
    is_multiple: bool = False
    doubt_from: float = 0.0
    settled_from: float = 0.0
    moves: int = 0

    def believes(self, at: float, bpm: int, cadence_rpm: int | None) -> bool:
        """Take the next reading, later than the last one; whether it is the heart's own rate."""
        if not _HEART_RATE.admit(bpm):
            return False
        self._notice(at, bpm)
        is_near = cadence_rpm is not None and abs(bpm - cadence_rpm) <= self.rules.cadence_bpm
        self.near_cadence = self.near_cadence + 1 if is_near else 0
        self.last_at, self.last_bpm = at, bpm
        if self.is_doubted:
            self._reconsider(at, bpm)
        return not self.is_doubted and not self._is_locked

    def risen_bpm(self, bpm: int) -> int:
        """How far a believed rate lies above the steady one that it jumped from; 0: no jump."""
        return bpm - self.anchor_bpm if self.has_jumped and self.anchor_bpm else 0

    @property
    def _is_locked(self) -> bool:
        return self.near_cadence >= self.rules.locked_readings

    def _notice(self, at: float, bpm: int) -> None:
        """Begin to doubt where hands were away or the rate jumps."""
        apart_s = at - self.last_at
        if apart_s > self.rules.hands_away_s:
            self._doubt(at, bpm, jumped=False)
            if apart_s > self.rules.long_away_s:
                self.anchor_bpm, self.settled_from = 0, at + self.rules.settle_first_s
        elif abs(bpm - self.last_bpm) > self.rules.jump_bpm_per_s * max(1.0, apart_s):
            self._doubt(at, bpm, jumped=True)
        elif bpm != self.last_bpm:
            self.moves += 1

    def _doubt(self, at: float, bpm: int, *, jumped: bool) -> None:
        was_doubted = self.is_doubted
        if not was_doubted:
            self._remember_steady_rate()
            self.is_doubted, self.has_jumped = True, jumped
        about = TWICE if jumped and not was_doubted else ABOUT_TWICE
        is_same_fault = (
            was_doubted and self.is_multiple and not self._falls_from(bpm, self.last_bpm)
        )
        self.is_multiple = is_same_fault or any(
            is_multiple(bpm, before, about) for before in (self.anchor_bpm, self.last_bpm)
        )
        self.doubt_from, self.settled_from = at, at + self._settle_s(bpm)
        self.moves = 0

    def _remember_steady_rate(self) -> None:
        """What a jump starts from: a rate that was believed for a while, and the heart's own."""
        if self.last_at - self.believed_from >= self.rules.steady_s and not self._is_locked:
            self.anchor_bpm = self.last_bpm

    def _settle_s(self, bpm: int) -> float:
        if self.anchor_bpm == 0:
            return self.rules.settle_first_s
        falls = self._falls_from(bpm, self.anchor_bpm)
        return self.rules.settle_down_s if falls else self.rules.settle_s

    def _falls_from(self, bpm: int, before_bpm: int) -> bool:
        return bpm < before_bpm - self.rules.same_bpm

    def _reconsider(self, at: float, bpm: int) -> None:
        """End the doubt where the rate is back where it was, or has settled and seems a heart's."""
        if self.has_jumped and abs(bpm - self.anchor_bpm) <= self.rules.same_bpm:
            self.is_doubted = self.has_jumped = False
            self.believed_from = at - self.rules.steady_s
        elif at >= self.settled_from and self.moves >= self.rules.least_moves:
            is_fault = self._is_locked or self.is_multiple
            self.is_doubted = is_fault and at - self.doubt_from < self.rules.doubt_s
            self.believed_from = at


def is_multiple(bpm: int, before_bpm: int, twice: tuple[float, float]) -> bool:
    """Whether a rate is twice the one before, or half of it."""
    lowest, highest = twice
    slower, faster = sorted((bpm, before_bpm))
    return lowest * slower <= faster <= highest * slower
