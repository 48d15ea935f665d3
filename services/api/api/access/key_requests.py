"""EDGE: what keys have asked in each minute, over all processes of the API, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from cachetools import TTLCache
from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Text,
    any_,
    bindparam,
    column,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from api.store.database import Database
from api.store.statements import Question, statement
from deloton.store.tables import key_requests

# A key, and the beginning of a minute.
Place: TypeAlias = tuple[str, datetime]

MINUTE: Final = timedelta(minutes=1)
KEPT_FOR: Final = timedelta(minutes=5)
# Whatever is older is asked for by nobody.
REMEMBERED_S: Final = 180.0
MOST_REMEMBERED: Final = 30_000

_UTC = DateTime(timezone=True)
_KEY_IDS = bindparam("key_ids", type_=ARRAY(Text))
_granted = (
    func.unnest(
        _KEY_IDS,
        bindparam("minutes", type_=ARRAY(_UTC)),
        bindparam("numbers", type_=ARRAY(BigInteger)),
    )
    .table_valued(column("key_id", Text), column("minute", _UTC), column("number", BigInteger))
    .render_derived(name="granted")
)
# In order: two processes never wait for one another.
_adding = insert(key_requests).from_select(
    ["key_id", "minute", "asked"], select(_granted).order_by(_granted.c.key_id, _granted.c.minute)
)
_ADD = statement(
    _adding.on_conflict_do_update(
        index_elements=["key_id", "minute"],
        set_={"asked": key_requests.c.asked + _adding.excluded.asked},
    )
)
_ASKED = statement(
    select(key_requests).where(
        key_requests.c.key_id == any_(_KEY_IDS),
        key_requests.c.minute >= bindparam("since", type_=_UTC),
    )
)
_FORGET = statement(
    delete(key_requests).where(key_requests.c.minute < bindparam("before", type_=_UTC))
)


def minute_of(moment: datetime) -> datetime:
    """When the minute of a moment began."""
    return moment.replace(second=0, microsecond=0)


class KeyRequests:
    """Tells the other processes what this one has granted, and learns what they have."""

    def __init__(self, database: Database) -> None:
        """Nothing is known yet."""
        self._database = database
        self._told: TTLCache[Place, int] = TTLCache(MOST_REMEMBERED, REMEMBERED_S)
        self._heard: TTLCache[Place, int] = TTLCache(MOST_REMEMBERED, REMEMBERED_S)

    async def tell(self, granted: Mapping[Place, int]) -> None:
        """Add what was granted to keys, each in its minute; after an error nothing was told."""
        key_ids, minutes = (list(each) for each in zip(*granted, strict=True))
        added = {"key_ids": key_ids, "minutes": minutes, "numbers": list(granted.values())}
        # Before it is asked for: whoever hears meanwhile takes none of it for another's.
        self._remember(granted, 1)
        try:
            await self._database.rows(Question(_ADD, added))
        except Exception:
            self._remember(granted, -1)
            raise

    async def hear(self, key_ids: Sequence[str], now: datetime) -> dict[Place, int]:
        """What others granted these keys in this minute and the one before, if not heard before.

        A sliding minute needs no older ones.
        """
        asked = {"key_ids": list(key_ids), "since": minute_of(now) - MINUTE}
        news = {}
        for row in await self._database.rows(Question(_ASKED, asked)):
            place = row["key_id"], row["minute"]
            heard = self._heard.get(place, 0)
            others = row["asked"] - self._told.get(place, 0)
            if others > heard:
                self._heard[place] = others
                news[place] = others - heard
        return news

    def _remember(self, granted: Mapping[Place, int], sign: int) -> None:
        for place, number in granted.items():
            self._told[place] = self._told.get(place, 0) + sign * number

    async def forget(self, now: datetime) -> None:
        """Leave nothing of minutes that are over."""
        await self._database.rows(Question(_FORGET, {"before": now - KEPT_FOR}))
