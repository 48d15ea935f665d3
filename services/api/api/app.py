"""SHELL: the FastAPI application: routes, what surrounds them, and how its errors are told."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match
from starlette_compress import CompressMiddleware, add_compress_type

from api.access import Gate, RateLimiter
from api.context import Context, today_in
from api.database import Database, open_engine
from api.documents import kinds_as_table, tidy
from api.key_store import KeyStore
from api.live import LiveFeed
from api.metrics import LISTENERS, Measured
from api.problems import (
    INTERNAL,
    INVALID_PARAMETER,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NO_SUCH_PATH,
    UNKNOWN_PARAMETER,
    ParameterError,
    Problem,
)
from api.response_headers import AnswerHeaders
from api.routes import alerts, figures, live, operations, riders, rides
from api.settings import ApiSettings
from deloton.ride_figures import rides_in_progress
from deloton.web_headers import SecurityHeaders

_ABOUT = """
Riders, rides and readings of Deloton's connected bikes.

**Keys.** Every address under `/v1` needs `Authorization: Bearer deloton_…`. A key has scopes:
`read` opens every GET, `personal` adds names, addresses, emails and dates of birth, `erase` opens
DELETE. Fields that `personal` opens are left out without it, never null.

**Words.** A *rider* takes a *ride* on a *bike*; a ride is a series of *readings*, one a second.
Units end the names of fields; null is what was not measured or is not known. Times are ISO 8601
in UTC; days and periods are those of the company's time zone, and a ride belongs to the day on
which it started.

**Lists** come in pages: follow `next` (or the `Link` header) until it is null. With
`Accept: text/csv` a list comes whole, as CSV. Answers carry an `ETag`: send it as
`If-None-Match`, and what has not changed costs a 304. Whatever is larger than 500 bytes comes
compressed if `Accept-Encoding` allows it (zstd, br, gzip).

**Limits.** Each key may make so many requests a minute; `RateLimit-Limit`, `RateLimit-Remaining`
and `RateLimit-Reset` (seconds) come with every answer, `Retry-After` with a 429.

**Problems** are RFC 9457 problem details, `application/problem+json`:

"""
_RESOURCES = (rides, riders, figures, live, alerts, operations)
_ALWAYS_GET = ("/", "/docs", "/openapi.json")
_TAGS = [
    {"name": "rides", "description": "Rides and their readings."},
    {"name": "riders", "description": "Riders: figures, export and erasure."},
    {"name": "figures", "description": "Days and leaders."},
    {"name": "live", "description": "Rides in progress."},
    {"name": "alerts", "description": "Abnormal heart rates."},
    {"name": "operations", "description": "Health and metrics; these need no key."},
]


def create_app(settings: ApiSettings) -> FastAPI:
    """The application; it connects to the database when first asked."""
    add_compress_type(MEDIA_TYPE)
    app = FastAPIOffline(
        title="Deloton API",
        version="1",
        description=_ABOUT + kinds_as_table(),
        openapi_tags=_TAGS,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=[
            Middleware(Measured),
            Middleware(CompressMiddleware),
            Middleware(AnswerHeaders),
            Middleware(SecurityHeaders),
        ],
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
    )
    _put_together(app, settings)
    for module in _RESOURCES:
        app.include_router(module.router)
    app.add_api_route("/", _to_the_documents, include_in_schema=False)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    _document(app)
    return app


def _put_together(app: FastAPI, settings: ApiSettings) -> None:
    engine = open_engine(
        settings.database_url.get_secret_value(),
        connections=settings.api_database_connections,
        statement_timeout_s=settings.statement_timeout_s,
    )
    database = Database(engine)

    def now() -> datetime:
        return datetime.now(UTC)

    feed = LiveFeed(
        lambda: database.rows(rides_in_progress()),
        lambda: today_in(settings.time_zone, now()),
    )
    LISTENERS.set_function(lambda: feed.listeners)
    app.state.context = Context(database, feed, settings.time_zone, now)
    app.state.gate = Gate(KeyStore(database), RateLimiter())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.context.database.close()


def _document(app: FastAPI) -> None:
    """Make the OpenAPI document say what FastAPI does not know."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = tidy(plain())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _to_the_documents() -> Response:
    return RedirectResponse("/docs")


def _answer(problem: Problem) -> Response:
    return Response(
        problem.body(),
        status_code=problem.kind.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  registered for it alone
    return _answer(error)


async def _on_bad_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for it alone
    told = [_parameter_error(each) for each in error.errors()]
    unknown = all(each["type"] == "extra_forbidden" for each in error.errors())
    detail = "; ".join(f"{each.parameter or 'request'}: {each.message}" for each in told)
    kind = UNKNOWN_PARAMETER if unknown else INVALID_PARAMETER
    return _answer(Problem(kind, detail, errors=told))


def _parameter_error(error: dict[str, Any]) -> ParameterError:
    """What pydantic says of one parameter, or of several together as `name: what is wrong`."""
    place, *names = (str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return ParameterError(names[0], place, "is not known here")
    if names:
        return ParameterError(names[0], place, message)
    name, _, message = message.partition(": ")
    return ParameterError(name, place, message)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for it alone
    if error.status_code == METHOD_NOT_ALLOWED.status:
        allowed = {"Allow": ", ".join(_methods_of(request))}
        detail = f"This address takes {allowed['Allow']}."
        return _answer(Problem(METHOD_NOT_ALLOWED, detail, headers=allowed))
    if error.status_code == NO_SUCH_PATH.status:
        return _answer(Problem(NO_SUCH_PATH, "There is nothing at this address."))
    raise error


def _methods_of(request: Request) -> list[str]:
    """The methods of all routes of an address; Starlette names those of the first alone."""
    found = {"GET"} if request.url.path in _ALWAYS_GET else set[str]()
    for module in _RESOURCES:
        for route in module.router.routes:
            match, _ = route.matches(request.scope)
            if match is not Match.NONE:
                found |= getattr(route, "methods", set())
    return sorted(found)


async def _on_anything_else(_: Request, __: Exception) -> Response:
    # Starlette raises it again afterwards, and the server logs it.
    return _answer(Problem(INTERNAL, "The request could not be answered."))


_HANDLERS = {
    Problem: _on_problem,
    RequestValidationError: _on_bad_parameters,
    HTTPException: _on_http_error,
    Exception: _on_anything_else,
}
