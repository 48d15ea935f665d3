"""SHELL: headers that every answer gets, whoever makes it; ETags, and 304 where nothing changed."""

import hashlib
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ADDED = "deloton.headers"
_REVALIDATE = "private, no-cache"


def add_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Add headers to whatever answer the request will get."""
    request.scope.setdefault(_ADDED, {}).update(headers)


class AnswerHeaders:
    """ASGI middleware: added headers, a cautious Cache-Control, ETag and 304 for whole bodies.

    A body that is streamed gets no ETag: it would have to be kept until its end is known.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[_ADDED] = {}
        await self._app(scope, receive, _Answer(scope, send))


class _Answer:
    """The `send` of one request: holds the answer's start back until its body is known."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            self._add_headers(message)
            return
        start, self._start = self._start, None
        if start is not None:
            if start["status"] == 200 and not message.get("more_body"):  # noqa: PLR2004
                start, message = self._revalidated(start, message)
            await self._send(start)
        await self._send(message)

    def _add_headers(self, start: Message) -> None:
        headers = MutableHeaders(scope=start)
        headers.update(self._scope[_ADDED])
        if start["status"] >= 400:  # noqa: PLR2004
            headers["Cache-Control"] = "no-store"
        elif self._scope["path"].startswith("/v1/"):
            headers.setdefault("Cache-Control", _REVALIDATE)
            headers.add_vary_header("Accept")
            headers.add_vary_header("Authorization")

    def _revalidated(self, start: Message, message: Message) -> tuple[Message, Message]:
        """The answer with its ETag, or 304 where the one who asks has it already."""
        headers = MutableHeaders(scope=start)
        if "no-store" in headers.get("Cache-Control", "") or "etag" in headers:
            return start, message
        # Weak: the same figures may leave compressed in one way or another.
        etag = f'W/"{hashlib.sha256(message.get("body", b"")).hexdigest()[:32]}"'
        headers["ETag"] = etag
        asked = Headers(scope=self._scope)
        if self._scope["method"] not in {"GET", "HEAD"} or not _matches(
            asked.get("if-none-match", ""), etag
        ):
            return start, message
        del headers["Content-Length"]
        del headers["Content-Type"]
        return {**start, "status": 304}, {"type": "http.response.body", "body": b""}


def _matches(if_none_match: str, etag: str) -> bool:
    """Weak comparison, as If-None-Match asks for."""
    asked = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in asked or etag.removeprefix("W/") in asked
