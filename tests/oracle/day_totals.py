"""What the rides of a day add up to, from their rows alone."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from tests.oracle.straightforward import Row


class DayTotals(NamedTuple):
    """The figures that everything which tells of a day must agree on."""

    ride_count: int
    rider_count: int
    duration_s: float
    energy_kj: float
    total_power_watts: float
    mean_power_watts: float | None
    max_power_watts: float | None
    mean_heart_rate_bpm: float | None


def totals_of_rides(rides: Iterable[Row]) -> DayTotals:
    """Sums and means of rides that are over; a mean weighs a ride by its seconds."""
    rides = list(rides)
    return DayTotals(
        ride_count=len(rides),
        rider_count=len({ride["rider_id"] for ride in rides} - {None}),
        duration_s=math.fsum(ride["duration_s"] for ride in rides),
        energy_kj=math.fsum(ride["energy_kj"] for ride in rides),
        total_power_watts=math.fsum(ride["total_power_watts"] for ride in rides),
        mean_power_watts=weighted_mean(rides, "mean_power_watts", "reading_count"),
        max_power_watts=max(
            (r["max_power_watts"] for r in rides if r["max_power_watts"] is not None), default=None
        ),
        mean_heart_rate_bpm=weighted_mean(rides, "mean_heart_rate_bpm", "heart_rate_count"),
    )


def weighted_mean(rides: list[Row], mean: str, weight: str) -> float | None:
    """The mean of means, each by its weight; None where there is none."""
    told = [ride for ride in rides if ride[mean] is not None]
    weights = math.fsum(ride[weight] for ride in told)
    return math.fsum(ride[mean] * ride[weight] for ride in told) / weights if weights else None
