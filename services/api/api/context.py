"""SHELL: what every route works with, put together once for the process."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from api.access import Access
from api.answers import View
from api.database import Database
from api.live import LiveFeed


@dataclass(frozen=True)
class Context:
    """The database, the live feed, and the company's clock."""

    database: Database
    live: LiveFeed
    time_zone: str
    now: Callable[[], datetime]

    @property
    def today(self) -> date:
        """The day that it is in the company's time zone."""
        return today_in(self.time_zone, self.now())

    def view(self, access: Access) -> View:
        """What the key may see, as of today."""
        return View(access.personal, self.today)


def today_in(time_zone: str, now: datetime) -> date:
    """The day that it is in a time zone."""
    return now.astimezone(ZoneInfo(time_zone)).date()


def _context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(_context_of)]
