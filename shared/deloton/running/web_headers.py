"""EDGE: how we serve the web: what a browser must not do with our answers, how long we listen."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# No guessing of types, no frame of another site around us, no address of ours told to others.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", b"frame-ancestors 'self'; object-src 'none'; base-uri 'self'"),
    (b"referrer-policy", b"same-origin"),
)
# For who came by TLS, which ends at the load balancer: nothing but TLS for a year.
STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")

# An idle connection is kept for longer than the load balancer keeps its own (120 s, cluster.yaml):
# whoever closes first may close while a request is on its way.
KEEP_ALIVE_S: Final = 150


class SecurityHeaders:
    """ASGI middleware: every answer bears the headers above, but for those that it has already."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or speak with one WebSocket."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        by_tls = (b"x-forwarded-proto", b"https") in scope["headers"]
        ours = (*SECURITY_HEADERS, STRICT_TRANSPORT) if by_tls else SECURITY_HEADERS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message["headers"] = given + [each for each in ours if each[0] not in names]
            await send(message)

        await self._app(scope, receive, send_with_headers)
