"""SHELL: riders: who they are, their rides and bests; what is held of them, and erasing it."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy import RowMapping
from starlette.responses import StreamingResponse

from api import queries
from api.access import Eraser, PersonalReader, Reader
from api.answers import best_power_of, rider_of
from api.context import Context, InContext
from api.deletion import erase_rider
from api.documents import deletion_responses, list_responses, responses
from api.export import export_rider, note_export
from api.parameters import (
    BestPowersParameters,
    DeletionParameters,
    Id,
    Parameters,
    RiderRidesParameters,
)
from api.problems import NOT_ACCEPTABLE, NOT_FOUND, not_found, parameter_problem
from api.routes.rides import ride_list
from api.schemas import BestPowers, Export, RidePage, Rider
from deloton.ride_figures import best_mean_powers, personal_bests
from deloton.tables import rides

router = APIRouter(prefix="/v1", tags=["riders"])

RiderId = Annotated[Id, Path(description="The rider's number.", examples=[7001])]


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
    _: Annotated[Parameters, Query()],
) -> Rider:
    """A rider, what all rides come to, and the personal bests."""
    row = await _rider(context, rider_id)
    [totals] = await context.database.rows(queries.rider_totals(rider_id))
    bests = await context.database.rows(personal_bests(rider_id))
    return rider_of(row, totals, bests, context.view(access))


@router.get(
    "/riders/{rider_id}/rides",
    summary="List a rider's rides",
    response_model=RidePage,
    responses=list_responses(NOT_FOUND, NOT_ACCEPTABLE),
)
async def list_rider_rides(
    request: Request,
    access: Reader,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[RiderRidesParameters, Query()],
) -> Response:
    """As `/v1/rides`, of one rider."""
    await _rider(context, rider_id)
    return await ride_list(request, context, asked, context.view(access), rider_id)


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
    asked: Annotated[BestPowersParameters, Query()],
) -> BestPowers:
    """The rider's best mean powers over 5 s, 20 s, 60 s and 5 min; of the last 90 days or a span.

    A span may hold 366 days. Rides are taken by their start.
    """
    row = await _rider(context, rider_id)
    try:
        from_at, to_at = asked.span(context.now())
    except ValueError as error:
        raise parameter_problem("from", str(error)) from None
    own = rides.c.rider_id == rider_id
    which = own & (rides.c.started_at >= from_at) & (rides.c.started_at < to_at)
    best = await context.database.rows(best_mean_powers(which))
    return BestPowers(
        rider_id=rider_id,
        from_at=from_at,
        to_at=to_at,
        best_powers=[best_power_of(each, row["weight_kg"]) for each in best],
    )


@router.get(
    "/riders/{rider_id}/export",
    summary="Export all that is held about a rider",
    response_model=Export,
    responses=responses(NOT_FOUND, etag=False),
)
async def export(
    access: PersonalReader,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[DeletionParameters, Query()],
) -> Response:
    """Everything held about a person, as one JSON: for requests of access under the GDPR.

    It is noted who asked for it, when and why.
    """
    if not await note_export(context.database, access.key_id, rider_id, asked.reason):
        raise not_found("rider", rider_id)
    pieces = export_rider(context.database, rider_id)
    # What fails before the first piece can still be told as a problem.
    first = await anext(pieces)
    name = f"rider-{rider_id}.json"
    return StreamingResponse(
        _resumed(first, pieces),
        media_type="application/json",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}"',
        },
    )


async def _resumed(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece


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
    asked: Annotated[DeletionParameters, Query()],
) -> None:
    """Erase a person: rider, rides, readings, alerts and limits at once, for good.

    Lines from before the erasure that are read again give a ride without a rider. It is noted
    who did it, when and why. Who rides again afterwards is a rider again.
    """
    if not await erase_rider(context.database, access.key_id, rider_id, asked.reason):
        raise not_found("rider", rider_id)


async def _rider(context: Context, rider_id: int) -> RowMapping:
    row = await context.database.row(queries.rider_by_id(rider_id))
    if row is None:
        raise not_found("rider", rider_id)
    return row
