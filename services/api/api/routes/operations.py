"""SHELL: whether the service is well, what it counts, and what its problems mean."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import literal, select

from api.contract.asyncapi import asyncapi_document, asyncapi_json
from api.contract.asyncapi_page import HEADERS as ASYNCAPI_HEADERS
from api.contract.asyncapi_page import render_page
from api.contract.openapi import problems
from api.contract.problems import DATABASE_AWAY, KINDS, NO_SUCH_PATH, TOO_SLOW, Problem
from api.contract.schemas import Health, ProblemKind
from api.routes.context import InContext
from api.store.statements import question

router = APIRouter(tags=["operations"])

_ALIVE = question(select(literal(1)))


@router.get("/health/live", summary="Ask whether the process is alive")
async def get_liveness() -> Health:
    """The process answers; the database is not asked."""
    return Health(healthy=True)


@router.get("/health", include_in_schema=False)
@router.get(
    "/health/ready",
    summary="Ask whether requests can be answered",
    responses=problems(DATABASE_AWAY, TOO_SLOW),
)
async def get_readiness(context: InContext) -> Health:
    """The database answers."""
    await context.database.rows(_ALIVE)
    return Health(healthy=True)


@router.get("/asyncapi", include_in_schema=False)
async def get_asyncapi_page() -> Response:
    """What the Kafka topics hold, for people."""
    page = render_page(asyncapi_document())
    return Response(page, media_type="text/html", headers=ASYNCAPI_HEADERS)


@router.get("/asyncapi.json", include_in_schema=False)
async def get_asyncapi_document() -> Response:
    """The same for programs."""
    return Response(asyncapi_json(), media_type="application/json")


@router.get(
    "/metrics",
    summary="Get metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get(
    "/problems/{slug}",
    summary="Get what a kind of problem means",
    responses=problems(NO_SUCH_PATH),
)
async def get_problem_kind(
    slug: Annotated[
        str,
        Path(
            description="The end of the problem's `type`.",
            json_schema_extra={
                "enum": [kind.slug for kind in KINDS],
                "x-enum-varnames": [kind.constant for kind in KINDS],
            },
        ),
    ],
) -> ProblemKind:
    """Where the `type` of a problem leads."""
    for kind in KINDS:
        if kind.slug == slug:
            return ProblemKind(
                type=kind.type, status=kind.status, title=kind.title, meaning=kind.meaning
            )
    raise Problem(NO_SUCH_PATH, "No problem is called this.")
