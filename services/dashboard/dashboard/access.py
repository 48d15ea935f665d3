"""EDGE: who may see the pages: everyone, who logs in, or whom the load balancer lets through."""

import binascii
import hmac
import json
from base64 import b64decode, urlsafe_b64decode
from hashlib import sha256
from http.cookies import SimpleCookie
from typing import Final

from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What health checks and Prometheus read; no person's data are there.
OPEN_PATHS: Final = frozenset({"/health", "/metrics", "/_stcore/health"})
COOKIE: Final = "deloton_dashboard"
CLAIMS_HEADER: Final = "x-amzn-oidc-data"
LOGGED_IN_FOR_S: Final = 12 * 3600


class TrustedHeader:
    """Lets through what bears a header, which the load balancer sets once a person has logged in.

    The load balancer must be the only way to this service: anyone else could set the header too.
    """

    def __init__(self, app: ASGIApp, header: str) -> None:
        """Guard `app`."""
        self._app = app
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if is_open(scope) or Headers(scope=scope).get(self._header):
            await self._app(scope, receive, send)
        else:
            await refuse("Log in at the company's front door first.\n", scope, receive, send)


class RequiredClaim:
    """Lets through of whom the load balancer tells that they belong here: by a claim of theirs.

    That somebody has an account with the company's identity provider does not make them staff. The
    claims come as the load balancer sends them (`x-amzn-oidc-data`, a JWT); it is the only way to
    this service, and it sets that header anew in every request.
    """

    def __init__(self, app: ASGIApp, claim: str, wanted: str) -> None:
        """Guard `app`: the claim has to be `wanted`, to hold it, or to end in it after an @."""
        self._app = app
        self._claim = claim
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse."""
        if is_open(scope) or self._belongs(Headers(scope=scope).get(CLAIMS_HEADER, "")):
            await self._app(scope, receive, send)
        else:
            await refuse("Your account may not see this page.\n", scope, receive, send, status=403)

    def _belongs(self, token: str) -> bool:
        claim = _claims_of(token).get(self._claim)
        told = claim if isinstance(claim, list) else [claim]
        if self._wanted.startswith("@"):
            return any(isinstance(one, str) and one.endswith(self._wanted) for one in told)
        return self._wanted in told


def _claims_of(token: str) -> dict[str, object]:
    """The claims of a JWT; none where it is not one."""
    try:
        _, coded, _ = token.split(".")
        claims = json.loads(urlsafe_b64decode(coded + "=" * (-len(coded) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


class BasicLogin:
    """Lets through who knows the user and the password, by HTTP's basic authentication.

    A signed cookie then stands for them: not every browser sends the password along with the
    request that opens a WebSocket.
    """

    def __init__(self, app: ASGIApp, user: str, password: str) -> None:
        """Guard `app`."""
        self._app = app
        self._login = f"{user}:{password}".encode()
        # Another password makes all cookies worthless.
        self._signer = TimestampSigner(self._login, salt=COOKIE, digest_method=sha256)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or ask to log in."""
        if is_open(scope) or self._has_cookie(scope):
            await self._app(scope, receive, send)
        elif self._knows_password(scope):
            await self._app(scope, receive, self._with_cookie(scope, send))
        else:
            await refuse("Log in to see this page.\n", scope, receive, send, ask_password=True)

    def _knows_password(self, scope: Scope) -> bool:
        kind, _, coded = Headers(scope=scope).get("authorization", "").partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            return hmac.compare_digest(b64decode(coded, validate=True), self._login)
        except (binascii.Error, ValueError):
            return False

    def _has_cookie(self, scope: Scope) -> bool:
        cookie = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(COOKIE)
        if cookie is None:
            return False
        try:
            self._signer.unsign(cookie.value, max_age=LOGGED_IN_FOR_S)
        except BadSignature:
            return False
        return True

    def _with_cookie(self, scope: Scope, send: Send) -> Send:
        secure = "; Secure" if Headers(scope=scope).get("x-forwarded-proto") == "https" else ""
        value = self._signer.sign("in").decode()
        cookie = f"{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax{secure}".encode()

        async def send_with_cookie(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie)]
            await send(message)

        return send_with_cookie


def is_open(scope: Scope) -> bool:
    """Whether this is for everyone: health, metrics, and the server's own start and stop."""
    return scope["type"] == "lifespan" or scope.get("path") in OPEN_PATHS


async def refuse(
    words: str,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    ask_password: bool = False,
    status: int = 401,
) -> None:
    """Answer 401, or `status`; close a WebSocket before it opens."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {"WWW-Authenticate": 'Basic realm="Deloton", charset="UTF-8"'} if ask_password else {}
    await PlainTextResponse(words, status, headers)(scope, receive, send)
