"""SHELL: every ride in progress, asked of the database once a second however many listen."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

import msgspec
from sse_starlette import ServerSentEvent

from api.contract.problems import Problem, too_many_open

EVERY_S = 1.0
RECONNECT_AFTER_MS = 2000
# Each that is followed asks the database once a second.
MOST_FEEDS = 200


class Picture:
    """The rides in progress at a moment; written out once for all who ask or listen."""

    def __init__(self, at: datetime, taken_s: float, rows: Sequence[str]) -> None:
        """`rows` are rides as JSON, asked for at `taken_s`."""
        self.at = at
        self.taken_s = taken_s
        self.ride_count = len(rows)
        self.body = msgspec.json.encode({"at": at, "rides": msgspec.Raw(f"[{','.join(rows)}]")})

    @property
    def event_id(self) -> int:
        """Microseconds since 1970: grows from picture to picture, whichever process took it."""
        return int(self.at.timestamp() * 1_000_000)

    @cached_property
    def event(self) -> bytes:
        """The picture as a server-sent event."""
        return ServerSentEvent(
            self.body.decode(),
            event="picture",
            id=str(self.event_id),
            retry=RECONNECT_AFTER_MS,
        ).encode()


class LiveFeed:
    """Takes pictures: one at a time, one a second while somebody listens, none otherwise."""

    def __init__(self, fetch: Callable[[], Awaitable[Sequence[str]]]) -> None:
        """`fetch` asks the database; it may raise a `Problem`."""
        self._fetch = fetch
        self._taking = asyncio.Lock()
        self._changed = asyncio.Condition()
        self._newest: Picture | None = None
        self._told: Picture | Problem | None = None
        self._serial = 0
        self._polling: asyncio.Task[None] | None = None
        self.listeners = 0

    async def picture(self, within_s: float = EVERY_S) -> Picture:
        """A picture that was taken within so many seconds."""
        async with self._taking:
            newest, now_s = self._newest, time.monotonic()
            if newest is None or now_s - newest.taken_s >= within_s:
                at = datetime.now(UTC)
                newest = Picture(at, now_s, await self._fetch())
                self._newest = newest
            return newest

    async def follow(
        self, last_event_id: int | None = None
    ) -> AsyncGenerator[Picture | Problem, None]:
        """Every newer picture, or the problem why there is none; who is slow skips some.

        Begins at once, unless the newest picture is the one that the listener has seen.
        """
        self.listeners += 1
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        seen = -1
        try:
            while True:
                seen, told = await self._after(seen)
                if told is None or (
                    isinstance(told, Picture)
                    and last_event_id is not None
                    and told.event_id <= last_event_id
                ):
                    continue
                yield told
        finally:
            self.listeners -= 1
            if self.listeners == 0 and self._polling is not None:
                self._polling.cancel()
                self._polling = self._told = None

    async def _after(self, seen: int) -> tuple[int, Picture | Problem | None]:
        """What is told after number `seen`, and its own; raises what ended the polling."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._serial != seen or self._has_ended())
        if self._polling is not None and self._polling.done():
            self._polling.result()
        return self._serial, self._told

    def _has_ended(self) -> bool:
        return self._polling is not None and self._polling.done()

    async def _poll(self) -> None:
        try:
            while True:
                begun = time.monotonic()
                try:
                    told: Picture | Problem = await self.picture(EVERY_S / 2)
                except Problem as problem:
                    told = problem
                await self._tell(told)
                await asyncio.sleep(max(0.0, begun + EVERY_S - time.monotonic()))
        finally:
            # Who listens finds that this has ended, and why.
            await self._wake()

    async def _tell(self, told: Picture | Problem) -> None:
        if isinstance(told, Problem) and isinstance(self._told, Problem):
            return
        self._told = told
        self._serial += 1
        await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class LiveFeeds:
    """A feed for each thing that is asked for; each asks the database by itself."""

    def __init__(self, fetch: Callable[[Any], Awaitable[Sequence[str]]]) -> None:
        """`fetch` asks the database for what a feed is called by."""
        self._fetch = fetch
        self._feeds: dict[Hashable, LiveFeed] = {}

    @property
    def listeners(self) -> int:
        """Who follows any of them."""
        return sum(feed.listeners for feed in self._feeds.values())

    def of(self, asked: Hashable) -> LiveFeed:
        """The feed of this; raises a `Problem` where too many others are followed."""
        feed = self._feeds.get(asked)
        if feed is None:
            if len(self._feeds) >= MOST_FEEDS:
                self._forget_idle()
            feed = self._feeds[asked] = LiveFeed(partial(self._fetch, asked))
        return feed

    def _forget_idle(self) -> None:
        for asked in [asked for asked, feed in self._feeds.items() if not feed.listeners]:
            del self._feeds[asked]
        if len(self._feeds) >= MOST_FEEDS:
            raise too_many_open("Too many different streams are followed at the moment.")
