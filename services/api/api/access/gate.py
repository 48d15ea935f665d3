"""SHELL: who asks, what they may do, and how often: FastAPI's dependencies."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

from cachetools import TTLCache
from fastapi import Depends, Request
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.access.credentials import Scope, StoredKey, is_genuine, read_credential
from api.access.key_requests import MINUTE, KeyRequests, Place, minute_of
from api.access.key_store import KeyStore
from api.contract.parameters import LARGEST_PAGE
from api.contract.problems import (
    KEY_MISSING,
    KEY_WRONG,
    TOO_MANY_REQUESTS,
    Problem,
    scope_missing,
)
from api.web.access_log import reading_of
from api.web.metrics import LIMITS_SHARED
from api.web.response_headers import add_headers
from deloton.running.logs import get_logger


@dataclass(frozen=True)
class Access:
    """A genuine key, and what it may do."""

    key_id: str
    scopes: frozenset[Scope]
    sandbox: bool = False

    @property
    def personal(self) -> bool:
        """Whether names, addresses, emails and dates of birth may leave."""
        return Scope.PERSONAL in self.scopes

    def require(self, scope: Scope, what: str) -> None:
        """Raise the `Problem` of a key without the scope; `what` begins the sentence."""
        if scope not in self.scopes:
            raise scope_missing(scope, what)


_log = get_logger(__name__)

_ACCESS: Final = "deloton.key"
# So long other processes do not know what this one grants.
SHARED_EVERY_S: Final = 1.0
# Who has not asked for so long is heard of anew: longer than a window of two minutes reaches.
MET_FOR_S: Final = 120.0
MOST_MET: Final = 10_000
# A minute, of one link.
REQUESTS_OF_A_LINK = 30


class RateLimiter:
    """A sliding minute for each key: what this process grants, and what it hears of others."""

    def __init__(self, requests: KeyRequests) -> None:
        """Nobody has asked yet; `requests` tells of other processes."""
        self._requests = requests
        self._storage = MemoryStorage()
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._limits: dict[str, RateLimitItemPerMinute] = {}
        self._granted: Counter[Place] = Counter()
        self._met: TTLCache[str, asyncio.Task[None]] = TTLCache(MOST_MET, MET_FOR_S)

    async def count(self, request: Request, key: StoredKey) -> None:
        """Count a request and tell how many are left; raise a `Problem` where none is."""
        item = self._limits[key.key_id] = RateLimitItemPerMinute(key.requests_per_minute)
        await self._meet(key.key_id)
        if allowed := await self._limiter.hit(item, key.key_id):
            self._grant(key.key_id, 1)
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

    async def weigh(self, key_id: str, rows: int) -> None:
        """Count an answer of many rows as the requests that its pages would have been."""
        item = self._limits[key_id]
        left = await self._limiter.get_window_stats(item, key_id)
        taken = min((rows - 1) // LARGEST_PAGE, left.remaining)
        if taken > 0 and await self._limiter.hit(item, key_id, cost=taken):
            self._grant(key_id, taken)

    async def share(self, now: datetime) -> None:
        """Tell the other processes of what was granted, and count what they have granted."""
        # What could not be told for longer counts in nobody's minute any more.
        since = minute_of(now) - MINUTE
        granted = {place: number for place, number in self._granted.items() if place[1] >= since}
        self._granted.clear()
        if granted:
            try:
                await self._requests.tell(granted)
            except Exception:
                self._granted.update(granted)
                raise
        if key_ids := list(self._met):
            await self._hear(key_ids)
        if granted:
            await self._requests.forget(now)

    def _grant(self, key_id: str, number: int) -> None:
        self._granted[key_id, minute_of(datetime.now(UTC))] += number

    async def _meet(self, key_id: str) -> None:
        """Hear what others have granted a key before it is granted anything here."""
        met = self._met.get(key_id) or asyncio.create_task(self._hear_first(key_id))
        self._met[key_id] = met
        if not met.done():
            # Who asked first may go away; the others wait on.
            await asyncio.shield(met)

    async def _hear_first(self, key_id: str) -> None:
        # Where it fails so does the sharing, which tells of it.
        with suppress(Exception):
            await self._hear([key_id])

    async def _hear(self, key_ids: Sequence[str]) -> None:
        news = await self._requests.hear(key_ids, datetime.now(UTC))
        for (key_id, minute), number in news.items():
            item = self._limits[key_id]
            # The window's own counter of that minute, this one or the one before.
            name, length_s = item.key_for(key_id), item.get_expiry()
            _, counter = self._storage.sliding_window_keys(name, length_s, minute.timestamp())
            await self._storage.incr(counter, 2 * length_s, number)


async def share_limits(limiter: RateLimiter) -> None:
    """Share what keys may ask with the other processes, each second, until cancelled.

    While that fails, for whatever reason, each process counts for itself: to answer matters more
    than to count exactly. The log tells when it begins to fail and when it goes on.
    """
    shared = True
    LIMITS_SHARED.set(shared)
    while True:
        await asyncio.sleep(SHARED_EVERY_S)
        was_shared, shared = shared, await _try_to_share(limiter, told=not shared)
        if shared and not was_shared:
            _log.info("limits of keys are shared again")
        LIMITS_SHARED.set(shared)


async def _try_to_share(limiter: RateLimiter, *, told: bool) -> bool:
    """Whether it worked; why it did not is logged, unless it was `told` before."""
    try:
        await limiter.share(datetime.now(UTC))
    except Exception as error:  # noqa: BLE001  a table that is missing, a right, a stand-by: any
        if not told:
            _log.warning("each process counts for itself", error=f"{type(error).__name__}: {error}")
        return False
    return True


class LinkLimiter:
    """A sliding minute for each link of a mail, in this process; a person clicks a few times."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._each = RateLimitItemPerMinute(REQUESTS_OF_A_LINK)

    async def wait_s(self, alert_id: int) -> int:
        """Count a request; return for how long to wait, 0 for not at all."""
        if await self._limiter.hit(self._each, str(alert_id)):
            return 0
        left = await self._limiter.get_window_stats(self._each, str(alert_id))
        return max(1, math.ceil(left.reset_time - time.time()))


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
            raise Problem(
                KEY_WRONG, "The key is unknown, was revoked or has expired.", headers=challenge
            )
        reading = reading_of(request)
        reading.key_id = stored.key_id
        await self.limiter.count(request, stored)
        reading.weigh = self.limiter.weigh
        await self.keys.note_use(stored.key_id)
        return Access(stored.key_id, stored.scopes, stored.sandbox)


class Admits:
    """A dependency: lets a request in whose key has all these scopes."""

    def __init__(self, *scopes: Scope) -> None:
        """Every one of them is needed."""
        self.scopes = scopes

    async def __call__(self, request: Request) -> Access:
        """The access that the request's key gives."""
        gate: Gate = request.app.state.gate
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        access = await gate.admit(request, key if scheme.lower() == "bearer" and key else None)
        for scope in self.scopes:
            access.require(scope, f"{request.method} {request.scope['route'].path_format}")
        request.scope[_ACCESS] = access
        return access


def access_of(request: Request) -> Access | None:
    """The access that a request was let in with; None where it was asked for no key."""
    access: Access | None = request.scope.get(_ACCESS)
    return access


Reader = Annotated[Access, Depends(Admits(Scope.READ))]
PersonalReader = Annotated[Access, Depends(Admits(Scope.READ, Scope.PERSONAL))]
Subscriber = Annotated[Access, Depends(Admits(Scope.READ, Scope.WEBHOOKS))]
Eraser = Annotated[Access, Depends(Admits(Scope.ERASE))]
