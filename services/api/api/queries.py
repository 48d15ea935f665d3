"""EDGE: every question of the API to the database, as SQLAlchemy selects with bound values.

Lists are read by keyset: a page begins after the last row of the one before, found by an index.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Float,
    Select,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import distinct_on

from api.paging import Cursor
from api.parameters import (
    AlertsParameters,
    LeaderMetric,
    RiderRidesParameters,
    RideSort,
    RidesParameters,
    RideStatus,
)
from deloton.events import Gender
from deloton.ride_figures import of_ride
from deloton.tables import audit, heart_rate_alerts, readings, rider_limits, riders, rides

Bounds = tuple[datetime | None, datetime | None]

# A bike's clock may stand at the ends of time; around them there is nothing to look at.
_FIRST_START = datetime.min.replace(tzinfo=UTC) + timedelta(days=3)
_LAST_START = datetime.max.replace(tzinfo=UTC) - timedelta(days=3)

_WHO = (
    riders.c.gender,
    riders.c.born_on,
    riders.c.title,
    riders.c.first_name,
    riders.c.last_name,
    riders.c.weight_kg,
)
_RIDES_AND_WHO = rides.outerjoin(riders, riders.c.rider_id == rides.c.rider_id)


def rides_page(
    asked: RiderRidesParameters,
    bounds: Bounds,
    today: date,
    *,
    rider_id: int | None = None,
    after: Cursor[Any] | None = None,
    limit: int,
) -> Select[Any]:
    """Rides with their riders in the order asked for; those of one rider where `rider_id` is."""
    query = _in_span(select(rides, *_WHO).select_from(_RIDES_AND_WHO), rides.c.started_at, bounds)
    if rider_id is not None:
        query = query.where(rides.c.rider_id == rider_id)
    if asked.bike is not None:
        query = query.where(rides.c.bike_serial == asked.bike)
    if asked.status is RideStatus.LIVE:
        query = query.where(rides.c.ended_at.is_(None))
    elif asked.status is RideStatus.ENDED:
        query = query.where(rides.c.ended_at.is_not(None))
    if isinstance(asked, RidesParameters):
        query = _of_riders(query, asked, today)
    return _sorted_rides(query, asked.sort, after).limit(limit)


def _of_riders(query: Select[Any], asked: RidesParameters, today: date) -> Select[Any]:
    if asked.rider_id is not None:
        query = query.where(rides.c.rider_id == asked.rider_id)
    if asked.gender is Gender.UNKNOWN:
        unknown = or_(rides.c.rider_id.is_(None), riders.c.gender == Gender.UNKNOWN.value)
        query = query.where(unknown)
    elif asked.gender is not None:
        query = query.where(riders.c.gender == asked.gender.value)
    if asked.min_age is not None:
        query = query.where(riders.c.born_on <= years_before(today, asked.min_age))
    if asked.max_age is not None:
        query = query.where(riders.c.born_on > years_before(today, asked.max_age + 1))
    if asked.city is not None:
        query = query.where(func.lower(riders.c.town) == func.lower(asked.city))
    return query


def _sorted_rides(query: Select[Any], sort: RideSort, after: Cursor[Any] | None) -> Select[Any]:
    column = rides.c[sort.column]
    key = tuple_(column, rides.c.ride_id)
    if sort not in {RideSort.NEWEST, RideSort.OLDEST}:
        query = query.where(column.is_not(None))
    if after is not None:
        last = tuple_(literal(after.value, column.type), literal(after.row_id, BigInteger))
        query = query.where(key < last if sort.descending else key > last)
    order = (column, rides.c.ride_id)
    return query.order_by(*(each.desc() if sort.descending else each for each in order))


def _in_span(query: Select[Any], column: ColumnElement[datetime], bounds: Bounds) -> Select[Any]:
    from_at, to_at = bounds
    if from_at is not None:
        query = query.where(column >= from_at)
    if to_at is not None:
        query = query.where(column < to_at)
    return query


def years_before(day: date, years: int) -> date:
    """The last birthday of who is `years` old on a day; of 29 February, the 28th."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)


def ride_by_id(ride_id: int) -> Select[Any]:
    """One ride with its rider."""
    return select(rides, *_WHO).select_from(_RIDES_AND_WHO).where(rides.c.ride_id == ride_id)


def within_time(started_at: datetime) -> datetime:
    """A start from which days can be counted back and on."""
    return min(max(started_at, _FIRST_START), _LAST_START)


def readings_page(
    ride_id: int,
    started_at: datetime,
    resolution_s: int,
    *,
    after: datetime | None = None,
    limit: int,
) -> Select[Any]:
    """Readings of a ride, oldest first, after the row at `after`; or the means of several."""
    if resolution_s == 1:
        query = select(readings).where(of_ride(ride_id, within_time(started_at)))
        if after is not None:
            query = query.where(readings.c.at > after)
        return query.order_by(readings.c.at).limit(limit)
    step = timedelta(seconds=resolution_s)
    begins_at = func.date_bin(step, readings.c.at, started_at).label("at")
    query = select(
        begins_at,
        func.max(readings.c.elapsed_s).label("elapsed_s"),
        *(
            cast(func.avg(readings.c[name]), Float).label(name)
            for name in ("heart_rate_bpm", "cadence_rpm", "resistance", "power_watts")
        ),
    ).where(of_ride(ride_id, within_time(started_at)))
    if after is not None:
        query = query.where(readings.c.at >= after + step)
    return query.group_by(begins_at).order_by(begins_at).limit(limit)


def rider_by_id(rider_id: int) -> Select[Any]:
    """One rider."""
    return select(riders).where(riders.c.rider_id == rider_id)


def rider_totals(rider_id: int) -> Select[Any]:
    """One row: what all of a rider's rides come to; means are of seconds, not of rides."""
    return select(
        func.count().label("ride_count"),
        func.min(rides.c.started_at).label("first_ride_at"),
        func.max(rides.c.started_at).label("last_ride_at"),
        func.coalesce(func.sum(rides.c.duration_s), 0).label("duration_s"),
        func.coalesce(func.sum(rides.c.energy_kj), 0).label("energy_kj"),
        _weighed_mean(
            rides.c.mean_heart_rate_bpm,
            func.coalesce(rides.c.heart_rate_count, rides.c.reading_count),
        ).label("mean_heart_rate_bpm"),
        _weighed_mean(rides.c.mean_power_watts, rides.c.reading_count).label("mean_power_watts"),
    ).where(rides.c.rider_id == rider_id)


def _weighed_mean(mean: ColumnElement[Any], count: ColumnElement[Any]) -> ColumnElement[Any]:
    weight = func.sum(case((mean.is_not(None), count)))
    return func.sum(mean * count) / func.nullif(weight, 0)


def leaders_since_ever(metric: LeaderMetric, limit: int) -> Select[Any]:
    """The best ride of each leader, best first, by a walk down the metric's index.

    Each step looks for the best ride below the last one of a rider who does not lead yet, so the
    work grows with the leaders and their best rides, not with all rides.
    """
    value = rides.c[metric.value]
    counted = (value.is_not(None), rides.c.rider_id.is_not(None))
    best_first = (value.desc(), rides.c.ride_id.desc())
    columns = (value.label("value"), rides.c.ride_id, rides.c.rider_id, rides.c.started_at)
    first = select(*columns).where(*counted).order_by(*best_first).limit(1).subquery("first")
    seen = func.array_append(cast(literal([]), ARRAY(BigInteger)), first.c.rider_id)
    walk = select(first, seen.label("seen"), literal(1).label("rank")).cte("walk", recursive=True)
    following = (
        select(*columns)
        .where(
            *counted,
            tuple_(value, rides.c.ride_id) < tuple_(walk.c.value, walk.c.ride_id),
            rides.c.rider_id != func.all(walk.c.seen),
        )
        .order_by(*best_first)
        .limit(1)
        .lateral("following")
    )
    walk = walk.union_all(
        select(
            following,
            func.array_append(walk.c.seen, following.c.rider_id),
            walk.c.rank + 1,
        )
        .select_from(walk.join(following, true()))
        .where(walk.c.rank < limit)
    )
    return _with_who(walk)


def leaders_between(metric: LeaderMetric, bounds: Bounds, limit: int) -> Select[Any]:
    """The best ride of each leader among the rides that started in a span, best first."""
    value = rides.c[metric.value]
    counted = (value.is_not(None), rides.c.rider_id.is_not(None))
    own_best = _in_span(
        select(value.label("value"), rides.c.ride_id, rides.c.rider_id, rides.c.started_at)
        .ext(distinct_on(rides.c.rider_id))
        .where(*counted)
        .order_by(rides.c.rider_id, value.desc(), rides.c.ride_id.desc()),
        rides.c.started_at,
        bounds,
    ).subquery("own_best")
    return _with_who(own_best).limit(limit)


def _with_who(best: Any) -> Select[Any]:  # noqa: ANN401  a subquery or a CTE
    return (
        select(best.c.value, best.c.ride_id, best.c.rider_id, best.c.started_at, *_WHO)
        .select_from(best.join(riders, riders.c.rider_id == best.c.rider_id))
        .order_by(best.c.value.desc(), best.c.ride_id.desc())
    )


def alerts_page(
    asked: AlertsParameters, bounds: Bounds, *, after: Cursor[Any] | None = None, limit: int
) -> Select[Any]:
    """Alerts with their riders, newest first."""
    alerts = heart_rate_alerts
    whose = alerts.outerjoin(riders, riders.c.rider_id == alerts.c.rider_id)
    query = select(alerts, *_WHO).select_from(whose)
    query = _in_span(query, alerts.c.measured_at, bounds)
    for name in ("rider_id", "level", "state"):
        value = getattr(asked, name)
        if value is not None:
            query = query.where(alerts.c[name] == value)
    if after is not None:
        last = tuple_(
            literal(after.value, alerts.c.measured_at.type), literal(after.row_id, BigInteger)
        )
        query = query.where(tuple_(alerts.c.measured_at, alerts.c.alert_id) < last)
    return query.order_by(alerts.c.measured_at.desc(), alerts.c.alert_id.desc()).limit(limit)


def all_rides_of(rider_id: int) -> Select[Any]:
    """Every ride of a rider, oldest first."""
    return select(rides).where(rides.c.rider_id == rider_id).order_by(rides.c.started_at)


def all_readings_of(ride_ids: Sequence[int]) -> Select[Any]:
    """Every reading of some rides, wherever their clocks had put it, by ride and time."""
    return (
        select(readings)
        .where(readings.c.ride_id.in_(ride_ids))
        .order_by(readings.c.ride_id, readings.c.at)
    )


def all_alerts_of(rider_id: int) -> Select[Any]:
    """Every alert of a rider, oldest first."""
    alerts = heart_rate_alerts
    return select(alerts).where(alerts.c.rider_id == rider_id).order_by(alerts.c.measured_at)


def own_limits_of(rider_id: int) -> Select[Any]:
    """A rider's own limits, if there are any."""
    return select(rider_limits).where(rider_limits.c.rider_id == rider_id)


def audit_of(rider_id: int) -> Select[Any]:
    """What was deleted or handed out of a rider's data, oldest first; not of single rides."""
    return (
        select(audit)
        .where(audit.c.subject_id == rider_id, audit.c.action != "delete_ride")
        .order_by(audit.c.audit_id)
    )
