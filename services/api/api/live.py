"""SHELL: every ride in progress, asked of the database once a second however many listen."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, date, datetime

from sse_starlette import ServerSentEvent

from api.answers import Row, View, live_ride_of
from api.problems import Problem
from api.schemas import LivePicture

EVERY_S = 1.0
RECONNECT_AFTER_MS = 2000


class Picture:
    """The rides in progress at a moment; written out once for all who may see the same."""

    def __init__(self, at: datetime, taken_s: float, rows: Sequence[Row], today: date) -> None:
        """`rows` are those of `deloton.ride_figures.rides_in_progress`, asked for at `taken_s`."""
        self.at = at
        self.taken_s = taken_s
        self._rows = rows
        self._today = today
        self._bodies: dict[bool, str] = {}
        self._events: dict[bool, bytes] = {}

    @property
    def event_id(self) -> int:
        """Microseconds since 1970: grows from picture to picture, whichever process took it."""
        return int(self.at.timestamp() * 1_000_000)

    def body(self, personal: bool) -> str:
        """The picture as JSON."""
        if personal not in self._bodies:
            view = View(personal, self._today)
            rides = [live_ride_of(row, view) for row in self._rows]
            whole = LivePicture(at=self.at, rides=rides)
            self._bodies[personal] = whole.model_dump_json(exclude_unset=True)
        return self._bodies[personal]

    def event(self, personal: bool) -> bytes:
        """The picture as a server-sent event."""
        if personal not in self._events:
            self._events[personal] = ServerSentEvent(
                self.body(personal),
                event="picture",
                id=str(self.event_id),
                retry=RECONNECT_AFTER_MS,
            ).encode()
        return self._events[personal]


class LiveFeed:
    """Takes pictures: one at a time, one a second while somebody listens, none otherwise."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Sequence[Row]]], today: Callable[[], date]
    ) -> None:
        """`fetch` asks the database; it may raise a `Problem`."""
        self._fetch = fetch
        self._today = today
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
                newest = Picture(at, now_s, await self._fetch(), self._today())
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
