"""EDGE: what rides add up to, as SQLAlchemy selects that several services run, each its own way.

Company days run from midnight to midnight in the company's time zone; a ride belongs to the day
on which it started. A reading stands for one second.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Float,
    FrameClause,
    FrameClauseType,
    FromClause,
    Select,
    cast,
    func,
    literal,
    literal_column,
    select,
    true,
    union_all,
)

from deloton.heart_rate import ZONES, zone_of
from deloton.tables import readings, riders, rides

# The spans of a power curve: a sprint, a short and a long effort, and endurance.
POWER_SPANS_S: Final = (5, 20, 60, 300)

# A mean counts where so much of its span was measured: a lost line does not cost a record.
MEASURED_SHARE: Final = 0.9

# Totals of a ride in which a rider may have a best, each the higher the better.
BESTS: Final = (
    "max_power_watts",
    "mean_power_watts",
    "energy_kj",
    "max_cadence_rpm",
    "max_heart_rate_bpm",
    "duration_s",
)

# What rides come to together, in SQL, of their rows alone. Means are of seconds, not of rides: a
# ride counts by its readings, or by those that hold a heart rate. Of rides from before those were
# counted, all readings stand for them.
MEAN_POWER_WATTS: Final = """(
    sum(mean_power_watts * reading_count)
    / nullif(sum(reading_count) FILTER (WHERE mean_power_watts IS NOT NULL), 0)
)"""
MEAN_HEART_RATE_BPM: Final = """(
    sum(mean_heart_rate_bpm * coalesce(heart_rate_count, reading_count))
    / nullif(sum(coalesce(heart_rate_count, reading_count))
             FILTER (WHERE mean_heart_rate_bpm IS NOT NULL), 0)
)"""
CONTACT_SHARE: Final = """(
    sum(heart_rate_count)::float
    / nullif(sum(reading_count) FILTER (WHERE heart_rate_count IS NOT NULL), 0)
)"""

# Readings of a ride are looked for this near its start: clocks may jump, rides may be long.
BEFORE_START = timedelta(days=1)
AFTER_START = timedelta(days=2)


def day_bounds(day: date, time_zone: str) -> tuple[datetime, datetime]:
    """The first moment of a day in a time zone, and of the next day, in UTC."""
    zone = ZoneInfo(time_zone)
    first, following = (
        datetime.combine(each, time.min, zone).astimezone(UTC)
        for each in (day, day + timedelta(days=1))
    )
    return first, following


def of_ride(ride_id: int, started_at: datetime) -> ColumnElement[bool]:
    """The condition that picks the readings of one ride."""
    return (readings.c.ride_id == ride_id) & _near(started_at)


def _near(started_at: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """The readings around a start: keeps the search to a few daily partitions."""
    return readings.c.at.between(started_at - BEFORE_START, started_at + AFTER_START)


def heart_rate_seconds(ride_id: int, started_at: datetime) -> Select[Any]:
    """One row per heart rate of a ride: `heart_rate_bpm`, `seconds`; without it, None."""
    return (
        select(readings.c.heart_rate_bpm, func.count().label("seconds"))
        .where(of_ride(ride_id, started_at))
        .group_by(readings.c.heart_rate_bpm)
    )


def time_in_zones(
    seconds_by_heart_rate: Mapping[int | None, int], maximum_bpm: float
) -> dict[int, int]:
    """Seconds in each training zone, by its number; seconds without a heart rate are left out."""
    seconds = {zone.number: 0 for zone in ZONES}
    for heart_rate_bpm, count in seconds_by_heart_rate.items():
        if heart_rate_bpm is not None:
            seconds[zone_of(heart_rate_bpm, maximum_bpm).number] += count
    return seconds


def readings_span(from_at: datetime, to_at: datetime) -> tuple[datetime, datetime]:
    """Between which moments the readings of rides lie that started in [from, to]."""
    return from_at - BEFORE_START, to_at + AFTER_START


def best_mean_powers(
    which: ColumnElement[bool],
    spans_s: Iterable[int] = POWER_SPANS_S,
    *,
    between: tuple[datetime, datetime] | None = None,
) -> Select[Any]:
    """One row per span, shortest first: `span_s`, `power_watts`, `ride_id`, `ended_at`.

    `which` picks rides: `rides.c.ride_id == 1`, or a rider's from some moment on; the work grows
    with their readings. `ended_at` is the end of that effort. Rides that never lasted so long
    give no row. `between`, a `readings_span`, says where the readings lie, so that plans need not
    be made for all daily partitions.
    """
    chosen = list(spans_s)
    within = true() if between is None else readings.c.at.between(*between)
    # Ride by ride, so that each looks into no more daily partitions than it can have.
    so_far = (
        select(
            readings.c.ride_id,
            readings.c.at,
            readings.c.power_watts,
            func.coalesce(readings.c.power_watts, 0).label("here"),
            func.sum(func.coalesce(readings.c.power_watts, 0))
            .over(order_by=readings.c.at)
            .label("sum"),
            func.min(readings.c.at).over().label("first_at"),
        )
        .where(readings.c.ride_id == rides.c.ride_id, _near(rides.c.started_at), within)
        .correlate(rides)
        .subquery("so_far")
    )
    efforts = select(
        so_far.c.ride_id,
        so_far.c.at,
        so_far.c.first_at,
        *(column for span_s in chosen for column in _mean_power_over(span_s, so_far)),
    ).lateral("efforts")
    measured = select(efforts).select_from(rides.join(efforts, true())).where(which).cte()
    parts = []
    for span_s in chosen:
        power_watts = measured.c[f"power_{span_s}"]
        best = (
            select(
                literal(span_s).label("span_s"),
                power_watts.label("power_watts"),
                measured.c.ride_id,
                measured.c.at.label("ended_at"),
            )
            .where(
                measured.c[f"seconds_{span_s}"] >= MEASURED_SHARE * span_s,
                # The span lies within the ride: a reading stands for the second before it.
                measured.c.at - measured.c.first_at >= timedelta(seconds=span_s - 1.5),
            )
            .order_by(power_watts.desc(), measured.c.at)
            .limit(1)
            .subquery()
        )
        parts.append(select(best))
    every = union_all(*parts).subquery()
    return select(every).order_by(every.c.span_s)


def _mean_power_over(
    span_s: int, so_far: FromClause
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Mean power over the seconds that end at a reading, and how many of them were measured.

    From running sums: an average over each frame would add up every span anew.
    """
    # Readings come a second apart: those of a span end half a second before the next.
    frame = FrameClause(
        timedelta(seconds=span_s - 0.5), None, FrameClauseType.PRECEDING, FrameClauseType.CURRENT
    )
    before = func.first_value(so_far.c.sum - so_far.c.here).over(order_by=so_far.c.at, range_=frame)
    seconds = func.count(so_far.c.power_watts).over(order_by=so_far.c.at, range_=frame)
    return (
        ((so_far.c.sum - before) / func.nullif(seconds, 0)).label(f"power_{span_s}"),
        seconds.label(f"seconds_{span_s}"),
    )


def personal_bests(rider_id: int) -> Select[Any]:
    """One row per total that a rider has a best in: `metric`, `value`, `ride_id`, `started_at`.

    Of equal rides the first is the best. Rides in progress have no totals yet.
    """
    mine = select(rides).where(rides.c.rider_id == rider_id, rides.c.ended_at.is_not(None)).cte()
    parts = []
    for metric in BESTS:
        best = (
            select(
                literal(metric).label("metric"),
                cast(mine.c[metric], Float).label("value"),
                mine.c.ride_id,
                mine.c.started_at,
            )
            .where(mine.c[metric].is_not(None))
            .order_by(mine.c[metric].desc(), mine.c.started_at)
            .limit(1)
            .subquery()
        )
        parts.append(select(best))
    return select(union_all(*parts).subquery())


def ride_totals(from_at: datetime, to_at: datetime) -> Select[Any]:
    """One row: what the rides that started in [from, to) add up to.

    `ride_count`, `live_ride_count`, `rider_count` and `ride_count_without_rider` count rides in
    progress too; the other figures are of the rides that have ended. Means weigh a ride by its
    readings, that of the heart rate by those that hold one (by all where nobody counted them).
    """
    in_span = (rides.c.started_at >= from_at) & (rides.c.started_at < to_at)
    return select(
        func.count().label("ride_count"),
        func.count().filter(rides.c.ended_at.is_(None)).label("live_ride_count"),
        func.count(rides.c.rider_id.distinct()).label("rider_count"),
        func.count().filter(rides.c.rider_id.is_(None)).label("ride_count_without_rider"),
        func.coalesce(func.sum(rides.c.reading_count), 0).label("reading_count"),
        func.coalesce(func.sum(rides.c.duration_s), 0).label("duration_s"),
        func.coalesce(func.sum(rides.c.total_power_watts), 0).label("total_power_watts"),
        func.coalesce(func.sum(rides.c.energy_kj), 0).label("energy_kj"),
        literal_column(MEAN_POWER_WATTS, Float).label("mean_power_watts"),
        func.max(rides.c.max_power_watts).label("max_power_watts"),
        literal_column(MEAN_HEART_RATE_BPM, Float).label("mean_heart_rate_bpm"),
        func.max(rides.c.max_heart_rate_bpm).label("max_heart_rate_bpm"),
    ).where(in_span)


def ride_totals_by_gender(from_at: datetime, to_at: datetime) -> Select[Any]:
    """One row per gender, most rides first: `gender`, `ride_count`, `rider_count`, `duration_s`.

    Rides without a known rider count as `unknown`.
    """
    gender = func.coalesce(riders.c.gender, "unknown")
    return (
        select(
            gender.label("gender"),
            func.count().label("ride_count"),
            func.count(rides.c.rider_id.distinct()).label("rider_count"),
            func.coalesce(func.sum(rides.c.duration_s), 0).label("duration_s"),
        )
        .select_from(rides.outerjoin(riders, riders.c.rider_id == rides.c.rider_id))
        .where(rides.c.started_at >= from_at, rides.c.started_at < to_at)
        .group_by(gender)
        .order_by(func.count().desc(), gender)
    )


def rides_in_progress() -> Select[Any]:
    """One row per ride in progress, by its id: the ride, its rider, and its last reading.

    The reading's columns are None until the first one is stored.
    """
    last = (
        select(readings)
        .where(readings.c.ride_id == rides.c.ride_id, _near(rides.c.started_at))
        .order_by(readings.c.at.desc())
        .limit(1)
        .lateral("last")
    )
    return (
        select(
            rides.c.ride_id,
            rides.c.rider_id,
            rides.c.bike_serial,
            rides.c.started_at,
            riders.c.title,
            riders.c.first_name,
            riders.c.last_name,
            riders.c.gender,
            riders.c.born_on,
            last.c.at,
            last.c.elapsed_s,
            last.c.heart_rate_bpm,
            last.c.cadence_rpm,
            last.c.resistance,
            last.c.power_watts,
        )
        .select_from(
            rides.outerjoin(riders, riders.c.rider_id == rides.c.rider_id).outerjoin(last, true())
        )
        .where(rides.c.ended_at.is_(None))
        .order_by(rides.c.ride_id)
    )
