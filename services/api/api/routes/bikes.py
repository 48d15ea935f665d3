"""SHELL: bikes."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response

from api.access.gate import Reader
from api.contract.csv_rows import columns_of
from api.contract.openapi import list_responses
from api.contract.paging import Cursor
from api.contract.parameters import DEFAULT_PAGE, BikesParameters
from api.contract.schemas import Bike, BikePage
from api.routes.context import InContext
from api.store import queries
from api.web.asked import query
from api.web.lists import Listing, respond

router = APIRouter(prefix="/v1", tags=["bikes"])

# As they are stored: PostgreSQL knows no text with a zero byte.
Serial = Annotated[str, msgspec.Meta(pattern=r"^[^\x00]+$")]


@router.get("/bikes", summary="List bikes", response_model=BikePage, responses=list_responses())
async def list_bikes(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[BikesParameters, query(BikesParameters)],
) -> Response:
    """Every bike that was ever ridden, by their serials; as CSV with `Accept: text/csv`."""

    async def fetch(after: Cursor[Any] | None, limit: int) -> list[str]:
        return await context.database.told(queries.bikes_page(asked, after=after, limit=limit))

    listing = Listing(
        name="bikes",
        columns=columns_of(Bike, personal=access.personal),
        place=("bike_serial", None),
        place_kind=Serial,
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
