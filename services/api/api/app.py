"""SHELL: the FastAPI application: routes, what surrounds them, and how its errors are told."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Match
from starlette_compress import CompressMiddleware, add_compress_type

from api.access.gate import Admits, Gate, LinkLimiter, RateLimiter, share_limits
from api.access.key_requests import KeyRequests
from api.access.key_store import KeyStore
from api.contract.openapi import Takes, kinds_as_table, tidy
from api.contract.problems import (
    INTERNAL,
    INVALID_PARAMETER,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NO_SUCH_PATH,
    UNKNOWN_PARAMETER,
    ParameterError,
    Problem,
)
from api.contract.ride_file import TCX
from api.routes import (
    alert_wishes,
    alerts,
    bikes,
    changes,
    exports,
    figures,
    live,
    operations,
    riders,
    rides,
    webhooks,
)
from api.routes.context import Context, Lanes
from api.routes.export_work import ExportWork
from api.routes.live_rides import LiveRides
from api.settings import ApiSettings
from api.store.database import Database
from api.store.export_files import open_files
from api.store.sandbox import SANDBOX_ROLE
from api.web.access_log import Accounted
from api.web.asked import Asked
from api.web.heads import HeadLikeGet
from api.web.live import LiveFeeds, LivePages
from api.web.metrics import LISTENERS, Measured, Traffic
from api.web.response_headers import AnswerHeaders
from api.web.sent import Sent
from deloton.running.alert_links import AlertLinks
from deloton.running.logs import get_logger
from deloton.running.web_headers import SecurityHeaders

_log = get_logger(__name__)

_ABOUT = """
Riders, rides and readings of Deloton's connected bikes.

**Keys.** Every address under `/v1` needs `Authorization: Bearer deloton_…`. A key has scopes:
`read` opens every GET but the export; `personal` adds names, addresses, emails and dates of birth,
and with `read` opens the export; `erase` opens DELETE of rides and riders; `webhooks`, with `read`,
opens webhooks. Fields that `personal` opens are left out
without it, never null.

**Words.** A *rider* takes a *ride* on a *bike*; a ride is a series of *readings*, one a second.
Units end the names of fields; null is what was not measured or is not known. Times are ISO 8601
in UTC; days and periods are those of the company's time zone, and a ride belongs to the day on
which it started. `age_years` and the filters `min_age` and `max_age` mean a rider's age today; a
ride's `expected_maximum_bpm` and zones are those of the age on the day of the ride.

**Lists** come in pages: follow `next` (or the `Link` header) until it is null. With
`Accept: text/csv` a list comes whole, as CSV. Answers carry an `ETag`: send it as
`If-None-Match`, and what has not changed costs a 304. Whatever is larger than 500 bytes comes
compressed if `Accept-Encoding` allows it (zstd, br, gzip).

**Limits.** Each key may make so many requests a minute; `RateLimit-Limit`, `RateLimit-Remaining`
and `RateLimit-Reset` (seconds) come with every answer to a valid key, `Retry-After` with a 429.
An answer of more than 500 rows counts as the pages of 500 that it holds.

**Requests** have an id: send one as `X-Request-Id`, or take ours from the answer; it finds the
request in our logs.

**Kafka.** What the topics hold stands at [/asyncapi](/asyncapi).

**Problems** are RFC 9457 problem details, `application/problem+json`:

"""
# Swagger UI has both looks, and leaves it to its page to choose.
_LIGHT_OR_DARK = """
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const paint = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", paint);
paint();
</script>
"""
# What is asked most is looked for first.
_RESOURCES = (
    *(live, rides, riders, exports, bikes, figures, alerts),
    *(changes, webhooks, operations, alert_wishes),
)
_ALWAYS_GET = ("/", "/docs", "/openapi.json")
_TAGS = [
    {"name": "rides", "description": "Rides and their readings."},
    {"name": "riders", "description": "Riders: lists, figures, export and erasure."},
    {"name": "bikes", "description": "Bikes that were ever ridden."},
    {"name": "figures", "description": "Days and leaders."},
    {"name": "live", "description": "Rides in progress."},
    {"name": "alerts", "description": "Abnormal heart rates."},
    {"name": "changes", "description": "What became of rides and riders, for who keeps a copy."},
    {"name": "webhooks", "description": "Being told of changes, instead of asking for them."},
    {"name": "operations", "description": "Health and metrics; these need no key."},
]


def create_app(settings: ApiSettings) -> FastAPI:
    """The application; it connects to the database when first asked."""
    for media_type in (MEDIA_TYPE, TCX):
        add_compress_type(media_type)
    traffic = Traffic()
    app = FastAPIOffline(
        title="Deloton API",
        version="1",
        description=_ABOUT + kinds_as_table(),
        openapi_tags=_TAGS,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        middleware=[
            Middleware(Accounted, enabled=settings.log_level in {"DEBUG", "INFO"}),
            Middleware(Measured, traffic),
            Middleware(HeadLikeGet),
            Middleware(CompressMiddleware),
            Middleware(AnswerHeaders),
            Middleware(SecurityHeaders),
        ],
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
    )
    _put_together(app, settings, traffic)
    for module in _RESOURCES:
        app.include_router(module.router)
    app.add_api_route("/", _to_the_documents, include_in_schema=False)
    app.add_api_route("/docs", _documents, include_in_schema=False)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    _document(app)
    return app


def _put_together(app: FastAPI, settings: ApiSettings, traffic: Traffic) -> None:
    real, sandbox = (_database(settings, role) for role in (None, SANDBOX_ROLE))
    lanes, sandbox_lanes = Lanes.pair(traffic)
    exports = _export_work(real, sandbox, settings)
    app.state.context = _context(settings, real, lanes, exports)
    app.state.sandbox = _context(settings, sandbox, sandbox_lanes, exports)
    feeds = (app.state.context.live_feeds, app.state.sandbox.live_feeds)
    LISTENERS.set_function(lambda: sum(each.listeners for each in feeds))
    app.state.link_limiter = LinkLimiter()
    app.state.gate = Gate(KeyStore(real), RateLimiter(KeyRequests(real)))


def _database(settings: ApiSettings, role: str | None) -> Database:
    return Database(
        settings.database_url.get_secret_value(),
        connections=settings.api_database_connections,
        statement_timeout_s=settings.statement_timeout_s,
        role=role,
    )


def _context(
    settings: ApiSettings, database: Database, lanes: Lanes, exports: ExportWork | None = None
) -> Context:
    """What routes work with who ask this database."""
    zone = ZoneInfo(settings.time_zone)

    def now() -> datetime:
        return datetime.now(UTC)

    live = LiveRides(database, zone, now)
    keys = settings.link_keys
    return Context(
        database,
        LivePages(live.page),
        LiveFeeds(live.changes),
        lanes,
        zone,
        now,
        timedelta(days=settings.changes_retention_days),
        settings.private_hosts,
        AlertLinks(keys) if keys else None,
        exports,
    )


def _export_work(database: Database, sandbox: Database, settings: ApiSettings) -> ExportWork | None:
    if settings.export_store is None:
        return None
    files = open_files(
        settings.export_store,
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
        open_url=settings.export_open_url,
    )
    return ExportWork(database, sandbox, files)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: Context = app.state.context
    sharing = share_limits(app.state.gate.limiter)
    working = {asyncio.create_task(sharing)}
    if context.exports is not None:
        working.add(asyncio.create_task(context.exports.run()))
    for work in working:
        work.add_done_callback(_stop_if_it_failed)
    yield
    for work in working:
        work.cancel()
    await asyncio.wait(working)
    for each in (context, app.state.sandbox):
        await each.database.close()


def _stop_if_it_failed(work: asyncio.Task[None]) -> None:
    """What nobody foresaw ends the process: it is started again."""
    if not work.cancelled() and (error := work.exception()) is not None:
        _log.critical("work in the background has stopped", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


def _document(app: FastAPI) -> None:
    """Make the OpenAPI document say what FastAPI does not know."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = tidy(plain(), _taken())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _taken() -> dict[tuple[str, str], Takes]:
    """What each operation takes, by its path and method."""
    return {
        (route.path_format, method.lower()): _takes(route)
        for module in _RESOURCES
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }


def _takes(route: APIRoute) -> Takes:
    calls = [each.call for each in route.dependant.dependencies]
    models = [call.model for call in calls if isinstance(call, Asked)]
    scopes = [scope.value for call in calls if isinstance(call, Admits) for scope in call.scopes]
    bodies = [call.model for call in calls if isinstance(call, Sent)]
    return Takes(models[0] if models else None, tuple(scopes), bodies[0] if bodies else None)


async def _to_the_documents() -> Response:
    return RedirectResponse("/docs")


async def _documents() -> Response:
    """Swagger UI from this machine, dark where the reader's other pages are."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="Deloton API",
        swagger_js_url="/static-offline-docs/swagger-ui-bundle.js",
        swagger_css_url="/static-offline-docs/swagger-ui.css",
        swagger_favicon_url="/static-offline-docs/favicon.png",
    )
    return HTMLResponse(bytes(page.body).decode().replace("</head>", f"{_LIGHT_OR_DARK}</head>", 1))


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
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


async def _on_anything_else(_: Request, __: Exception) -> Response:
    # Starlette raises it again afterwards, and the server logs it.
    return _answer(Problem(INTERNAL, "The request could not be answered."))


_HANDLERS = {
    Problem: _on_problem,
    RequestValidationError: _on_bad_parameters,
    HTTPException: _on_http_error,
    Exception: _on_anything_else,
}
