"""SHELL: who asks, what they may do, and how often: FastAPI's dependencies."""

import math
import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.credentials import Scope, StoredKey, is_genuine, read_credential
from api.key_store import KeyStore
from api.problems import KEY_MISSING, KEY_WRONG, TOO_MANY_REQUESTS, Problem, scope_missing
from api.response_headers import add_headers

_bearer = HTTPBearer(
    scheme_name="ApiKey",
    auto_error=False,
    description="`Authorization: Bearer deloton_…`. Scopes: `read` opens every GET; `personal` "
    "adds names, addresses, emails and dates of birth; `erase` opens DELETE.",
)


@dataclass(frozen=True)
class Access:
    """A genuine key, and what it may do."""

    key_id: str
    scopes: frozenset[Scope]

    @property
    def personal(self) -> bool:
        """Whether names, addresses, emails and dates of birth may leave."""
        return Scope.PERSONAL in self.scopes

    def require(self, scope: Scope, what: str) -> None:
        """Raise the `Problem` of a key without the scope; `what` begins the sentence."""
        if scope not in self.scopes:
            raise scope_missing(scope, what)


class RateLimiter:
    """A sliding minute for each key, in this process."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def count(self, request: Request, key: StoredKey) -> None:
        """Count a request and tell how many are left; raise a `Problem` where none is."""
        item = RateLimitItemPerMinute(key.requests_per_minute)
        allowed = await self._limiter.hit(item, key.key_id)
        left = await self._limiter.get_window_stats(item, key.key_id)
        wait_s = max(1, math.ceil(left.reset_time - time.time()))
        told = {
            "RateLimit-Policy": f"{key.requests_per_minute};w=60",
            "RateLimit-Limit": str(key.requests_per_minute),
            "RateLimit-Remaining": str(left.remaining if allowed else 0),
            "RateLimit-Reset": str(wait_s),
        }
        add_headers(request, told)
        if not allowed:
            raise Problem(
                TOO_MANY_REQUESTS,
                f"This key may ask {key.requests_per_minute} times a minute.",
                headers={"Retry-After": str(wait_s)},
            )


@dataclass(frozen=True)
class Gate:
    """What decides about each request."""

    keys: KeyStore
    limiter: RateLimiter

    async def admit(self, request: Request, key: str | None) -> Access:
        """The access that a key gives; raises a `Problem` for none, a wrong or a tired one."""
        challenge = {"WWW-Authenticate": 'Bearer realm="deloton"'}
        if key is None:
            raise Problem(
                KEY_MISSING, "Send Authorization: Bearer <your API key>.", headers=challenge
            )
        credential = read_credential(key)
        stored = await self.keys.find(credential.key_id) if credential else None
        if credential is None or stored is None or not is_genuine(credential, stored):
            challenge["WWW-Authenticate"] += ', error="invalid_token"'
            raise Problem(KEY_WRONG, "The key is unknown or was revoked.", headers=challenge)
        await self.limiter.count(request, stored)
        return Access(stored.key_id, stored.scopes)


async def admit(
    request: Request,
    scopes: SecurityScopes,
    given: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Access:
    """Let a request in whose key has all the scopes that the route names."""
    gate: Gate = request.app.state.gate
    access = await gate.admit(request, given.credentials if given else None)
    for scope in scopes.scopes:
        access.require(Scope(scope), f"{request.method} {request.scope['route'].path}")
    return access


Reader = Annotated[Access, Security(admit, scopes=[Scope.READ])]
PersonalReader = Annotated[Access, Security(admit, scopes=[Scope.READ, Scope.PERSONAL])]
Eraser = Annotated[Access, Security(admit, scopes=[Scope.ERASE])]
