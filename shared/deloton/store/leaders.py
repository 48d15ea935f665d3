"""EDGE: who leads in a figure: riders by their best ride of all time or of a span, each once.

Of equal rides the newer leads. Rides of riders whom nobody knows lead nothing.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    FromClause,
    Select,
    cast,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import distinct_on

from deloton.rules.calendar import PLAUSIBLE_AGES
from deloton.rules.figures import LEADERS
from deloton.store.figure_sql import may_lead
from deloton.store.rider_sql import day_of_ride, years_lived
from deloton.store.tables import riders, rides

Ages = tuple[int | None, int | None]
ALL_AGES: Final[Ages] = (None, None)
# So many of a span's best rides are looked at for each rider who is to lead.
RIDES_A_LEADER: Final = 5


def leaders_since_ever(
    metric: str, limit: int, *, ages: Ages = ALL_AGES, time_zone: str = "UTC"
) -> FromClause:
    """Each leader's best ride: `value`, `ride_id`, `rider_id`, `started_at`, `seen`, `rank`.

    In no order; `rank` counts from 1, `seen` holds the riders up to this one.

    Of riders who had one of these ages (years, both included) on the company's day of that ride.
    A walk down the metric's index: each step looks for the best ride below the last one of a
    rider who does not lead yet, so the work grows with the leaders and their best rides, not
    with all rides; of ages that fewer riders have than are to lead, with all rides.
    """
    value = _value_of(metric)
    best_first = (value.desc(), rides.c.ride_id.desc())
    best = _of_ages(_rides_by(value), ages, time_zone).order_by(*best_first).limit(1)
    first = best.subquery("first")
    seen = func.array_append(cast(literal([]), ARRAY(BigInteger)), first.c.rider_id)
    walk = select(first, seen.label("seen"), literal(1).label("rank")).cte("walk", recursive=True)
    following = best.where(
        tuple_(value, rides.c.ride_id) < tuple_(walk.c.value, walk.c.ride_id),
        rides.c.rider_id != func.all(walk.c.seen),
    ).lateral("following")
    return walk.union_all(
        select(
            following,
            func.array_append(walk.c.seen, following.c.rider_id),
            walk.c.rank + 1,
        )
        .select_from(walk.join(following, true()))
        .where(walk.c.rank < limit)
    )


def leaders_between(metric: str, span: ColumnElement[bool], limit: int) -> FromClause:
    """The first four of the same, of the rides in a span: so many leaders, and others behind them.

    The best rides of the span, `RIDES_A_LEADER` for each leader, come by the metric's index or
    the span's, whichever is shorter. Only where too few riders share them (who rides all day may
    have many) every rider's best of the span is looked for.
    """
    value = _value_of(metric)
    first_of_each = (value.desc(), rides.c.ride_id.desc())
    in_span = _rides_by(value).where(span)
    best = in_span.order_by(*first_of_each).limit(limit * RIDES_A_LEADER).cte("best")
    own = (
        select(best)
        .ext(distinct_on(best.c.rider_id))
        .order_by(best.c.rider_id, best.c.value.desc(), best.c.ride_id.desc())
        .cte("own")
    )
    leaders = select(func.count()).select_from(own).scalar_subquery()
    met = select(func.count()).select_from(best).scalar_subquery()
    # There are no others, or enough of them.
    is_whole = (leaders >= limit) | (met < limit * RIDES_A_LEADER)
    everybody = (
        in_span.ext(distinct_on(rides.c.rider_id))
        .where(~is_whole)
        .order_by(rides.c.rider_id, *first_of_each)
        .subquery("everybody")
    )
    return union_all(select(own).where(is_whole), select(everybody)).subquery("own_best")


def _value_of(metric: str) -> Column[float]:
    if metric not in LEADERS:
        raise ValueError(f"no leaders are kept by {metric!r}")
    return rides.c[metric]


def _rides_by(value: Column[float]) -> Select[tuple[float, int, int, datetime]]:
    return select(
        value.label("value"), rides.c.ride_id, rides.c.rider_id, rides.c.started_at
    ).where(value.is_not(None), rides.c.rider_id.is_not(None), may_lead(value.name))


def _of_ages(query: Select[Any], ages: Ages, time_zone: str) -> Select[Any]:
    if ages == ALL_AGES:
        return query
    least, most = ages
    # Both bounds can be meant, so what cannot is outside anyway.
    years = years_lived(day_of_ride(":time_zone"))
    of_age = text(f"{years} BETWEEN :least AND :most").bindparams(
        time_zone=time_zone,
        least=PLAUSIBLE_AGES.start if least is None else least,
        most=PLAUSIBLE_AGES.stop - 1 if most is None else most,
    )
    return query.join(riders, riders.c.rider_id == rides.c.rider_id).where(of_age)
