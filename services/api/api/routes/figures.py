"""SHELL: the figures of a day, and who leads."""

from datetime import date, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from api import queries
from api.access import Reader
from api.answers import leader_of
from api.context import InContext
from api.documents import responses
from api.parameters import DailyParameters, LeaderboardParameters, Period
from api.schemas import Daily, GenderTotals, Leaderboard
from deloton.ride_figures import day_bounds, ride_totals, ride_totals_by_gender

router = APIRouter(prefix="/v1", tags=["figures"])


@router.get(
    "/daily",
    summary="Get the figures of a day",
    response_model_exclude_unset=True,
    responses=responses(),
)
async def get_daily(
    _: Reader, context: InContext, asked: Annotated[DailyParameters, Query()]
) -> Daily:
    """What the rides that started on a day of the company's time zone come to."""
    day = asked.on or context.today - timedelta(days=1)
    from_at, to_at = day_bounds(day, context.time_zone)
    [totals] = await context.database.rows(ride_totals(from_at, to_at))
    genders = await context.database.rows(ride_totals_by_gender(from_at, to_at))
    return Daily(
        day=day,
        time_zone=context.time_zone,
        from_at=from_at,
        to_at=to_at,
        **totals,
        by_gender=[GenderTotals(**row) for row in genders],
        rides=f"/v1/rides?date={day}",
    )


@router.get(
    "/leaderboard",
    summary="Get who leads",
    response_model_exclude_unset=True,
    responses=responses(),
)
async def get_leaderboard(
    access: Reader, context: InContext, asked: Annotated[LeaderboardParameters, Query()]
) -> Leaderboard:
    """The riders whose best ride of a period was the best of all; each rider once."""
    first, following = period_around(asked.on or context.today, asked.period)
    from_at = to_at = None
    query = queries.leaders_since_ever(asked.metric, asked.limit)
    if first is not None and following is not None:
        from_at, _ = day_bounds(first, context.time_zone)
        to_at, _ = day_bounds(following, context.time_zone)
        query = queries.leaders_between(asked.metric, (from_at, to_at), asked.limit)
    rows = await context.database.rows(query)
    view = context.view(access)
    return Leaderboard(
        metric=asked.metric,
        period=asked.period,
        from_at=from_at,
        to_at=to_at,
        leaders=[leader_of(rank, asked.metric, row, view) for rank, row in enumerate(rows, 1)],
    )


def period_around(day: date, period: Period) -> tuple[date | None, date | None]:
    """The first day of the period that a day lies in, and the first day after it."""
    match period:
        case Period.DAY:
            return day, day + timedelta(days=1)
        case Period.WEEK:
            monday = day - timedelta(days=day.weekday())
            return monday, monday + timedelta(weeks=1)
        case Period.MONTH:
            first = day.replace(day=1)
            return first, (first + timedelta(days=31)).replace(day=1)
        case Period.ALL:
            return None, None
