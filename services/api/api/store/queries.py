"""EDGE: every question of the API to the database: statements made once, with this time's values.

Lists are read by keyset: a page begins after the last row of the one before, found by an index.
What lists answer is one column, each row as JSON (`told.py`).
"""

from collections.abc import Iterable
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Date,
    DateTime,
    Double,
    FromClause,
    Integer,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    tuple_,
    union_all,
)

from api.contract.answers import View
from api.contract.paging import Cursor
from api.contract.parameters import (
    AlertsParameters,
    BikesParameters,
    LeaderMetric,
    LiveParameters,
    OfRiders,
    RiderRidesParameters,
    RidersParameters,
    RideSort,
)
from api.contract.schemas import Reading
from api.store.sandbox import RIDER_IN_VIEW
from api.store.statements import Question, Statement, statement
from api.store.told import (
    WHO,
    alert_fields,
    bike_fields,
    in_columns,
    live_ride_fields,
    ride_fields,
    rider_fields,
    some_at_a_time,
    told,
)
from deloton.events import Gender
from deloton.rules.calendar import PLAUSIBLE_AGES, years_before
from deloton.rules.canary import FIRST_CANARY_RIDER_ID
from deloton.store.leaders import leaders_between, leaders_since_ever
from deloton.store.ride_figures import (
    open_rides,
    personal_bests,
    recent_bounds,
    ride_totals,
    ride_totals_by_gender,
    together,
    with_last_reading,
)
from deloton.store.tables import (
    bikes,
    heart_rate_alerts,
    heart_rate_recoveries,
    riders,
    rides,
)

# Which figures all rides of a rider are told by, together.
OF_A_RIDER = ("duration_s", "energy_kj", "mean_heart_rate_bpm", "mean_power_watts")

Bounds = tuple[datetime | None, datetime | None]

# Of so many riders at most the rides are looked up rider by rider; those of more are met soon
# enough on the way through all rides.
FEW_RIDERS: Final = 1_000

_RIDES_AND_WHO = rides.outerjoin(riders, riders.c.rider_id == rides.c.rider_id)
_RIDE_ID = bindparam("ride_id", type_=BigInteger)
_RIDER_ID = bindparam("rider_id", type_=BigInteger)
_FROM_AT = bindparam("from_at", type_=DateTime(timezone=True))
_TO_AT = bindparam("to_at", type_=DateTime(timezone=True))
_LIMIT = bindparam("limit", type_=Integer)

_HAS_ALERT = exists().where(heart_rate_alerts.c.ride_id == rides.c.ride_id)

# Conditions by what asks for them; most are the name of the value that they take.
_OF_RIDERS: Final[dict[str, ColumnElement[bool]]] = {
    "gender": riders.c.gender == bindparam("gender"),
    "born_after": riders.c.born_on > bindparam("born_after", type_=Date),
    "born_until": riders.c.born_on <= bindparam("born_until", type_=Date),
    "town": func.lower(riders.c.town) == func.lower(bindparam("town")),
}
_OF_RIDES: Final[dict[str, ColumnElement[bool]]] = {
    **_OF_RIDERS,
    "from_at": rides.c.started_at >= _FROM_AT,
    "to_at": rides.c.started_at < _TO_AT,
    "rider_id": rides.c.rider_id == _RIDER_ID,
    "rider_ids": rides.c.rider_id == any_(bindparam("rider_ids", type_=ARRAY(BigInteger))),
    "rider_ids_or_none": or_(
        rides.c.rider_id.is_(None),
        rides.c.rider_id == any_(bindparam("rider_ids_or_none", type_=ARRAY(BigInteger))),
    ),
    "gender_or_none": or_(rides.c.rider_id.is_(None), riders.c.gender == Gender.UNKNOWN.value),
    "bike": rides.c.bike_serial == bindparam("bike"),
    "live": rides.c.ended_at.is_(None),
    "ended": rides.c.ended_at.is_not(None),
    "alerted": _HAS_ALERT,
    "not_alerted": ~_HAS_ALERT,
}
_OF_ALERTS: Final[dict[str, ColumnElement[bool]]] = {
    "from_at": heart_rate_alerts.c.measured_at >= _FROM_AT,
    "to_at": heart_rate_alerts.c.measured_at < _TO_AT,
    "rider_id": heart_rate_alerts.c.rider_id == _RIDER_ID,
    "ride_id": heart_rate_alerts.c.ride_id == _RIDE_ID,
    "bike": rides.c.bike_serial == bindparam("bike"),
    "level": heart_rate_alerts.c.level == bindparam("level"),
    "state": heart_rate_alerts.c.state == bindparam("state"),
}
_OF_BIKES: Final[dict[str, ColumnElement[bool]]] = {
    "bike": bikes.c.serial == bindparam("bike"),
    "firmware": bikes.c.firmware == bindparam("firmware"),
}
# Its rides and bike PostgreSQL itself hides from us.
_NO_CANARY: Final = riders.c.rider_id < FIRST_CANARY_RIDER_ID

# A server-sent event tells of so many: some 150 kB.
RIDES_TOLD_AT_ONCE: Final = 500
READINGS_TOLD_AT_ONCE: Final = 2_000
LIVE_COLUMNS: Final = ("ride_id", *Reading.model_fields)
NOTHING_SEEN: Final = "{}|{}|{}"
_SEEN: Final = bindparam("seen", type_=Text)
_SEEN_KINDS: Final = ((1, BigInteger), (2, BigInteger), (3, Double))

RiderFilter = dict[str, Any]


def rider_filter(asked: OfRiders, today: date) -> RiderFilter:
    """What is asked of riders, by the names of `_OF_RIDERS`; empty: nothing."""
    values: RiderFilter = {}
    if asked.gender is not None:
        values["gender"] = asked.gender.value
    if asked.min_age is not None or asked.max_age is not None:
        # An age that cannot be meant is not known, whatever is asked for.
        least = PLAUSIBLE_AGES.start if asked.min_age is None else asked.min_age
        most = PLAUSIBLE_AGES.stop - 1 if asked.max_age is None else asked.max_age
        values["born_until"] = years_before(today, least)
        values["born_after"] = years_before(today, most + 1)
    if asked.town is not None:
        values["town"] = asked.town
    return values


def few_riders(of: RiderFilter) -> Question:
    """One column: the ids of riders that pass, `FEW_RIDERS` and one more at most."""
    return Question(_few_riders(frozenset(of)), of)


def rides_of(of: RiderFilter, found: list[int]) -> RiderFilter:
    """How rides are picked by their riders, of whom `few_riders` has found these.

    Who asks for riders of an unknown gender and nothing else asks for rides of nobody, too.
    """
    are_few = len(found) <= FEW_RIDERS
    if of == {"gender": Gender.UNKNOWN.value}:
        return {"rider_ids_or_none": found} if are_few else {"gender_or_none": None}
    return {"rider_ids": found} if are_few else of


@cache
def _few_riders(names: frozenset[str]) -> Statement:
    query = select(riders.c.rider_id).where(*_conditions(_OF_RIDERS, names))
    return statement(query.limit(FEW_RIDERS + 1))


def rides_page(
    asked: RiderRidesParameters,
    bounds: Bounds,
    view: View,
    *,
    of: RiderFilter,
    after: Cursor[Any] | None = None,
    limit: int,
) -> Question:
    """Rides with their riders in the order asked for; `of` says whose, by names of `_OF_RIDES`."""
    values: dict[str, Any] = {**of, **_given(asked, bounds, ("rider_id", "bike"))}
    values |= {asked.status.value: None} if asked.status else {}
    made = _rides_page(frozenset(values), asked.sort, after is not None, view.personal)
    return Question(made, {**values, "today": view.today, "limit": limit, **_place(after)})


@cache
def _rides_page(names: frozenset[str], sort: RideSort, follows: bool, personal: bool) -> Statement:
    column = rides.c[sort.column]
    query = select(rides, *WHO).select_from(_RIDES_AND_WHO).where(*_conditions(_OF_RIDES, names))
    if sort not in {RideSort.NEWEST, RideSort.OLDEST}:
        query = query.where(column.is_not(None))
    query = _page(query, (column, rides.c.ride_id), follows=follows, descending=sort.descending)
    return statement(told(ride_fields(query.subquery("page"), personal=personal)))


def alerts_page(
    asked: AlertsParameters,
    bounds: Bounds,
    view: View,
    *,
    after: Cursor[Any] | None = None,
    limit: int,
) -> Question:
    """Alerts with their riders, newest first."""
    values = _given(asked, bounds, ("rider_id", "ride_id", "bike", "level", "state"))
    made = _alerts_page(frozenset(values), after is not None, view.personal)
    return Question(made, {**values, "today": view.today, "limit": limit, **_place(after)})


@cache
def _alerts_page(names: frozenset[str], follows: bool, personal: bool) -> Statement:
    alerts = heart_rate_alerts
    whose = alerts.outerjoin(riders, riders.c.rider_id == alerts.c.rider_id)
    if "bike" in names:
        whose = whose.join(rides, rides.c.ride_id == alerts.c.ride_id)
    over = heart_rate_recoveries
    whose = whose.outerjoin(over, over.c.alert_id == alerts.c.alert_id)
    end = (over.c.measured_at.label("recovered_at"), over.c.state.label("recovery_state"))
    query = select(alerts, *end, *WHO).select_from(whose).where(*_conditions(_OF_ALERTS, names))
    query = _page(
        query, (alerts.c.measured_at, alerts.c.alert_id), follows=follows, descending=True
    )
    return statement(told(alert_fields(query.subquery("page"), personal=personal)))


def _given(
    asked: RiderRidesParameters | AlertsParameters, bounds: Bounds, names: Iterable[str]
) -> dict[str, Any]:
    """What is asked for, and the bounds that are not open."""
    values = {name: getattr(asked, name, None) for name in names}
    values |= zip(("from_at", "to_at"), bounds, strict=True)
    return {name: value for name, value in values.items() if value is not None}


def _conditions(
    known: dict[str, ColumnElement[bool]], names: frozenset[str]
) -> Iterable[ColumnElement[bool]]:
    return (known[name] for name in sorted(names))


def _page(
    query: Select[Any],
    order: tuple[Column[Any], Column[int]],
    *,
    follows: bool,
    descending: bool,
) -> Select[Any]:
    """Rows in order, so many at most; where `follows`, after those of a place."""
    key = tuple_(*order)
    if follows:
        last = tuple_(
            bindparam("after_value", type_=order[0].type),
            bindparam("after_id", type_=BigInteger),
        )
        query = query.where(key < last if descending else key > last)
    return query.order_by(*(each.desc() if descending else each for each in order)).limit(_LIMIT)


def _place(after: Cursor[Any] | None) -> dict[str, Any]:
    return {} if after is None else {"after_value": after.value, "after_id": after.row_id}


def live_page(
    asked: LiveParameters,
    view: View,
    now: datetime,
    *,
    after: Cursor[Any] | None = None,
    limit: int,
) -> Question:
    """Rides in progress with their last reading, the longest under way first."""
    values = _of_live(asked)
    made = _live_page(frozenset(values), after is not None, view.personal)
    times = {"today": view.today, **recent_bounds(now)}
    return Question(made, {**values, **times, "limit": limit, **_place(after)})


@cache
def _live_page(names: frozenset[str], follows: bool, personal: bool) -> Statement:
    query = open_rides().where(*_conditions(_OF_RIDES, names))
    order = (rides.c.started_at, rides.c.ride_id)
    picked = _page(query, order, follows=follows, descending=False).cte("open_ones")
    last = with_last_reading(picked).subquery("last")
    page = select(last).order_by(last.c.started_at, last.c.ride_id).subquery("page")
    return statement(told(live_ride_fields(page, personal=personal)))


def live_changes(asked: LiveParameters, view: View, now: datetime, seen: str) -> Question:
    """What has changed of the rides in progress since the moment of which `seen` tells.

    `seen` is what the answer says under that name, or `NOTHING_SEEN`. Rows of two columns, `what`
    and `told`: `rides` (some of those that began, or whose rider came to be known; JSON objects
    with commas between), `readings` (the newest of some others, as JSON in columns), `ended` (the
    ids of those that are no longer under way, as a JSON list), and `seen`.
    """
    values = {**_of_live(asked), **recent_bounds(now), "today": view.today, "seen": seen}
    return Question(_live_changes(frozenset(_of_live(asked)), view.personal), values)


@cache
def _live_changes(names: frozenset[str], personal: bool) -> Statement:
    open_ones = open_rides().where(*_conditions(_OF_RIDES, names)).cte("open_ones")
    current = with_last_reading(open_ones).cte("current")
    parts = [cast(func.split_part(_SEEN, "|", number), ARRAY(kind)) for number, kind in _SEEN_KINDS]
    unnested = func.unnest(*parts).table_valued("ride_id", "rider_id", "read_s", name="unnested")
    before = select(unnested.render_derived()).cte("before")
    both = current.outerjoin(before, before.c.ride_id == current.c.ride_id)
    is_known = before.c.rider_id == _rider_or_none(current)
    new = select(current).select_from(both).where(is_known.is_not(True)).subquery("new")
    moved = select(current).select_from(both).where(is_known, _has_moved(current, before))
    gone = (
        select(cast(func.json_agg(before.c.ride_id), Text).label("told"))
        .select_from(before.outerjoin(current, before.c.ride_id == current.c.ride_id))
        .where(current.c.ride_id.is_(None))
        .having(func.count() > 0)
    )
    answers = {
        "rides": some_at_a_time(live_ride_fields(new, personal=personal), RIDES_TOLD_AT_ONCE),
        "readings": in_columns(moved.subquery("moved"), LIVE_COLUMNS, READINGS_TOLD_AT_ONCE),
        "ended": gone,
        "seen": _seen_of(current),
    }
    rows = ((what, answer.subquery(f"of_{what}")) for what, answer in answers.items())
    return statement(
        union_all(
            *(
                select(literal_column(f"'{what}'", Text).label("what"), of.c.told)
                for what, of in rows
            )
        )
    )


def _of_live(asked: LiveParameters) -> dict[str, Any]:
    """What is asked of rides in progress, by the names of `_OF_RIDES`."""
    values = asked.model_dump(include=set(LiveParameters.model_fields), exclude_none=True)
    alerted = values.pop("alerted", None)
    if alerted is not None:
        values["alerted" if alerted else "not_alerted"] = None
    return values


def _rider_or_none(page: FromClause) -> ColumnElement[int]:
    """A rider's id, and a number that is nobody's where that is not known."""
    return func.coalesce(page.c.rider_id, literal_column("-1", BigInteger))


def _has_moved(current: FromClause, before: FromClause) -> ColumnElement[bool]:
    return _read_s(current).is_distinct_from(before.c.read_s)


def _read_s(page: FromClause) -> ColumnElement[float | None]:
    return func.date_part("epoch", page.c.at, type_=Double)


def _seen_of(current: FromClause) -> Select[str]:
    """Three arrays of the same length in one text: rides, riders, times of the last readings."""
    of_each = (current.c.ride_id, _rider_or_none(current), _read_s(current))
    arrays = (func.coalesce(cast(func.array_agg(each), Text), "{}") for each in of_each)
    return select(func.concat_ws("|", *arrays).label("told"))


_RIDE = statement(
    select(rides, *WHO, riders.c.weight_kg)
    .select_from(_RIDES_AND_WHO)
    .where(rides.c.ride_id == _RIDE_ID)
)


def ride_by_id(ride_id: int) -> Question:
    """One ride with its rider."""
    return Question(_RIDE, {"ride_id": ride_id})


def riders_page(
    asked: RidersParameters, view: View, *, after: Cursor[Any] | None = None, limit: int
) -> Question:
    """Riders by their numbers, each with the start of the newest ride."""
    values = rider_filter(asked, view.today)
    made = _riders_page(frozenset(values), after is not None, view.personal)
    return Question(made, {**values, "today": view.today, "limit": limit, **_place(after)})


@cache
def _riders_page(names: frozenset[str], follows: bool, personal: bool) -> Statement:
    last_ride_at = (
        select(func.max(rides.c.started_at))
        .where(rides.c.rider_id == riders.c.rider_id)
        .correlate(riders)
        .scalar_subquery()
    )
    query = select(riders, last_ride_at.label("last_ride_at"))
    query = query.where(_NO_CANARY, RIDER_IN_VIEW, *_conditions(_OF_RIDERS, names))
    if follows:
        query = query.where(riders.c.rider_id > bindparam("after_id", type_=BigInteger))
    page = query.order_by(riders.c.rider_id).limit(_LIMIT).subquery("page")
    return statement(told(rider_fields(page, personal=personal)))


def bikes_page(asked: BikesParameters, *, after: Cursor[Any] | None = None, limit: int) -> Question:
    """Bikes by their serials, each with its newest ride."""
    values = {name: getattr(asked, name) for name in _OF_BIKES if getattr(asked, name) is not None}
    made = _bikes_page(frozenset(values), after is not None)
    return Question(made, {**values, "limit": limit, **_place(after)})


@cache
def _bikes_page(names: frozenset[str], follows: bool) -> Statement:
    last = (
        select(rides.c.ride_id, rides.c.started_at, rides.c.ended_at)
        .where(rides.c.bike_serial == bikes.c.serial)
        .order_by(rides.c.started_at.desc())
        .limit(1)
        .lateral("last")
    )
    query = select(
        bikes.c.serial.label("bike_serial"),
        bikes.c.firmware,
        last.c.ride_id.label("last_ride_id"),
        last.c.started_at.label("last_ride_at"),
        last.c.ended_at,
    ).select_from(bikes.outerjoin(last, true()))
    query = query.where(*_conditions(_OF_BIKES, names))
    if follows:
        query = query.where(bikes.c.serial > bindparam("after_value", type_=Text))
    page = query.order_by(bikes.c.serial).limit(_LIMIT).subquery("page")
    return statement(told(bike_fields(page)))


_RIDER = statement(select(riders).where(riders.c.rider_id == _RIDER_ID, RIDER_IN_VIEW))
_RIDER_TOTALS = statement(
    select(
        func.count().label("ride_count"),
        func.min(rides.c.started_at).label("first_ride_at"),
        func.max(rides.c.started_at).label("last_ride_at"),
        *(together(name) for name in OF_A_RIDER),
    ).where(rides.c.rider_id == _RIDER_ID)
)
_PERSONAL_BESTS = statement(personal_bests(_RIDER_ID))


def rider_by_id(rider_id: int) -> Question:
    """One rider."""
    return Question(_RIDER, {"rider_id": rider_id})


def rider_totals(rider_id: int) -> Question:
    """One row: what all of a rider's rides come to; means are of seconds, not of rides."""
    return Question(_RIDER_TOTALS, {"rider_id": rider_id})


def bests_of_rider(rider_id: int) -> Question:
    """A rider's personal bests: see `ride_figures.personal_bests`."""
    return Question(_PERSONAL_BESTS, {"rider_id": rider_id})


_DAY = statement(ride_totals(_FROM_AT, _TO_AT))
_DAY_BY_GENDER = statement(ride_totals_by_gender(_FROM_AT, _TO_AT))


def totals_between(from_at: datetime, to_at: datetime) -> Question:
    """What rides that started in [from, to) come to: see `ride_figures.ride_totals`."""
    return Question(_DAY, {"from_at": from_at, "to_at": to_at})


def totals_by_gender(from_at: datetime, to_at: datetime) -> Question:
    """The same by gender: see `ride_figures.ride_totals_by_gender`."""
    return Question(_DAY_BY_GENDER, {"from_at": from_at, "to_at": to_at})


def leaders(metric: LeaderMetric, bounds: tuple[datetime, datetime] | None, limit: int) -> Question:
    """The best ride of each leader, best first: since ever, or of rides that started in a span."""
    values = {} if bounds is None else {"from_at": bounds[0], "to_at": bounds[1]}
    return Question(_leaders(metric, limit, since_ever=bounds is None), values)


@cache
def _leaders(metric: LeaderMetric, limit: int, *, since_ever: bool) -> Statement:
    if since_ever:
        best = leaders_since_ever(metric.value, limit)
    else:
        span = (rides.c.started_at >= _FROM_AT) & (rides.c.started_at < _TO_AT)
        best = leaders_between(metric.value, span, limit)
    return statement(
        select(
            *(best.c[name] for name in ("value", "ride_id", "rider_id", "started_at")),
            *WHO,
            riders.c.weight_kg,
        )
        .select_from(best.join(riders, riders.c.rider_id == best.c.rider_id))
        .order_by(best.c.value.desc(), best.c.ride_id.desc())
        .limit(limit)
    )
