"""CORE: when people ride: a day's curve in the riders' own time zone.

The share of time a bike of average popularity is ridden, by local hour; a ride and the pause
after it alternate, the pause being exponential at a rate that gives that share.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from bike_simulator.riding import MEAN_RIDE_S

TIME_ZONE: Final = ZoneInfo("Europe/London")
# Share of time ridden in each hour from midnight, in per cent.
WEEKDAY: Final = (2, 1, 1, 1, 2, 8, 26, 40, 36, 24, 20, 19, 22, 20, 19, 20, 24, 36, 44, 40, 29, 18,
                  9, 4)  # fmt: skip
WEEKEND: Final = (3, 2, 1, 1, 1, 3, 9, 20, 33, 40, 38, 33, 26, 21, 19, 21, 24, 27, 28, 25, 19, 14,
                  8, 4)  # fmt: skip
SATURDAY: Final = 5
SHORTEST_PAUSE_US: Final = 20_000_000
SLOT_US: Final = 900_000_000  # a quarter of an hour: all zone offsets are multiples of it


def share_ridden(at_us: int) -> float:
    """The share of time a bike of average popularity is ridden around `at_us`, 0 to 1."""
    return _share_of_slot(at_us // SLOT_US)


def next_start_us(after_us: int, patience: float, popularity: float) -> int:
    """When a bike is ridden again; `patience` is a draw from the unit exponential.

    `popularity` multiplies the rate: 2 is a bike that waits half as long as the average one.
    """
    at_us = after_us + SHORTEST_PAUSE_US
    while True:
        share = share_ridden(at_us)
        rate_per_us = popularity * share / (1 - share) / (MEAN_RIDE_S * 1e6)
        slot_end_us = (at_us // SLOT_US + 1) * SLOT_US
        spent = rate_per_us * (slot_end_us - at_us)
        if spent >= patience:
            return at_us + int(patience / rate_per_us)
        patience -= spent
        at_us = slot_end_us


@lru_cache(maxsize=4096)
def _share_of_slot(slot: int) -> float:
    local = datetime.fromtimestamp(slot * SLOT_US // 1_000_000, UTC).astimezone(TIME_ZONE)
    hours = WEEKEND if local.weekday() >= SATURDAY else WEEKDAY
    here, after = hours[local.hour], hours[(local.hour + 1) % 24]
    return (here + (after - here) * local.minute / 60) / 100
