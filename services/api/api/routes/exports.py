"""SHELL: exports that are made in the background: asked for, told of, opened."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.responses import FileResponse

from api.access.gate import PersonalReader
from api.contract.openapi import accepted_responses, responses
from api.contract.parameters import Id, Parameters, ReasonParameters
from api.contract.problems import (
    NO_EXPORT_STORE,
    NOT_FOUND,
    TOO_MANY_OPEN,
    Problem,
    not_found,
)
from api.contract.schemas import ExportState, ExportStatus
from api.routes.context import Context, InContext
from api.routes.export_work import ExportWork
from api.store.database import Row
from api.store.export_files import FolderFiles, Stored, is_signed
from api.store.export_rows import export_of_key, ready_export, request_export
from api.web.access_log import reading_of
from api.web.asked import query

router = APIRouter(tags=["riders"])

ExportId = Annotated[Id, Path(description="The export's number.", examples=[17])]
RiderId = Annotated[Id, Path(description="The rider's number.", examples=[7001])]


@router.post(
    "/v1/riders/{rider_id}/exports",
    summary="Have a rider's export made",
    status_code=202,
    response_model=ExportStatus,
    responses=accepted_responses(NOT_FOUND, TOO_MANY_OPEN, NO_EXPORT_STORE),
)
async def begin_export(
    request: Request,
    access: PersonalReader,
    context: InContext,
    rider_id: RiderId,
    asked: Annotated[ReasonParameters, query(ReasonParameters)],
) -> Response:
    """Everything held about a person, as a file that is made in the background.

    `Location` is where to ask how far it is. The file is kept for a day, and goes with its rider.
    Who asks again meanwhile gets the same export. It is noted who asked for it, when and why.
    """
    return await begun(request, context, access.key_id, rider_id, asked.reason)


async def begun(
    request: Request, context: Context, key_id: str, rider_id: int, reason: str | None
) -> Response:
    """Begin an export, and answer where it is told of."""
    work = _work_of(context)
    row = await request_export(context.database, key_id, rider_id, reason)
    if row is None:
        raise not_found("rider", rider_id)
    work.wake()
    reading_of(request).note([rider_id])
    status = await _status(work, row)
    return Response(
        status.model_dump_json(),
        status_code=202,
        media_type="application/json",
        headers={"Location": f"/v1/exports/{row['export_id']}", "Cache-Control": "no-store"},
    )


@router.get(
    "/v1/exports/{export_id}",
    summary="Get how far an export is",
    responses=responses(NOT_FOUND, NO_EXPORT_STORE, etag=False),
)
async def get_export_status(
    request: Request,
    response: Response,
    access: PersonalReader,
    context: InContext,
    export_id: ExportId,
    _: Annotated[Parameters, query(Parameters)],
) -> ExportStatus:
    """How far an export is that this key has asked for; once ready, an address that opens it."""
    work = _work_of(context)
    row = await export_of_key(context.database, access.key_id, export_id)
    if row is None:
        raise not_found("export", export_id)
    reading_of(request).note([row["rider_id"]])
    response.headers["Cache-Control"] = "no-store"
    return await _status(work, row)


@router.get("/downloads/{export_id}", include_in_schema=False)
async def open_export(context: InContext, export_id: Id, until: int, signature: str) -> Response:
    """The file of an export that lies in a folder; its address is all that opens it."""
    files = context.exports.files if context.exports else None
    row = await ready_export(context.database, export_id)
    if (
        row is None
        or not isinstance(files, FolderFiles)
        or not is_signed(_stored(row), until, signature)
    ):
        raise Problem(NOT_FOUND, "There is no such file, or its address has expired.")
    name = _stored(row).name
    return FileResponse(
        files.path(name),
        media_type="application/gzip",
        filename=name,
        headers={"Cache-Control": "no-store"},
    )


def _work_of(context: Context) -> ExportWork:
    if context.exports is None:
        raise Problem(NO_EXPORT_STORE, "Take /v1/riders/{rider_id}/export.")
    return context.exports


async def _status(work: ExportWork, row: Row) -> ExportStatus:
    url = None
    if row["state"] == ExportState.READY:
        url = await asyncio.to_thread(work.files.address, _stored(row))
    return ExportStatus(
        **{field: row[field] for field in ExportStatus.model_fields if field != "url"}, url=url
    )


def _stored(row: Row) -> Stored:
    return Stored(row["export_id"], row["attempts"], row["secret"])
