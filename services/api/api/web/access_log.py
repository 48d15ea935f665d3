"""SHELL: who read whose data: one line of JSON a request, under an id that the answer bears, too.

It tells the key, the route, the ride or rider in the address, how many rows were told and the ids
of the riders in them; never a value of the query, a name or a measurement. Whom a long download
tells of is logged as it goes on. Pictures of rides in progress are counted, not taken apart.
"""

import re
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID: Final = "X-Request-Id"
# A line names no more riders: those of a longer answer come in several.
MOST_RIDERS: Final = 500

_STATE: Final = "deloton.access"
_OURS: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# As PostgreSQL writes a rider within a row, or as a row.
_RIDER_ID: Final = re.compile(r'(?:"rider":|^)\{"rider_id" ?: ?(\d+)')

# What else stands where a ride or rider is asked for may be anything.
_NUMBER: Final = re.compile(r"[0-9]{1,19}")

Write = Callable[[str], object]
# Counts the rows of an answer against the limit of a key.
Weigh = Callable[[str, int], Awaitable[None]]


class Reading:
    """What one request has read so far."""

    def __init__(self, request_id: str, write: Write) -> None:
        """Nothing yet."""
        self.request_id = request_id
        self.key_id: str | None = None
        self.weigh: Weigh | None = None
        self.rows = 0
        self.rider_ids: set[int] = set()
        self._write = write

    def note(self, rider_ids: Iterable[int], rows: int = 0) -> None:
        """Riders whose data go out, and how many rows."""
        self.rows += rows
        self.rider_ids.update(rider_ids)
        if len(self.rider_ids) > MOST_RIDERS:
            self.log("riders read")

    async def count_rows(self) -> None:
        """Let an answer of many rows cost its key more than a request."""
        if self.weigh is not None and self.key_id is not None and self.rows:
            await self.weigh(self.key_id, self.rows)

    def log(self, event: str, **facts: object) -> None:
        """Write a line, with the riders that no line has named."""
        told = {
            "event": event,
            "request_id": self.request_id,
            "key_id": self.key_id,
            **facts,
            "rider_ids": sorted(self.rider_ids),
            "logger": __name__,
            "level": "info",
            "timestamp": datetime.now(UTC),
        }
        self.rider_ids.clear()
        self._write(msgspec.json.encode(told).decode() + "\n")


def reading_of(request: Request) -> Reading:
    """What a request has read so far."""
    reading: Reading = request.scope[_STATE]
    return reading


def note_rows(request: Request, rows: Iterable[str]) -> None:
    """Rows of a list, each JSON, and the riders in them, go out."""
    found = [_RIDER_ID.search(row) for row in rows]
    reading_of(request).note((int(rider[1]) for rider in found if rider), len(found))


class Accounted:
    """ASGI middleware: gives each request its id, and logs it when its answer is over."""

    def __init__(self, app: ASGIApp, *, enabled: bool, write: Write = sys.stderr.write) -> None:
        """Wrap an application; `enabled`: lines are written, as the log level INFO asks for."""
        self._app = app
        self._write = write if enabled else _nowhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        reading = scope[_STATE] = Reading(_id_of(scope), self._write)
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                header = (REQUEST_ID.lower().encode(), reading.request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), header]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            if scope["path"].startswith("/v1/"):
                reading.log("request", **_facts(scope, status, begun), rows=reading.rows)
            await reading.count_rows()


def _id_of(scope: Scope) -> str:
    given = Headers(scope=scope).get(REQUEST_ID, "").encode("latin-1")
    return given.decode() if _OURS.fullmatch(given) else secrets.token_hex(8)


def _facts(scope: Scope, status: int, begun: float) -> dict[str, Any]:
    return {
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path_format", None),
        **{
            name: int(value)
            for name, value in scope.get("path_params", {}).items()
            if _NUMBER.fullmatch(value)
        },
        "status": status,
        "ms": round(1e3 * (time.perf_counter() - begun), 1),
    }


def _nowhere(_: str) -> None:
    """Where lines go that nobody wants."""
