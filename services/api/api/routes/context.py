"""SHELL: what every route works with, put together once for the process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from api.access.gate import Access, access_of
from api.contract.answers import View
from api.routes.export_work import ExportWork
from api.store.database import Database
from api.web.lanes import Lane, Turns
from api.web.lists import Reader
from api.web.live import LiveFeeds, LivePages
from api.web.metrics import Traffic
from deloton.rules.calendar import day_of
from deloton.running.alert_links import AlertLinks


@dataclass(frozen=True)
class Lanes:
    """How many answers that last may be open in this process."""

    downloads: Lane
    streams: Lane

    @classmethod
    def pair(cls, traffic: Traffic) -> "tuple[Lanes, Lanes]":
        """Those of keys, and fewer of sandbox keys, who take no place from the others.

        All downloads together give way to what else is asked.
        """
        turns = Turns(traffic)
        real = cls._of(turns, downloads=16, streams=5_000)
        return real, cls._of(turns, downloads=8, streams=1_000)

    @classmethod
    def _of(cls, turns: Turns, *, downloads: int, streams: int) -> "Lanes":
        return cls(
            downloads=Lane("downloads", turns, by_key=4, in_all=downloads),
            streams=Lane("streams", turns, by_key=500, in_all=streams),
        )


@dataclass(frozen=True)
class Context:
    """The database, rides in progress, what bounds answers that last, the company's clock.

    Live pages and feeds are called by what is asked for and whether personal fields may leave.
    `links` opens the links of mails; None: nobody makes any. `exports` makes those that are large;
    None: there is nowhere to keep them.
    """

    database: Database
    live_pages: LivePages
    live_feeds: LiveFeeds
    lanes: Lanes
    zone: ZoneInfo
    now: Callable[[], datetime]
    changes_kept_for: timedelta
    private_hosts: frozenset[str]
    links: AlertLinks | None = None
    exports: ExportWork | None = None

    @property
    def today(self) -> date:
        """The day that it is in the company's time zone."""
        return day_of(self.now(), self.zone)

    def reader(self, access: Access) -> Reader:
        """Who reads a list."""
        return Reader(access.key_id, self.lanes.downloads)

    def view(self, access: Access) -> View:
        """What the key may see, as of today."""
        return View(access.personal, self.today)


async def _context_of(request: Request) -> Context:
    """What a request works with: a sandbox key's sees nothing that is real.

    A route takes its key before this: one that does not is not answered at all.
    """
    # A plain function would cost each request a hop to a thread.
    access = access_of(request)
    if access is None and request.scope["path"].startswith("/v1/"):
        raise AssertionError("a route under /v1 takes its key first")
    is_sandbox = access is not None and access.sandbox
    context: Context = request.app.state.sandbox if is_sandbox else request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context_of)]
