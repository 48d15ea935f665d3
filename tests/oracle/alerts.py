"""Which heart rates must become alerts, by the plainest computation there is.

Written from the published formulas and the rule in words: three readings in a row beyond a limit,
none of them ten seconds after the one before. Seconds without a reading count for nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.oracle.straightforward import Expected, Reading, RideKey, Row

ENOUGH = 3
GAP = timedelta(seconds=10)
COOL_DOWN = timedelta(minutes=15)
AGE_OF_THE_UNKNOWN = 40
# Most severe first; who was told of a level need not be told of those behind it.
LEVELS = ("critical", "high", "low")
COVERED_BY = {"critical": {"critical"}, "high": {"high", "critical"}, "low": {"low"}}


class DueAlert(NamedTuple):
    """An alert that a ride must make: the first of its level."""

    ride: RideKey
    rider_id: int | None
    level: str
    measured_at: datetime


def due_alerts(expected: Expected, zone: ZoneInfo) -> list[DueAlert]:
    """The alerts of all rides, each ride and level once, as if no other ride had made one."""
    return [
        DueAlert(key, ride["rider_id"], level, measured_at)
        for key, ride in expected.rides.items()
        for level, measured_at in alerts_of_ride(
            expected.readings[key], limits(age(expected, key, ride, zone))
        )
    ]


def first_of_their_riders(alerts: Iterable[DueAlert]) -> set[DueAlert]:
    """Those before which the rider was not told of the level, or a more severe one, for long."""
    alerts = list(alerts)
    return {
        alert
        for alert in alerts
        if not any(
            other.rider_id == alert.rider_id
            and other.level in COVERED_BY[alert.level]
            and timedelta(0) < alert.measured_at - other.measured_at < COOL_DOWN
            for other in alerts
        )
    }


def alerts_of_ride(
    readings: Iterable[Reading], bounds: Mapping[str, float]
) -> list[tuple[str, datetime]]:
    """Level and time of each alert of a ride; of several at once the most severe alone."""
    in_a_row = dict.fromkeys(LEVELS, 0)
    told: set[str] = set()
    alerts = []
    before: datetime | None = None
    for reading in readings:
        if reading.heart_rate_bpm is None:
            continue
        if before and reading.at - before >= GAP:
            in_a_row = dict.fromkeys(LEVELS, 0)
        before = reading.at
        reached = []
        for level in LEVELS:
            beyond = is_beyond(reading.heart_rate_bpm, level, bounds)
            in_a_row[level] = in_a_row[level] + 1 if beyond else 0
            if in_a_row[level] >= ENOUGH and level not in told:
                reached.append(level)
        if reached:
            alerts.append((reached[0], reading.at))
        told.update(reached)
    return alerts


def is_beyond(heart_rate_bpm: int, level: str, bounds: Mapping[str, float]) -> bool:
    """Below the low limit; at the others or above."""
    limit = bounds[level]
    return heart_rate_bpm < limit if level == "low" else heart_rate_bpm >= limit


def limits(age: int | None) -> dict[str, float]:
    """Nes 2013 up to 40 years, Tanaka 2001 above: all of it, nine tenths of it; and 50 bpm."""
    years = AGE_OF_THE_UNKNOWN if age is None else age
    maximum = 211 - 0.64 * years if years <= 40 else 208 - 0.7 * years
    return {"critical": round(maximum, 1), "high": round(0.9 * maximum, 1), "low": 50}


def age(expected: Expected, key: RideKey, ride: Row, zone: ZoneInfo) -> int | None:
    """The rider's full years on the day of the ride."""
    rider = expected.riders.get(ride["rider_id"])
    born: date | None = rider["born_on"] if rider else None
    if born is None:
        return None
    rode = key[1].astimezone(zone).date()
    years = rode.year - born.year - ((rode.month, rode.day) < (born.month, born.day))
    return years if 5 <= years <= 110 else None
