"""Which heart rates must become alerts, by the plainest computation there is.

Written from the published formulas and the rules in words (docs/alerts.md): ten seconds at the
limit high or critical, fifteen below the limit low, none of them ten seconds after the one before.
Seconds without a reading, and those in which the sensor is not believed, count for nothing. Back to
normal is a heart that was followed down from its danger in steps that hearts make, and was then
seen well within its limits sixty times, moving and without such a gap.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tests.oracle.straightforward import Expected, Reading, RideKey, Row

ENOUGH = {"critical": 10, "high": 10, "low": 15}
GAP_S = 10
COOL_DOWN = timedelta(minutes=15)
AGE_OF_THE_UNKNOWN = 40
TOLD_AGAIN = timedelta(seconds=5)
STAYS = 60
STILL = 15
STEP_BPM = 12
FALLS_BPM_PER_S = 0.5
LOST_AFTER_S = 30
WITHIN_BPM = 5
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)
STANDARD_ERROR = 10.8
# Most severe first; who was told of a level need not be told of those behind it.
LEVELS = ("critical", "high", "low")
COVERED_BY = {"critical": {"critical"}, "high": {"high", "critical"}, "low": {"low"}}


class DueAlert(NamedTuple):
    """An alert that a ride must make: the first of its level."""

    ride: RideKey
    rider_id: int | None
    level: str
    measured_at: datetime


class Beat(NamedTuple):
    """A reading that is believed, with what the rules ask of it."""

    at: datetime
    bpm: int
    # How far above the steady rate from which the heart jumped less than a minute ago; 0: no jump.
    risen: int
    jumped: bool
    low_counts: bool


def due_alerts(expected: Expected, zone: ZoneInfo) -> list[DueAlert]:
    """The alerts of all rides, each ride and level once, as if no other ride had made one.

    For rides of one day: what hearts proved on days before is not known here.
    """
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
    told: set[str] = set()
    alerts = []
    for moment, reached in dangers_of_ride(readings, bounds):
        news = [level for level in reached if level not in told]
        if news:
            alerts.append((news[0], moment))
        told.update(news)
    return alerts


def dangers_of_ride(
    readings: Iterable[Reading], bounds: Mapping[str, float]
) -> Iterator[tuple[datetime, list[str]]]:
    """Each reading at which a heart is in danger, and the levels of it, the most severe first."""
    counted = dict.fromkeys(LEVELS, 0)
    before: datetime | None = None
    for beat in believed(readings):
        if before and (beat.at - before).total_seconds() >= GAP_S:
            counted = dict.fromkeys(LEVELS, 0)
        before = beat.at
        beyond = {}
        for level in LEVELS:
            limit = limit_for(beat, level, bounds, goes_on=counted[level] > 0)
            beyond[level] = is_beyond(beat, level, limit)
            if beyond[level]:
                counted[level] += 1
            elif not is_nearly_beyond(beat, level, limit):
                counted[level] = 0
        reached = []
        for level in LEVELS:
            if counted[level] >= ENOUGH[level]:
                reached.append(level)
            elif beyond[level]:
                break  # the lesser levels wait
        if reached:
            yield beat.at, reached


def told_dangers(readings: Iterable[Reading], bounds: Mapping[str, float]) -> dict[datetime, str]:
    """The readings at which a danger is told, for the first time and again, with its level."""
    told: dict[datetime, str] = {}
    last: dict[str, datetime] = {}
    in_danger: dict[str, datetime] = {}
    for moment, reached in dangers_of_ride(readings, bounds):
        due = [
            level
            for level in reached
            if level not in in_danger or moment - last[level] >= TOLD_AGAIN
        ]
        in_danger = dict.fromkeys(reached, moment)
        last |= dict.fromkeys(due, moment)
        if due:
            told[moment] = reached[0]
    return told


def recoveries_of_ride(
    readings: Iterable[Reading], bounds: Mapping[str, float]
) -> list[tuple[str, datetime]]:
    """Of each alert that is mailed: its level, and when its rider must be told that it is over.

    Not where a later alert of the ride comes first: then the danger goes on.
    """
    readings = list(readings)
    normal_at = sixtieth_normal_readings(readings, bounds)
    alerts = alerts_of_ride(readings, bounds)
    told = []
    for number, (level, began) in enumerate(alerts):
        following = [moment for _, moment in alerts[number + 1 :]]
        # Of the sixty none lies before the alert.
        over = [last for first, last in normal_at if first > began]
        if over and not (following and following[0] < over[0]):
            told.append((level, over[0]))
    return told


def sixtieth_normal_readings(
    readings: Iterable[Reading], bounds: Mapping[str, float]
) -> list[tuple[datetime, datetime]]:
    """First and last of each sixty normal readings in a row."""
    readings = list(readings)
    told = told_dangers(readings, bounds)
    row: list[datetime] = []
    found = []
    danger, before, followed, still = "", None, False, 0
    upper = min(bounds["high"], bounds["jumped"]) - WITHIN_BPM
    for beat in believed(readings):
        if beat.at in told:
            # A heart that raced when it was lost from sight is not found by a low rate.
            if followed or told[beat.at] != "low" or danger in ("", "low"):
                danger, followed = told[beat.at], True
            before, row, still = beat, [], 1
            continue
        if before is None:
            continue
        apart_s = (beat.at - before.at).total_seconds()
        step = abs(beat.bpm - before.bpm)
        if apart_s > LOST_AFTER_S or step > STEP_BPM + FALLS_BPM_PER_S * apart_s:
            followed = False
        still = 1 if step else still + 1
        before = beat
        if apart_s >= GAP_S:
            row = []
        if followed and still < STILL and bounds["low"] + WITHIN_BPM <= beat.bpm < upper:
            row.append(beat.at)
        else:
            row = []
        if len(row) >= STAYS:
            found.append((row[-STAYS], row[-1]))
    return found


def limit_for(beat: Beat, level: str, bounds: Mapping[str, float], *, goes_on: bool) -> float:
    """A heart that jumped by 30 bpm is told of sooner: for a minute, or while it stays there."""
    if level == "low" or beat.risen < 30 or not (beat.jumped or goes_on):
        return bounds[level]
    return min(bounds[level], bounds["high" if level == "critical" else "jumped"])


def is_beyond(beat: Beat, level: str, limit: float) -> bool:
    """Below the low limit; at the others or above. Low counts under load and a steady grip."""
    if level == "low":
        return beat.bpm < limit and beat.low_counts
    return beat.bpm >= limit


def is_nearly_beyond(beat: Beat, level: str, limit: float) -> bool:
    """Back within the limit by three beats or fewer."""
    if level == "low":
        return limit <= beat.bpm < limit + 3
    return limit - 3 <= beat.bpm < limit


def believed(readings: Iterable[Reading]) -> Iterator[Beat]:  # noqa: C901 (as plain as it is long)
    """The readings that a sensor in a handlebar can be believed."""
    last: Reading | None = None
    steady_bpm = 0  # the last rate that was believed for ten seconds
    since = jumped_at = settled = LONG_AGO
    doubted = jumped = twice = False
    moves = locked = 0
    for reading in readings:
        bpm, at = reading.heart_rate_bpm, reading.at
        if bpm is None or not 25 <= bpm <= 240:
            continue
        away_s = (at - last.at).total_seconds() if last else float("inf")
        last_bpm = (last.heart_rate_bpm or 0) if last else 0
        returned = away_s > 2.5
        leapt = not returned and abs(bpm - last_bpm) > 12 * max(1, away_s)
        if returned or leapt:
            certain = leapt and not doubted
            if not doubted:
                if last and last.at - since >= timedelta(seconds=10):
                    steady_bpm = last_bpm if locked < 8 else steady_bpm
                doubted, jumped = True, leapt
                was_twice = False
            else:
                was_twice = twice and bpm >= last_bpm - 10
            twice = was_twice or any(
                is_twice(bpm, other, exactly=certain) for other in (steady_bpm, last_bpm)
            )
            jumped_at, moves = at, 0
            wait = 25 if not steady_bpm else 15 if bpm < steady_bpm - 10 else 5
            if away_s > 30:
                steady_bpm, wait = 0, 25
            settled = at + timedelta(seconds=wait)
        elif bpm != last_bpm:
            moves += 1
        rpm = reading.cadence_rpm
        locked = locked + 1 if rpm is not None and abs(bpm - rpm) <= 2 else 0
        last = reading
        if doubted and jumped and abs(bpm - steady_bpm) <= 10:
            doubted = jumped = False
            since = at - timedelta(seconds=10)
        elif doubted and at >= settled and moves >= 2:
            is_fault = locked >= 8 or twice
            doubted = is_fault and at - jumped_at < timedelta(seconds=38)
            since = at
        if doubted or locked >= 8:
            continue
        yield Beat(
            at,
            bpm,
            bpm - steady_bpm if jumped and steady_bpm else 0,
            at - jumped_at <= timedelta(seconds=60),
            (rpm is None or rpm >= 20) and at - since >= timedelta(seconds=10),
        )


def is_twice(bpm: int, other: int, *, exactly: bool) -> bool:
    """Whether one of two rates is twice the other, or about twice."""
    least, most = (1.94, 2.08) if exactly else (1.85, 2.15)
    slow, fast = min(bpm, other), max(bpm, other)
    return least * slow <= fast <= most * slow


def limits(age: int | None) -> dict[str, float]:
    """Nes 2013 from 18 to 40 years, else Tanaka 2001; high and critical lie above; low is 50 bpm.

    `jumped` is the limit high of a heart that has just jumped.
    """
    years = AGE_OF_THE_UNKNOWN if age is None else age
    maximum = 211 - 0.64 * years if 18 <= years <= 40 else 208 - 0.7 * years
    high, critical = (round(maximum + errors * STANDARD_ERROR) for errors in (0.5, 2.75))
    return {"critical": critical, "high": high, "low": 50, "jumped": round(0.8 * maximum)}


def age(expected: Expected, key: RideKey, ride: Row, zone: ZoneInfo) -> int | None:
    """The rider's full years on the day of the ride."""
    rider = expected.riders.get(ride["rider_id"])
    born: date | None = rider["born_on"] if rider else None
    if born is None:
        return None
    rode = key[1].astimezone(zone).date()
    years = rode.year - born.year - ((rode.month, rode.day) < (born.month, born.day))
    return years if 5 <= years <= 110 else None
