"""SHELL: rides and their readings."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import RowMapping

from api import queries
from api.access import Eraser, Reader
from api.answers import View, details_of, reading_of, ride_of
from api.context import Context, InContext
from api.credentials import Scope
from api.deletion import delete_ride
from api.documents import deletion_responses, list_responses, responses
from api.lists import Listing, respond
from api.paging import AwareTime, Cursor
from api.parameters import (
    DEFAULT_PAGE,
    DEFAULT_READINGS_PAGE,
    DeletionParameters,
    Id,
    Parameters,
    ReadingsParameters,
    RiderRidesParameters,
    RideSort,
    RidesParameters,
)
from api.problems import NOT_ACCEPTABLE, NOT_FOUND, not_found
from api.schemas import Reading, ReadingPage, Ride, RideDetails, RidePage
from deloton.ride_figures import best_mean_powers, heart_rate_seconds
from deloton.tables import rides

router = APIRouter(prefix="/v1", tags=["rides"])

RideId = Annotated[Id, Path(description="The ride's number.", examples=[4711])]


@router.get("/rides", summary="List rides", response_model=RidePage, responses=list_responses())
async def list_rides(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[RidesParameters, Query()],
) -> Response:
    """Rides, the newest first, page by page; as CSV with `Accept: text/csv`.

    A page begins where the one before ended, so that rides that come meanwhile shift nothing.
    """
    if asked.city is not None:
        access.require(Scope.PERSONAL, "The parameter city")
    return await ride_list(request, context, asked, context.view(access))


async def ride_list(
    request: Request,
    context: Context,
    asked: RiderRidesParameters,
    view: View,
    rider_id: int | None = None,
) -> Response:
    """A list of rides; of one rider where `rider_id` is given."""

    async def fetch(after: Cursor[Any] | None, limit: int) -> Sequence[RowMapping]:
        query = queries.rides_page(
            asked,
            asked.bounds(context.time_zone),
            view.today,
            rider_id=rider_id,
            after=after,
            limit=limit,
        )
        return await context.database.rows(query)

    listing = Listing(
        name="rides",
        page=RidePage,
        model=Ride,
        personal=view.personal,
        place_kind=AwareTime if asked.sort in {RideSort.NEWEST, RideSort.OLDEST} else float,
        fetch=fetch,
        answer=lambda row: ride_of(row, view),
        place=lambda row: (row[asked.sort.column], row["ride_id"]),
        others={},
    )
    return await respond(
        request, listing, asked.given(), limit=asked.limit, default_limit=DEFAULT_PAGE
    )


@router.get(
    "/rides/{ride_id}",
    summary="Get a ride",
    response_model_exclude_unset=True,
    responses=responses(NOT_FOUND),
)
async def get_ride(
    access: Reader,
    context: InContext,
    ride_id: RideId,
    _: Annotated[Parameters, Query()],
) -> RideDetails:
    """A ride with its totals, the time in each heart-rate zone, and its best powers."""
    row = await _ride(context, ride_id)
    started_at = queries.within_time(row["started_at"])
    heart_rates = await context.database.rows(heart_rate_seconds(ride_id, started_at))
    best_powers = await context.database.rows(best_mean_powers(rides.c.ride_id == ride_id))
    return details_of(row, context.view(access), heart_rates, best_powers)


@router.get(
    "/rides/{ride_id}/readings",
    summary="List a ride's readings",
    response_model=ReadingPage,
    responses=list_responses(NOT_FOUND, NOT_ACCEPTABLE),
)
async def list_readings(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    asked: Annotated[ReadingsParameters, Query()],
) -> Response:
    """What was measured each second, oldest first; as CSV with `Accept: text/csv`."""
    row = await _ride(context, ride_id)

    async def fetch(after: Cursor[Any] | None, limit: int) -> Sequence[RowMapping]:
        query = queries.readings_page(
            ride_id,
            row["started_at"],
            asked.resolution_s,
            after=after.value if after else None,
            limit=limit,
        )
        return await context.database.rows(query)

    listing = Listing(
        name="readings",
        page=ReadingPage,
        model=Reading,
        personal=access.personal,
        place_kind=AwareTime,
        fetch=fetch,
        answer=reading_of,
        place=lambda reading: (reading["at"], ride_id),
        others={"ride_id": ride_id, "resolution_s": asked.resolution_s},
    )
    return await respond(
        request, listing, asked.given(), limit=asked.limit, default_limit=DEFAULT_READINGS_PAGE
    )


@router.delete(
    "/rides/{ride_id}",
    summary="Delete a ride",
    status_code=204,
    responses=deletion_responses(),
)
async def remove_ride(
    access: Eraser,
    context: InContext,
    ride_id: RideId,
    asked: Annotated[DeletionParameters, Query()],
) -> None:
    """Delete a ride with its readings and alerts, for good. It is noted who did it, when and why.

    Lines of the ride that are read from the bikes' feed again would bring it back.
    """
    if not await delete_ride(context.database, access.key_id, ride_id, asked.reason):
        raise not_found("ride", ride_id)


async def _ride(context: Context, ride_id: int) -> RowMapping:
    row = await context.database.row(queries.ride_by_id(ride_id))
    if row is None:
        raise not_found("ride", ride_id)
    return row
