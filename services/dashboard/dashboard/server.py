"""SHELL: the pages with /health and /metrics beside them, and the guard before all of it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from streamlit.starlette import App

from dashboard.access import BasicLogin, RequiredClaim, TrustedHeader
from dashboard.settings import DashboardSettings
from deloton.running.logs import configure_logging
from deloton.running.web_headers import SecurityHeaders

SCRIPT = Path(__file__).with_name("app.py")


def make_server(settings: DashboardSettings) -> App:
    """The whole application."""

    @asynccontextmanager
    async def lifespan(_: App) -> AsyncIterator[None]:
        # Streamlit gives its loggers, and uvicorn's, handlers of their own while it starts.
        for logger in map(logging.getLogger, list(logging.Logger.manager.loggerDict)):
            logger.handlers.clear()
            logger.propagate = True
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
        configure_logging(settings.log_level)
        yield

    return App(
        SCRIPT,
        lifespan=lifespan,
        routes=[Route("/health", health), Route("/metrics", metrics)],
        middleware=[Middleware(SecurityHeaders), *guards(settings)],
    )


def guards(settings: DashboardSettings) -> list[Middleware]:
    """What stands before the pages: nothing, a login, or what the load balancer tells."""
    if settings.dashboard_user and settings.dashboard_password:
        password = settings.dashboard_password.get_secret_value()
        return [Middleware(BasicLogin, user=settings.dashboard_user, password=password)]
    before = []
    if settings.dashboard_trusted_header:
        before.append(Middleware(TrustedHeader, header=settings.dashboard_trusted_header))
    if settings.dashboard_required_claim:
        claim, _, wanted = settings.dashboard_required_claim.partition("=")
        before.append(Middleware(RequiredClaim, claim=claim, wanted=wanted))
    return before


async def health(_: Request) -> Response:
    """Healthy while the pages are served: a database that is away is told on the pages."""
    return JSONResponse({"healthy": True})


async def metrics(_: Request) -> Response:
    """What Prometheus reads."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
