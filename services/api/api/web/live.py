"""SHELL: rides in progress: pages of them, and what changes, asked for once however many listen."""

import asyncio
import re
import secrets
import time
import zlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import msgspec
from cachetools import TTLCache
from sse_starlette import ServerSentEvent

from api.contract.problems import Problem, too_many_open

EVERY_S: Final = 1.0
RECONNECT_AFTER_MS: Final = 2000
# While nothing else is told, a comment keeps the connection alive.
HEARTBEAT_S: Final = 10.0
# Each that is followed asks the database once a second.
MOST_FEEDS: Final = 200
# So many pages are kept for as long as they are new.
MOST_PAGES: Final = 64
# Who comes begins with a picture that is no older, and then hears what has changed since.
PICTURE_FOR_S: Final = 5.0
# Who comes back goes on where the last event was, if that is no longer ago: by time, and by size.
RESUMED_WITHIN_S: Final = 60.0
KEPT_BYTES: Final = 32 * 1024 * 1024
# What is smaller is compressed at once; else another thread does it.
PACKED_AT_ONCE: Final = 16 * 1024

_EVENT_ID: Final = re.compile(r"([0-9a-f]{12})-([0-9]{1,15})", re.ASCII)


class Told(msgspec.Struct, frozen=True):
    """What the database tells of rides in progress: see `queries.live_changes`."""

    rides: list[str]
    readings: list[str]
    ended: str | None
    seen: str


class Part(msgspec.Struct, frozen=True):
    """Some bytes of a stream, and the same as a part of one that is compressed.

    Parts can be put together in any order: each begins anew and ends on a whole byte (RFC 1951).
    """

    plain: bytes
    packed: bytes

    # What a compressed stream begins with (RFC 1952).
    HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


Parts = tuple[Part, ...]


def part_of(plain: bytes) -> Part:
    """The bytes, and the same compressed."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    return Part(plain, packer.compress(plain) + packer.flush(zlib.Z_FULL_FLUSH))


class Step(msgspec.Struct, frozen=True):
    """What brings a listener from one number to another, or from nothing to a number."""

    number: int
    taken_s: float
    parts: Parts

    @property
    def size(self) -> int:
        """How many bytes it holds."""
        return sum(len(part.plain) + len(part.packed) for part in self.parts)


def events_of(name: str, event_id: str, at: datetime, told: Told) -> Iterator[bytes]:
    """Server-sent events: the first has that name, further ones are `changes`; the last has an id.

    So who loses the connection between them begins where they began.
    """
    pieces = [
        *({"rides": msgspec.Raw(f"[{some}]")} for some in told.rides),
        *({"readings": msgspec.Raw(some)} for some in told.readings),
        *({"ended": msgspec.Raw(some)} for some in (told.ended,) if some),
    ] or [{}]
    for number, piece in enumerate(pieces, 1):
        yield ServerSentEvent(
            msgspec.json.encode({"at": at, **piece}).decode(),
            event=name if number == 1 else "changes",
            id=event_id if number == len(pieces) else None,
            retry=RECONNECT_AFTER_MS if number == len(pieces) else None,
        ).encode()


class LiveFeed:
    """Tells what changes, once a second while somebody listens; asks nothing otherwise.

    A *step* is what has changed since the one before; a *picture* tells everything, and where
    among the steps it belongs. The database compares: what was seen goes back to it unread.
    """

    def __init__(self, fetch: Callable[[str | None], Awaitable[Told]]) -> None:
        """`fetch` asks what has changed since what was seen, or for all; may raise a `Problem`."""
        self._fetch = fetch
        self._changed = asyncio.Condition()
        self._picture_wanted = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._forgetting: asyncio.TimerHandle | None = None
        self.listeners = 0
        self._forget()

    def _forget(self) -> None:
        """Begin anew: who comes back after this begins with a picture."""
        self._name = secrets.token_hex(6)
        self._number = 0
        self._seen: str | None = None
        self._picture: Step | None = None
        self._steps: deque[Step] = deque()
        self._problem: Problem | None = None

    async def follow(self, last_event_id: str | None = None) -> AsyncGenerator[Part]:
        """A picture, unless what changed since the last event is still known; then what changes.

        Who is too slow gets a picture again. A problem is told once; a comment where nothing else
        is told.
        """
        with self._listening():
            place = self._place_of(last_event_id)
            problem: Problem | None = None
            while True:
                told = await self._after(place, problem)
                if isinstance(told, Step):
                    place, problem = told.number, None
                    for part in told.parts:
                        yield part
                elif told is not None:
                    problem = told
                    yield part_of(ServerSentEvent(told.body().decode(), event="problem").encode())
                else:
                    yield part_of(ServerSentEvent(comment="still here").encode())

    @contextmanager
    def _listening(self) -> Iterator[None]:
        self.listeners += 1
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        try:
            yield
        finally:
            self.listeners -= 1
            if self.listeners == 0 and self._polling is not None:
                self._polling.cancel()
                self._polling = None
                loop = asyncio.get_running_loop()
                self._forgetting = loop.call_later(RESUMED_WITHIN_S, self._forget)

    def _place_of(self, event_id: str | None) -> int | None:
        """After which step somebody goes on; None: with a picture."""
        found = _EVENT_ID.fullmatch(event_id or "")
        if found is None or found[1] != self._name or int(found[2]) > self._number:
            return None
        return int(found[2])

    async def _after(self, place: int | None, problem: Problem | None) -> Step | Problem | None:
        """What is told next to who is at a place; None: nothing for a while."""
        try:
            async with asyncio.timeout(HEARTBEAT_S), self._changed:
                while True:
                    if self._polling is not None and self._polling.done():
                        self._polling.result()
                    if self._problem is not None and problem is None:
                        return self._problem
                    step = self._step_after(place)
                    if step is not None:
                        return step
                    await self._changed.wait()
        except TimeoutError:
            return None

    def _step_after(self, place: int | None) -> Step | None:
        if place is not None and self._number - len(self._steps) <= place:
            behind = self._number - place
            return self._steps[-behind] if behind else None
        picture = self._picture
        if picture is not None and self._is_of_use(picture):
            return picture
        self._picture_wanted.set()
        return None

    def _is_of_use(self, picture: Step) -> bool:
        is_new = time.monotonic() - picture.taken_s <= PICTURE_FOR_S
        return is_new and self._number - len(self._steps) <= picture.number

    async def _poll(self) -> None:
        try:
            while True:
                begun = time.monotonic()
                try:
                    await self._ask()
                    self._problem = None
                except Problem as problem:
                    self._problem = problem
                await self._wake()
                await self._wait_until(max(begun + EVERY_S, 2 * time.monotonic() - begun))
        finally:
            # Who listens finds that this has ended, and why.
            await self._wake()

    async def _wait_until(self, due_s: float) -> None:
        """Wait for the next second, or for somebody who comes meanwhile.

        At least as long as asking took: the database has others to answer, too.
        """
        while (left_s := due_s - time.monotonic()) > 0:
            try:
                await asyncio.wait_for(self._picture_wanted.wait(), left_s)
            except TimeoutError:
                return
            try:
                await self._take_picture()
                await self._wake()
            except Problem:
                return

    async def _ask(self) -> None:
        if self._seen is None:
            await self._take_picture()
            return
        at, taken_s = datetime.now(UTC), time.monotonic()
        told = await self._fetch(self._seen)
        number = self._number + 1
        parts = await self._written("changes", number, at, told)
        self._seen, self._number = told.seen, number
        self._steps.append(Step(number, taken_s, parts))
        while len(self._steps) > 1 and (
            sum(step.size for step in self._steps) > KEPT_BYTES
            or taken_s - self._steps[0].taken_s > RESUMED_WITHIN_S
        ):
            self._steps.popleft()
        if self._picture_wanted.is_set():
            await self._take_picture()

    async def _take_picture(self) -> None:
        self._picture_wanted.clear()
        at = datetime.now(UTC)
        told = await self._fetch(None)
        parts = await self._written("picture", self._number, at, told)
        # By when it was ready: one that took long to make is of use, too.
        self._picture = Step(self._number, time.monotonic(), parts)
        if self._seen is None:
            self._seen = told.seen

    async def _written(self, name: str, number: int, at: datetime, told: Told) -> Parts:
        """Events in both forms, once for all who listen."""
        events = list(events_of(name, f"{self._name}-{number}", at, told))
        if sum(map(len, events)) <= PACKED_AT_ONCE:
            return tuple(map(part_of, events))
        return await asyncio.to_thread(_packed, events)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _packed(events: Iterable[bytes]) -> Parts:
    return tuple(map(part_of, events))


class LiveFeeds:
    """A feed for each thing that is followed; each asks the database by itself."""

    def __init__(self, fetch: Callable[[Any, str | None], Awaitable[Told]]) -> None:
        """`fetch` asks the database for what a feed is called by: see `LiveFeed`."""
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


class LivePage(msgspec.Struct, frozen=True):
    """A page of rides in progress as it is answered, and how many it holds."""

    body: bytes
    ride_count: int


class LivePages:
    """Pages of rides in progress: each is asked for once a second at most, however many ask."""

    def __init__(self, fetch: Callable[[Any], Awaitable[LivePage]]) -> None:
        """`fetch` asks the database for what a page is called by."""
        self._fetch = fetch
        self._pages: TTLCache[Hashable, asyncio.Task[LivePage]] = TTLCache(MOST_PAGES, EVERY_S)

    async def of(self, asked: Hashable) -> LivePage:
        """The page of this, as of a second ago at most; raises a `Problem`."""
        page = self._pages.get(asked)
        if page is None or (page.done() and page.exception() is not None):
            page = self._pages[asked] = asyncio.ensure_future(self._fetch(asked))
        # Others wait for it too.
        return await asyncio.shield(page)
