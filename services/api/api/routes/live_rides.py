"""SHELL: rides in progress as the database tells them."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from api.contract.answers import View
from api.contract.paging import (
    AwareTime,
    Cursor,
    digest_of,
    next_address,
    read_cursor,
    write_cursor,
)
from api.contract.parameters import LivePageParameters, LiveParameters
from api.store import queries
from api.store.database import Database
from api.web.live import LivePage, Told
from deloton.rules.calendar import day_of

_PATH = "/v1/live"


class LiveRides:
    """Asks for what is called by parameters and whether personal fields may leave."""

    def __init__(self, database: Database, zone: ZoneInfo, now: Callable[[], datetime]) -> None:
        """Ask this database; `zone` is the company's."""
        self._database = database
        self._zone = zone
        self._now = now

    async def changes(self, asked: tuple[LiveParameters, bool], seen: str | None) -> Told:
        """What has changed since what was seen; None: nothing was."""
        parameters, personal = asked
        now = self._now()
        rows = await self._database.rows(
            queries.live_changes(
                parameters, self._view(now, personal), now, seen or queries.NOTHING_SEEN
            )
        )
        told: dict[str, list[str]] = {"rides": [], "readings": [], "ended": [], "seen": []}
        for row in rows:
            told[row["what"]].append(row["told"])
        ended = told["ended"][0] if told["ended"] else None
        return Told(told["rides"], told["readings"], ended, told["seen"][0])

    async def page(self, asked: tuple[LivePageParameters, bool]) -> LivePage:
        """A page as it is answered; raises a `Problem` for a cursor that is not ours."""
        parameters, personal = asked
        given = {name: value for name, value in parameters.given().items() if name != "cursor"}
        digest, now = digest_of({"path": _PATH, **given}), self._now()
        text = parameters.cursor
        rows = await self._database.told(
            queries.live_page(
                parameters,
                self._view(now, personal),
                now,
                after=None if text is None else read_cursor(text, AwareTime, digest),
                limit=parameters.limit + 1,
            )
        )
        shown, following = rows[: parameters.limit], None
        if len(rows) > parameters.limit:
            last = msgspec.json.decode(shown[-1], type=_Place)
            cursor = write_cursor(Cursor(digest, last.started_at, last.ride_id))
            following = next_address(_PATH, given, cursor)
        listed = msgspec.Raw(f"[{','.join(shown)}]")
        body = msgspec.json.encode({"at": now, "rides": listed, "next": following})
        return LivePage(body, len(shown))

    def _view(self, now: datetime, personal: bool) -> View:
        return View(personal, day_of(now, self._zone))


class _Place(msgspec.Struct):
    """Where a ride stands in the order."""

    ride_id: int
    started_at: AwareTime
