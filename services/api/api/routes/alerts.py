"""SHELL: heart-rate alerts."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response

from api.access.gate import Reader
from api.contract.csv_rows import columns_of
from api.contract.openapi import list_responses
from api.contract.paging import AwareTime, Cursor
from api.contract.parameters import DEFAULT_PAGE, AlertsParameters
from api.contract.schemas import Alert, AlertPage
from api.routes.context import InContext
from api.store import queries
from api.web.asked import query
from api.web.lists import Listing, respond

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
    asked: Annotated[AlertsParameters, query(AlertsParameters)],
) -> Response:
    """Abnormal heart rates and what became of the mails about them, the newest first."""
    view = context.view(access)

    async def fetch(after: Cursor[Any] | None, limit: int) -> list[str]:
        bounds = asked.bounds(context.zone)
        return await context.database.told(
            queries.alerts_page(asked, bounds, view, after=after, limit=limit)
        )

    listing = Listing(
        name="alerts",
        columns=columns_of(Alert, personal=view.personal),
        place=("measured_at", "alert_id"),
        place_kind=AwareTime,
        fetch=fetch,
    )
    return await respond(
        request,
        listing,
        context.reader(access),
        asked.given(),
        limit=asked.limit,
        default_limit=DEFAULT_PAGE,
    )
