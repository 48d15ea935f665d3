"""EDGE: every question of the API about the readings of rides.

Most rides have ended and are packed. To ask for a packed ride alone takes a fraction of the time:
so that is asked first; where it finds no row, the ride's readings are looked for wherever they lie.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Float,
    FromClause,
    Integer,
    Interval,
    Select,
    bindparam,
    cast,
    func,
    select,
)

from api.contract.parameters import ReadingColumn, ReadingsParameters
from api.store.statements import Question, Statement, statement
from api.store.told import reading_fields, told
from deloton.store.ride_figures import best_mean_powers, heart_rate_seconds
from deloton.store.ride_readings import near, packed_of, readings_of
from deloton.store.tables import rides

# A bike's clock may stand at the ends of time; around them there is nothing to look at.
_FIRST_START = datetime.min.replace(tzinfo=UTC) + timedelta(days=3)
_LAST_START = datetime.max.replace(tzinfo=UTC) - timedelta(days=3)

_RIDE_ID = bindparam("ride_id", type_=BigInteger)
_RIDER_ID = bindparam("rider_id", type_=BigInteger)
_FROM_AT, _TO_AT, _READ_FROM, _READ_TO = (
    bindparam(name, type_=DateTime(timezone=True))
    for name in ("from_at", "to_at", "read_from", "read_to")
)
_SPAN = (_READ_FROM, _READ_TO)

_PACKED: Final = packed_of(_RIDE_ID)
_ANYWHERE: Final = readings_of(_RIDE_ID, _SPAN)
_HOMES: Final = (_PACKED, _ANYWHERE)


class OfRide(Struct, frozen=True):
    """A question about the readings of a ride: `anywhere` is asked where `packed` finds no row."""

    packed: Question
    anywhere: Question


def within_time(started_at: datetime) -> datetime:
    """A start from which days can be counted back and on."""
    return min(max(started_at, _FIRST_START), _LAST_START)


_HEART_RATES = tuple(statement(heart_rate_seconds(home)) for home in _HOMES)
_POWERS_OF_RIDE = tuple(
    statement(best_mean_powers(rides.c.ride_id == _RIDE_ID, of=home)) for home in _HOMES
)
_POWERS_OF_RIDER = statement(
    best_mean_powers(
        (rides.c.rider_id == _RIDER_ID)
        & (rides.c.started_at >= _FROM_AT)
        & (rides.c.started_at < _TO_AT),
        of=readings_of(rides.c.ride_id, _SPAN),
    )
)


def heart_rates_of(ride_id: int, started_at: datetime) -> OfRide:
    """One row per heart rate of a ride: see `ride_figures.heart_rate_seconds`."""
    return _of_ride(_HEART_RATES, ride_id, started_at)


def best_powers_of_ride(ride_id: int, started_at: datetime) -> OfRide:
    """A ride's best powers: see `ride_figures.best_mean_powers`."""
    return _of_ride(_POWERS_OF_RIDE, ride_id, started_at)


def best_powers_of_rider(rider_id: int, from_at: datetime, to_at: datetime) -> Question:
    """The same of a rider's rides that started in [from, to)."""
    read_from, read_to = near(within_time(from_at), within_time(to_at))
    values = {"from_at": from_at, "to_at": to_at, "read_from": read_from, "read_to": read_to}
    return Question(_POWERS_OF_RIDER, {"rider_id": rider_id, **values})


def readings_page(
    ride_id: int,
    started_at: datetime,
    asked: ReadingsParameters,
    *,
    after: datetime | None = None,
    limit: int,
) -> OfRide:
    """Readings of a ride, oldest first, after the row at `after`; or the means of several."""
    coarse, follows = asked.step_s > 1, after is not None
    made = tuple(
        _readings_page(home, asked.told, coarse=coarse, follows=follows) for home in (0, 1)
    )
    return _of_ride(
        made,
        ride_id,
        started_at,
        begins_at=started_at,
        step=timedelta(seconds=asked.step_s),
        after=after,
        limit=limit,
    )


def _of_ride(
    made: tuple[Statement, ...], ride_id: int, started_at: datetime, **given: object
) -> OfRide:
    packed, anywhere = made
    read_from, read_to = near(within_time(started_at))
    values = {"ride_id": ride_id, "read_from": read_from, "read_to": read_to, **given}
    return OfRide(Question(packed, values), Question(anywhere, values))


@cache
def _readings_page(
    home: int, columns: tuple[ReadingColumn, ...], *, coarse: bool, follows: bool
) -> Statement:
    readings = _HOMES[home]
    after = bindparam("after", type_=DateTime(timezone=True))
    step = bindparam("step", type_=Interval)
    query: Select[Any] = select(readings.c.at, *(readings.c[name] for name in columns))
    row_at: ColumnElement[Any] = readings.c.at
    from_on = readings.c.at > after
    if coarse:
        begins_at = bindparam("begins_at", type_=DateTime(timezone=True))
        row_at = func.date_bin(step, readings.c.at, begins_at, type_=DateTime(timezone=True))
        query = select(row_at.label("at"), *(_of_several(readings, name) for name in columns))
        query = query.group_by(row_at)
        from_on = readings.c.at >= after + step
    if follows:
        query = query.where(from_on)
    limit = bindparam("limit", type_=Integer)
    page = query.order_by(row_at).limit(limit).subquery("page")
    return statement(told(reading_fields(page, columns)))


def _of_several(readings: FromClause, column: ReadingColumn) -> ColumnElement[Any]:
    """Several readings as one: the last count of seconds, and means."""
    each = readings.c[column]
    if column is ReadingColumn.ELAPSED:
        return func.max(each).label(column)
    return cast(func.avg(each), Float).label(column)
