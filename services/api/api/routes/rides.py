"""SHELL: rides and their readings."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from api.access.credentials import Scope
from api.access.gate import Access, Eraser, Reader
from api.contract.answers import View, details_of
from api.contract.csv_rows import MEDIA_TYPE as CSV
from api.contract.csv_rows import columns_of
from api.contract.negotiation import preferred
from api.contract.openapi import (
    deletion_responses,
    file_responses,
    list_responses,
    responses,
)
from api.contract.paging import AwareTime, Cursor
from api.contract.parameters import (
    DEFAULT_PAGE,
    DEFAULT_READINGS_PAGE,
    LARGEST_READINGS_PAGE,
    Id,
    Parameters,
    ReadingsParameters,
    ReasonParameters,
    RiderRidesParameters,
    RideSort,
    RidesParameters,
    SeriesParameters,
)
from api.contract.problems import (
    NOT_ACCEPTABLE,
    NOT_FOUND,
    RIDE_GOES_ON,
    TOO_MANY_OPEN,
    not_found,
)
from api.contract.ride_file import FIT, TCX
from api.contract.schemas import ReadingPage, Ride, RideDetails, RidePage, SeriesPage
from api.routes.context import Context, InContext
from api.store import queries, readings
from api.store.database import Row
from api.store.deletion import delete_ride
from api.store.queries import RiderFilter
from api.web.access_log import reading_of
from api.web.asked import query
from api.web.lists import JSON, Listing, Series, respond, whole_as_csv
from api.web.ride_files import attached, ride_file
from deloton.rules.calendar import day_of

router = APIRouter(prefix="/v1", tags=["rides"])


class _Undotted(StringConvertor):
    """A part of an address without an ending, which is that of a file."""

    regex = "[^/.]+"


register_url_convertor("undotted", _Undotted())

_ALL_READINGS = ReadingsParameters.model_validate({})

RideId = Annotated[Id, Path(description="The ride's number.", examples=[4711])]


@router.get("/rides", summary="List rides", response_model=RidePage, responses=list_responses())
async def list_rides(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[RidesParameters, query(RidesParameters)],
) -> Response:
    """Rides, the newest first, page by page; as CSV with `Accept: text/csv`.

    A page begins where the one before ended, so that rides that come meanwhile shift nothing.
    """
    if asked.town is not None:
        access.require(Scope.PERSONAL, "The parameter town")
    whose = await _whose(context, asked, context.view(access))
    return await ride_list(request, context, access, asked, whose)


async def _whose(context: Context, asked: RidesParameters, view: View) -> RiderFilter:
    """How the rides are picked by what is asked of their riders."""
    asked_of_riders = queries.rider_filter(asked, view.today)
    if not asked_of_riders:
        return {}
    found = await context.database.rows(queries.few_riders(asked_of_riders))
    return queries.rides_of(asked_of_riders, [row["rider_id"] for row in found])


async def ride_list(
    request: Request,
    context: Context,
    access: Access,
    asked: RiderRidesParameters,
    whose: RiderFilter,
) -> Response:
    """A list of rides; `whose`: see `queries.rides_page`."""
    view = context.view(access)
    bounds = asked.bounds(context.zone)

    async def fetch(after: Cursor[Any] | None, limit: int) -> list[str]:
        return await context.database.told(
            queries.rides_page(asked, bounds, view, of=whose, after=after, limit=limit)
        )

    listing = Listing(
        name="rides",
        columns=columns_of(Ride, personal=view.personal),
        place=(asked.sort.column, "ride_id"),
        place_kind=AwareTime if asked.sort in {RideSort.NEWEST, RideSort.OLDEST} else float,
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


@router.get(
    "/rides/{ride_id}.fit",
    summary="Get a ride as a FIT file",
    response_class=Response,
    responses=file_responses(FIT),
)
async def get_ride_as_fit(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    _: Annotated[Parameters, query(Parameters)],
) -> Response:
    """A ride that has ended, as Garmin's and other programs take it in: indoors, no position.

    FIT tells whole seconds and watts; `.csv` tells the readings as they are.
    """
    return _file(request, context, access, await _ride(request, context, ride_id), FIT)


@router.get(
    "/rides/{ride_id}.tcx",
    summary="Get a ride as a TCX file",
    response_class=Response,
    responses=file_responses(TCX),
)
async def get_ride_as_tcx(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    _: Annotated[Parameters, query(Parameters)],
) -> Response:
    """A ride that has ended, as Garmin's and other programs take it in: indoors, no position.

    TCX tells whole watts; distance and calories, which it demands and no bike measures, are 0.
    """
    return _file(request, context, access, await _ride(request, context, ride_id), TCX)


@router.get(
    "/rides/{ride_id}.csv",
    summary="Get a ride's readings as a CSV file",
    response_class=Response,
    responses=responses(NOT_FOUND, TOO_MANY_OPEN, etag=False, files=[CSV]),
)
async def get_ride_as_csv(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    _: Annotated[Parameters, query(Parameters)],
) -> Response:
    """All readings so far, as `/v1/rides/{ride_id}/readings` tells them."""
    return _file(request, context, access, await _ride(request, context, ride_id), CSV)


def _file(
    request: Request, context: Context, access: Access, row: Row, media_type: str
) -> Response:
    listing = _readings(Listing, "readings", context, row, _ALL_READINGS)
    reader = context.reader(access)
    if media_type != CSV:
        return ride_file(request, row, listing, reader, media_type)
    return whole_as_csv(request, listing, reader, headers=attached(row["ride_id"], "csv"))


@router.get(
    "/rides/{ride_id:undotted}",
    summary="Get a ride",
    response_model=RideDetails,
    response_model_exclude_unset=True,
    responses=responses(
        *(NOT_FOUND, NOT_ACCEPTABLE, RIDE_GOES_ON, TOO_MANY_OPEN), files=[CSV, FIT, TCX]
    ),
)
async def get_ride(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    _: Annotated[Parameters, query(Parameters)],
) -> RideDetails | Response:
    """A ride with its totals, the time in each heart-rate zone, and its best powers.

    With `Accept: application/vnd.ant.fit`, `application/vnd.garmin.tcx+xml` or `text/csv` it comes
    as a file, as from the addresses that end in `.fit`, `.tcx`, `.csv`.
    """
    media_type = preferred(request.headers.get("accept"), (JSON, FIT, TCX, CSV))
    row = await _ride(request, context, ride_id)
    if media_type != JSON:
        return _file(request, context, access, row, media_type)
    started_at = readings.within_time(row["started_at"])
    heart_rates = await context.database.rows_of_ride(readings.heart_rates_of(ride_id, started_at))
    best_powers = await context.database.rows_of_ride(
        readings.best_powers_of_ride(ride_id, started_at)
    )
    began_on = day_of(started_at, context.zone)
    return details_of(row, context.view(access), began_on, heart_rates, best_powers)


@router.get(
    "/rides/{ride_id}/readings",
    summary="List a ride's readings",
    response_model=ReadingPage,
    responses=list_responses(NOT_FOUND),
)
async def list_readings(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    asked: Annotated[ReadingsParameters, query(ReadingsParameters)],
) -> Response:
    """What was measured each second, oldest first; as CSV with `Accept: text/csv`."""
    row = await _ride(request, context, ride_id)
    return await respond(
        request,
        _readings(Listing, "readings", context, row, asked),
        context.reader(access),
        asked.given(),
        limit=asked.limit,
        default_limit=DEFAULT_READINGS_PAGE,
    )


@router.get(
    "/rides/{ride_id}/series",
    summary="List a ride's readings as arrays",
    response_model=SeriesPage,
    responses=list_responses(NOT_FOUND),
)
async def list_series(
    request: Request,
    access: Reader,
    context: InContext,
    ride_id: RideId,
    asked: Annotated[SeriesParameters, query(SeriesParameters)],
) -> Response:
    """What was measured, an array of each kind: all of one length, a place is a moment.

    For charts: `?resolution=10s&columns=power_watts,heart_rate_bpm`. Where nothing was measured
    there is no place, so `at` may leap.
    """
    row = await _ride(request, context, ride_id)
    return await respond(
        request,
        _readings(Series, "series", context, row, asked),
        context.reader(access),
        asked.given(),
        limit=asked.limit,
        default_limit=LARGEST_READINGS_PAGE,
    )


def _readings(
    kind: type[Listing], name: str, context: Context, row: Row, asked: ReadingsParameters
) -> Listing:
    """The list of a ride's readings, told as its kind tells them."""

    async def fetch(after: Cursor[Any] | None, limit: int) -> list[str]:
        asked_of_ride = readings.readings_page(
            row["ride_id"],
            row["started_at"],
            asked,
            after=after.value if after else None,
            limit=limit,
        )
        return await context.database.told_of_ride(asked_of_ride)

    return kind(
        name=name,
        columns=["at", *asked.told],
        place=("at", None),
        place_kind=AwareTime,
        fetch=fetch,
        others={"ride_id": row["ride_id"], "resolution_s": asked.step_s},
    )


@router.delete(
    "/rides/{ride_id:undotted}",
    summary="Delete a ride",
    status_code=204,
    responses=deletion_responses(),
)
async def remove_ride(
    access: Eraser,
    context: InContext,
    ride_id: RideId,
    asked: Annotated[ReasonParameters, query(ReasonParameters)],
) -> None:
    """Delete a ride with its readings and alerts, for good. It is noted who did it, when and why.

    Lines of the ride that still come, or come again, are stored nowhere.
    """
    if not await delete_ride(context.database, access.key_id, ride_id, asked.reason):
        raise not_found("ride", ride_id)


async def _ride(request: Request, context: Context, ride_id: int) -> Row:
    row = await context.database.row(queries.ride_by_id(ride_id))
    if row is None:
        raise not_found("ride", ride_id)
    if row["rider_id"] is not None:
        reading_of(request).note([row["rider_id"]])
    return row
