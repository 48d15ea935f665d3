"""CORE: what a ride's file tells, whatever its format: totals of the ride, and its readings.

A file is of a ride that has ended: programs that take it in hold it to be the whole ride.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

FIT: Final = "application/vnd.ant.fit"
TCX: Final = "application/vnd.garmin.tcx+xml"

# As programs know them that take files in, which are less exact than our rows.
Whole = int | None


class RideFacts(Struct, frozen=True):
    """A ride that has ended; its fields are those of a row of `rides`."""

    ride_id: int
    bike_serial: str
    started_at: datetime
    ended_at: datetime
    mean_heart_rate_bpm: float | None
    max_heart_rate_bpm: int | None
    mean_cadence_rpm: float | None
    max_cadence_rpm: int | None
    mean_power_watts: float | None
    max_power_watts: float | None
    energy_kj: float | None

    @property
    def elapsed_s(self) -> float:
        """From the start to the last reading."""
        return max(0.0, (self.ended_at - self.started_at).total_seconds())


class Measured(Struct, frozen=True):
    """One second of a ride, as `/readings` tells it."""

    at: datetime
    heart_rate_bpm: float | None = None
    cadence_rpm: float | None = None
    resistance: float | None = None
    power_watts: float | None = None


def whole(value: float | None, largest: int) -> Whole:
    """A value as a whole number from 0 to the largest; None for one that does not fit."""
    rounded = None if value is None else round(value)
    return rounded if rounded is not None and 0 <= rounded <= largest else None
