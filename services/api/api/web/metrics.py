"""EDGE: what Prometheus is told: requests by route and status, and how long each took."""

import time

from prometheus_client import Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = Histogram(
    "api_request_seconds",
    "Time from a request to the beginning of its answer.",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LIMITS_SHARED = Gauge(
    "api_limits_shared",
    "1: this process knows what others grant keys. 0: it counts for itself, see its log.",
)
LISTENERS = Gauge("api_live_listeners", "Who follows the rides in progress.")


class Traffic:
    """How many requests this process was ever asked: who compares, knows that others ask."""

    def __init__(self) -> None:
        """None yet."""
        self.requests = 0


class Measured:
    """ASGI middleware that counts requests, and measures each until its answer begins."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        """Wrap an application."""
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._traffic.requests += 1
        begun = time.perf_counter()

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A route's pattern, not the path: numbers of rides would be a metric each.
                route = getattr(scope.get("route"), "path_format", "none")
                labels = SECONDS.labels(scope["method"], route, message["status"])
                labels.observe(time.perf_counter() - begun)
            await send(message)

        await self._app(scope, receive, note)
