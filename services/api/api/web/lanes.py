"""SHELL: answers that last: how many a key and all keys together may have open at a time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sse_starlette import EventSourceResponse
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.contract.problems import too_many_open

# Of downloads, so many are read and written out at a time; the others wait for their turn.
READ_AT_ONCE: Final = 2


class Lane:
    """How many answers of a kind are open, in this process."""

    def __init__(self, what: str, *, by_key: int, in_all: int) -> None:
        """`what` is open at most `by_key` times for each key, and `in_all` times."""
        self._what = what
        self._by_key = by_key
        self._in_all = in_all
        self._open: Counter[str] = Counter()
        self._pace = asyncio.Semaphore(READ_AT_ONCE)

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
        return _Download(self, key_id, self._paced(pieces), media_type, headers)

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

    async def _paced(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        while True:
            async with self._pace:
                piece = await anext(pieces, None)
            if piece is None:
                return
            yield piece


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
