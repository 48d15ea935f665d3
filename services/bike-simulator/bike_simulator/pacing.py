"""CORE: when a message is due, and durations as people write them."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@dataclass(frozen=True, slots=True)
class Pace:
    """History at once, the rest in step with the wall clock.

    What bears a stamp before `live_from_us` is overdue; after it the fleet's time passes
    `speed` times as fast as the wall's. Being computed from stamps, it never drifts.
    """

    live_from_us: int
    speed: float = 1.0

    def fleet_time_us(self, wall_us: int) -> int:
        """How far the fleet's time has come when the wall clock shows `wall_us`."""
        return self.live_from_us + max(0, int((wall_us - self.live_from_us) * self.speed))

    def wait_s(self, at_us: int, wall_us: int) -> float:
        """How long until a message of `at_us` is due; negative if it is overdue."""
        return (at_us - self.fleet_time_us(wall_us)) / self.speed / 1e6


# All of it is history.
AT_ONCE: Final = Pace(live_from_us=2**62)


def parse_duration(text: str) -> timedelta:
    """`36h`, `90m`, `1h30m`, `2d`, `45s`: a duration above zero, or ValueError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration: write it like 36h, 90m or 1h30m.")
    duration = timedelta(**{UNITS[unit]: 0.0 for _, unit in parts})
    for number, unit in parts:
        duration += timedelta(**{UNITS[unit]: float(number)})
    if not duration:
        raise ValueError(f"{text!r} is no time at all.")
    return duration
