"""SHELL: heart-rate alerts."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import RowMapping

from api import queries
from api.access import Reader
from api.answers import alert_of
from api.context import InContext
from api.documents import list_responses
from api.lists import Listing, respond
from api.paging import AwareTime, Cursor
from api.parameters import DEFAULT_PAGE, AlertsParameters
from api.schemas import Alert, AlertPage

router = APIRouter(prefix="/v1", tags=["alerts"])


@router.get(
    "/alerts",
    summary="List heart-rate alerts",
    response_model=AlertPage,
    responses=list_responses(),
)
async def list_alerts(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[AlertsParameters, Query()],
) -> Response:
    """Abnormal heart rates and what became of the mails about them, the newest first."""
    view = context.view(access)

    async def fetch(after: Cursor[Any] | None, limit: int) -> Sequence[RowMapping]:
        bounds = asked.bounds(context.time_zone)
        return await context.database.rows(
            queries.alerts_page(asked, bounds, after=after, limit=limit)
        )

    listing = Listing(
        name="alerts",
        page=AlertPage,
        model=Alert,
        personal=view.personal,
        place_kind=AwareTime,
        fetch=fetch,
        answer=lambda row: alert_of(row, view),
        place=lambda row: (row["measured_at"], row["alert_id"]),
        others={},
    )
    return await respond(
        request, listing, asked.given(), limit=asked.limit, default_limit=DEFAULT_PAGE
    )
