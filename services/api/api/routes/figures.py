"""SHELL: the figures of a day, and who leads."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Request

from api.access.gate import Reader
from api.contract.answers import leader_of
from api.contract.openapi import responses
from api.contract.parameters import DailyParameters, LeaderboardParameters, Period
from api.contract.schemas import Daily, GenderTotals, Leaderboard
from api.routes.context import InContext
from api.store import queries
from api.web.access_log import reading_of
from api.web.asked import query
from deloton.rules.calendar import DAYS_A_WEEK, ONE_DAY, day_bounds, midnight, monday_of

router = APIRouter(prefix="/v1", tags=["figures"])


@router.get(
    "/daily",
    summary="Get the figures of a day",
    response_model_exclude_unset=True,
    responses=responses(),
)
async def get_daily(
    _: Reader, context: InContext, asked: Annotated[DailyParameters, query(DailyParameters)]
) -> Daily:
    """What the rides that started on a day of the company's time zone come to."""
    day = asked.on or context.today - ONE_DAY
    from_at, to_at = day_bounds(day, context.zone)
    [totals] = await context.database.rows(queries.totals_between(from_at, to_at))
    genders = await context.database.rows(queries.totals_by_gender(from_at, to_at))
    return Daily(
        day=day,
        time_zone=context.zone.key,
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
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[LeaderboardParameters, query(LeaderboardParameters)],
) -> Leaderboard:
    """The riders whose best ride of a period was the best of all; each rider once."""
    first, following = period_around(asked.on or context.today, asked.period)
    from_at = to_at = bounds = None
    if first is not None and following is not None:
        from_at = midnight(first, context.zone)
        to_at = midnight(following, context.zone)
        bounds = (from_at, to_at)
    rows = await context.database.rows(queries.leaders(asked.metric, bounds, asked.limit))
    view = context.view(access)
    reading_of(request).note([row["rider_id"] for row in rows], len(rows))
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
            return day, day + ONE_DAY
        case Period.WEEK:
            return monday_of(day), monday_of(day) + DAYS_A_WEEK * ONE_DAY
        case Period.MONTH:
            first = day.replace(day=1)
            return first, (first + 31 * ONE_DAY).replace(day=1)
        case Period.ALL:
            return None, None
