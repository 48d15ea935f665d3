"""SHELL: riders: who they are, their rides and bests; what is held of them, and erasing it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from api.access.credentials import Scope
from api.access.gate import Eraser, PersonalReader, Reader
from api.contract.answers import best_power_of, rider_of
from api.contract.csv_rows import columns_of
from api.contract.openapi import (
    accepted_responses,
    deletion_responses,
    list_responses,
    responses,
)
from api.contract.paging import Cursor
from api.contract.parameters import (
    DEFAULT_PAGE,
    BestPowersParameters,
    Id,
    Parameters,
    ReasonParameters,
    RiderRidesParameters,
    RidersParameters,
)
from api.contract.problems import (
    NOT_FOUND,
    TOO_MANY_OPEN,
    not_found,
    parameter_problem,
    rider_erased,
)
from api.contract.schemas import (
    Export,
    ExportStatus,
    ListedRider,
    PowerCurve,
    RidePage,
    Rider,
    RiderPage,
)
from api.routes.context import Context, InContext
from api.routes.exports import begun
from api.routes.rides import ride_list
from api.store import queries, readings
from api.store.database import Row
from api.store.deletion import erase_rider, erased_at
from api.store.export import export_rider, note_export, readings_in
from api.store.export_rows import is_large
from api.web.access_log import reading_of
from api.web.asked import query
from api.web.lists import Listing, respond
from deloton.rules.calendar import ONE_DAY, midnight

router = APIRouter(prefix="/v1", tags=["riders"])

RiderId = Annotated[Id, Path(description="The rider's number.", examples=[7001])]


@router.get("/riders", summary="List riders", response_model=RiderPage, responses=list_responses())
async def list_riders(
    request: Request,
    access: Reader,
    context: InContext,
    asked: Annotated[RidersParameters, query(RidersParameters)],
) -> Response:
    """Riders by their numbers, page by page; as CSV with `Accept: text/csv`."""
    if asked.town is not None:
        access.require(Scope.PERSONAL, "The parameter town")
    view = context.view(access)

    async def fetch(after: Cursor[Any] | None, limit: int) -> list[str]:
        return await context.database.told(
            queries.riders_page(asked, view, after=after, limit=limit)
        )

    listing = Listing(
        name="riders",
        columns=columns_of(ListedRider, personal=view.personal),
        place=("rider_id", "rider_id"),
        place_kind=int,
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
    "/riders/{rider_id}",
    summary="Get a rider",
    response_model_exclude_unset=True,
    responses=responses(NOT_FOUND),
)
async def get_rider(
    access: Reader,
    context: InContext,
    rider_id: RiderId,
    _: Annotated[Parameters, query(Parameters)],
) -> Rider:
    """A rider, what all rides come to, and the personal bests."""
    row = await _rider(context, rider_id)
    [totals] = await context.database.rows(queries.rider_totals(rider_id))
    bests = await context.database.rows(queries.bests_of_rider(rider_id))
    return rider_of(row, totals, bests, context.view(access))


@router.get(
    "/riders/{rider_id}/rides",
    summary="List a rider's rides",
    response_model=RidePage,
    responses=list_responses(NOT_FOUND),
)
async def list_rider_rides(
    request: Request,
    access: Reader,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[RiderRidesParameters, query(RiderRidesParameters)],
) -> Response:
    """As `/v1/rides`, of one rider."""
    await _rider(context, rider_id)
    return await ride_list(request, context, access, asked, {"rider_id": rider_id})


@router.get(
    "/riders/{rider_id}/best-powers",
    summary="Get a rider's power curve",
    response_model_exclude_unset=True,
    responses=responses(NOT_FOUND),
)
async def get_best_powers(
    _: Reader,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[BestPowersParameters, query(BestPowersParameters)],
) -> PowerCurve:
    """The rider's best mean powers over 5 s, 20 s, 60 s and 5 min; of the last 90 days or a span.

    A span may hold 366 days. Rides are taken by their start.
    """
    row = await _rider(context, rider_id)
    try:
        from_at, to_at = asked.span(midnight(context.today + ONE_DAY, context.zone))
    except ValueError as error:
        raise parameter_problem("from_at", str(error)) from None
    best = await context.database.rows(readings.best_powers_of_rider(rider_id, from_at, to_at))
    return PowerCurve(
        rider_id=rider_id,
        from_at=from_at,
        to_at=to_at,
        best_powers=[best_power_of(each, row["weight_kg"]) for each in best],
    )


@router.get(
    "/riders/{rider_id}/export",
    summary="Export all that is held about a rider",
    response_model=Export,
    responses={
        **responses(NOT_FOUND, TOO_MANY_OPEN, etag=False),
        202: {**accepted_responses()[202], "model": ExportStatus},
    },
)
async def export(
    request: Request,
    access: PersonalReader,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[ReasonParameters, query(ReasonParameters)],
) -> Response:
    """Everything held about a person, as one JSON: for requests of access under the GDPR.

    Of a rider with many rides it is made in the background: see the answer 202, and
    `POST /v1/riders/{rider_id}/exports`. It is noted who asked for it, when and why.
    """
    if context.exports is not None and await is_large(context.database, rider_id):
        return await begun(request, context, access.key_id, rider_id, asked.reason)
    if not await note_export(context.database, access.key_id, rider_id, asked.reason):
        raise not_found("rider", rider_id)
    name = f"rider-{rider_id}.json"
    return context.lanes.downloads.download(
        access.key_id,
        _counted(request, export_rider(context.database, rider_id)),
        "application/json",
        {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}"',
        },
    )


@router.delete(
    "/riders/{rider_id}",
    summary="Erase a rider",
    status_code=204,
    responses=deletion_responses(),
)
async def erase(
    access: Eraser,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[ReasonParameters, query(ReasonParameters)],
) -> None:
    """Erase a person: rider, rides, readings, alerts, limits and exports at once, for good.

    Lines of the erased rides are stored nowhere; of a ride that was not stored by then, they give
    a ride without a rider. It is noted who did it, when and why. Who rides again afterwards is a
    rider again.
    """
    if not await erase_rider(context.database, access.key_id, rider_id, asked.reason):
        before = await erased_at(context.database, rider_id)
        raise rider_erased(rider_id, before) if before else not_found("rider", rider_id)
    if context.exports is not None:
        context.exports.wake()


async def _counted(request: Request, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The pieces of an export, whose readings cost the key what their pages would."""
    async for piece in pieces:
        reading_of(request).note((), readings_in(piece))
        yield piece


async def _rider(context: Context, rider_id: int) -> Row:
    row = await context.database.row(queries.rider_by_id(rider_id))
    if row is None:
        raise not_found("rider", rider_id)
    return row
