"""EDGE: what rides add up to, as SQLAlchemy selects.

The API runs all of these selects, the dashboard `personal_bests`. A reading stands for one second.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Float,
    FrameClause,
    FrameClauseType,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    not_,
    select,
    true,
    union_all,
)

from deloton.rules.figures import BESTS
from deloton.rules.power import DENIED_WATTS
from deloton.store.figure_sql import may_lead, of_rides, power_is_off_by
from deloton.store.ride_readings import Given, near, readings_of
from deloton.store.rider_sql import GENDER
from deloton.store.tables import readings, riders, rides

# The spans of a power curve: a sprint, a short and a long effort, and endurance.
POWER_SPANS_S: Final = (5, 20, 60, 300)

# A mean counts where so much of its span was measured: a lost line does not cost a record.
MEASURED_SHARE: Final = 0.9

# Which figures the rides of a day are told by, together.
OF_A_DAY: Final = (
    "reading_count",
    "duration_s",
    "total_power_watts",
    "energy_kj",
    "mean_power_watts",
    "max_power_watts",
    "mean_heart_rate_bpm",
    "max_heart_rate_bpm",
)

# Most rides in progress began within so long; the others' clocks, or the ingestor, are behind.
RECENT: Final = timedelta(hours=6)

_RECENT_FROM, _RECENT_TO, _READ_FROM, _READ_TO = (
    bindparam(name, type_=DateTime(timezone=True))
    for name in ("recent_from", "recent_to", "read_from", "read_to")
)


def heart_rate_seconds(of: FromClause) -> Select[Any]:
    """One row per heart rate of a ride: `heart_rate_bpm`, `seconds`; without it, None.

    `of` holds its readings: see `ride_readings`.
    """
    return select(of.c.heart_rate_bpm, func.count().label("seconds")).group_by(of.c.heart_rate_bpm)


def best_mean_powers(
    which: ColumnElement[bool],
    spans_s: Iterable[int] = POWER_SPANS_S,
    *,
    of: FromClause | None = None,
) -> Select[Any]:
    """One row per span, shortest first: `span_s`, `power_watts`, `ride_id`, `ended_at`.

    `which` picks rides: `rides.c.ride_id == 1`, or a rider's from some moment on; the work grows
    with their readings. `ended_at` is the end of that effort. Rides that never lasted so long
    give no row. `of` holds the readings of each row of rides: see `ride_readings`.
    """
    chosen = list(spans_s)
    if of is None:
        of = readings_of(rides.c.ride_id, near(rides.c.started_at))
    # Power that cannot be is nobody's best: as if it had not been measured.
    power_watts = case((power_is_off_by(DENIED_WATTS, of), None), else_=of.c.power_watts)
    credible = (
        select(of.c.ride_id, of.c.at, power_watts.label("power_watts"))
        .correlate(rides)
        .subquery("credible")
    )
    so_far = select(
        credible,
        func.coalesce(credible.c.power_watts, 0).label("here"),
        func.sum(func.coalesce(credible.c.power_watts, 0))
        .over(order_by=credible.c.at)
        .label("sum"),
        func.min(credible.c.at).over().label("first_at"),
    ).subquery("so_far")
    efforts = select(
        so_far.c.ride_id,
        so_far.c.at,
        so_far.c.first_at,
        *(column for span_s in chosen for column in _mean_power_over(span_s, so_far)),
    ).lateral("efforts")
    measured = select(efforts).select_from(rides.join(efforts, true())).where(which).cte()
    parts = []
    for span_s in chosen:
        mean_watts = measured.c[f"power_{span_s}"]
        best = (
            select(
                literal(span_s).label("span_s"),
                mean_watts.label("power_watts"),
                measured.c.ride_id,
                measured.c.at.label("ended_at"),
            )
            .where(
                measured.c[f"seconds_{span_s}"] >= MEASURED_SHARE * span_s,
                # The span lies within the ride: a reading stands for the second before it.
                measured.c.at - measured.c.first_at >= timedelta(seconds=span_s - 1.5),
            )
            .order_by(mean_watts.desc(), measured.c.at)
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


def personal_bests(rider_id: Given[int]) -> Select[Any]:
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
            .where(mine.c[metric].is_not(None), may_lead(metric, mine))
            .order_by(mine.c[metric].desc(), mine.c.started_at)
            .limit(1)
            .subquery()
        )
        parts.append(select(best))
    return select(union_all(*parts).subquery())


def together(name: str) -> ColumnElement[Any]:
    """What a figure of many rides comes to, under the figure's name: see `figure_sql.of_rides`."""
    return literal_column(of_rides(name), rides.c[name].type).label(name)


def ride_totals(from_at: Given[datetime], to_at: Given[datetime]) -> Select[Any]:
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
        *(together(name) for name in OF_A_DAY),
    ).where(in_span)


def ride_totals_by_gender(from_at: Given[datetime], to_at: Given[datetime]) -> Select[Any]:
    """One row per gender, most rides first: `gender`, `ride_count`, `rider_count`, `duration_s`.

    Rides without a known rider count as `unknown`.
    """
    gender = literal_column(GENDER, Text)
    return (
        select(
            gender.label("gender"),
            func.count().label("ride_count"),
            func.count(rides.c.rider_id.distinct()).label("rider_count"),
            together("duration_s"),
        )
        .select_from(rides.outerjoin(riders, riders.c.rider_id == rides.c.rider_id))
        .where(rides.c.started_at >= from_at, rides.c.started_at < to_at)
        .group_by(gender)
        .order_by(func.count().desc(), gender)
    )


def open_rides() -> Select[Any]:
    """Every ride in progress, and who rides; `with_last_reading` tells where it stands."""
    return (
        select(
            *(rides.c[name] for name in ("ride_id", "rider_id", "bike_serial", "started_at")),
            *(riders.c[name] for name in ("title", "first_name", "last_name", "gender", "born_on")),
        )
        .select_from(rides.outerjoin(riders, riders.c.rider_id == rides.c.rider_id))
        .where(rides.c.ended_at.is_(None))
    )


def with_last_reading(open_ones: CTE) -> CompoundSelect[Any]:
    """Every row of `open_ones`, and the columns of its ride's last reading: None before the first.

    Takes the values of `recent_bounds`. Of rides that began lately the bounds of readings are the
    same for all, so that a plan is made for few partitions: a tenth of the time, with many rides.
    """
    begun_lately = open_ones.c.started_at.between(_RECENT_FROM, _RECENT_TO)
    return union_all(
        _with_last(open_ones, readings.c.at.between(_READ_FROM, _READ_TO)).where(begun_lately),
        _with_last(open_ones, readings.c.at.between(*near(open_ones.c.started_at))).where(
            not_(begun_lately)
        ),
    )


def recent_bounds(now: datetime) -> dict[str, datetime]:
    """The values of `with_last_reading`: which starts are recent, and where their readings lie."""
    recent_from, recent_to = now - RECENT, now + RECENT
    read_from, read_to = near(recent_from, recent_to)
    return {
        "recent_from": recent_from,
        "recent_to": recent_to,
        "read_from": read_from,
        "read_to": read_to,
    }


def _with_last(open_ones: CTE, near: ColumnElement[bool]) -> Select[Any]:
    last = (
        select(*(column for column in readings.c if column.name != "ride_id"))
        .where(readings.c.ride_id == open_ones.c.ride_id, near)
        .order_by(readings.c.at.desc())
        .limit(1)
        .lateral("last")
    )
    return select(open_ones, *last.c).select_from(open_ones.outerjoin(last, true()))
