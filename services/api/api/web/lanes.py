"""SHELL: answers that last: how many a key and all keys together may have open at a time."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.contract.problems import too_many_open
from api.web.metrics import Traffic

# Of downloads, so many are read and written out at a time; the others wait for their turn.
READ_AT_ONCE: Final = 2
# While others ask, a turn rests so many times as long as a piece took: together downloads keep
# the database and the event loop busy for half of the time.
REST: Final = 2 * READ_AT_ONCE - 1
# No longer, however long the database took for a piece, as it does for a rare filter.
LONGEST_REST_S: Final = 0.25


class Turns:
    """Lets downloads read piece by piece, few at a time, in the order in which they come."""

    def __init__(
        self, traffic: Traffic, rest: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        """Nobody reads; `traffic` tells whether others ask, `rest` lets seconds pass."""
        self._traffic = traffic
        self._rest = rest
        self._free = asyncio.Semaphore(READ_AT_ONCE)

    async def taken_for(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The pieces, each read in a turn; a turn whose time others wanted ends with a rest."""
        while True:
            async with self._free:
                begun, requests = time.perf_counter(), self._traffic.requests
                piece = await anext(pieces, None)
                if self._traffic.requests > requests:
                    await self._rest(rest_s(time.perf_counter() - begun))
            if piece is None:
                return
            yield piece


def rest_s(took_s: float) -> float:
    """For how long nothing is read in a turn, after a piece that took so long."""
    return min(REST * took_s, LONGEST_REST_S)


class Lane:
    """How many answers of a kind are open, in this process."""

    def __init__(self, what: str, turns: Turns, *, by_key: int, in_all: int) -> None:
        """`what` is open at most `by_key` times for each key, and `in_all` times."""
        self._what = what
        self._turns = turns
        self._by_key = by_key
        self._in_all = in_all
        self._open: Counter[str] = Counter()

    @contextmanager
    def place_for(self, key_id: str) -> Iterator[None]:
        """A place until left; raises a `Problem` where there is none."""
        if self._open[key_id] >= self._by_key:
            raise too_many_open(f"This key may have {self._by_key} {self._what} open at a time.")
        if self._open.total() >= self._in_all:
            raise too_many_open(f"Too many {self._what} are open at the moment.")
        self._open[key_id] += 1
        try:
            yield
        finally:
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]

    def download(
        self,
        key_id: str,
        pieces: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> StreamingResponse:
        """An answer that is read piece by piece while it is sent."""
        return _Download(self, key_id, self._turns.taken_for(pieces), media_type, headers)

    def events(
        self,
        key_id: str,
        events: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        send_within_s: float,
    ) -> EventSourceResponse:
        """A stream of events; whoever makes them keeps the connection alive."""
        return _Events(self, key_id, events, headers, send_within_s)


class _Download(StreamingResponse):
    def __init__(
        self,
        lane: Lane,
        key_id: str,
        pieces: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str] | None,
    ) -> None:
        super().__init__(pieces, media_type=media_type, headers=headers)
        self._lane = lane
        self._key_id = key_id
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._lane.place_for(self._key_id):
            # What fails before the first piece can still be told as a problem.
            first = await anext(self._pieces)
            self.body_iterator = _resumed(first, self._pieces)
            await super().__call__(scope, receive, send)


class _Events(EventSourceResponse):
    def __init__(
        self,
        lane: Lane,
        key_id: str,
        events: AsyncIterator[bytes],
        headers: Mapping[str, str],
        send_within_s: float,
    ) -> None:
        super().__init__(events, headers=headers, ping=0, send_timeout=send_within_s)
        self._lane = lane
        self._key_id = key_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._lane.place_for(self._key_id):
            await super().__call__(scope, receive, send)


async def _resumed(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece
