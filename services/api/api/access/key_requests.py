"""EDGE: what keys have asked in each minute, over all processes of the API, in PostgreSQL."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from cachetools import TTLCache
from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, column, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from api.store.database import Database
from api.store.statements import Question, statement
from deloton.store.tables import key_requests

KEPT_FOR: Final = timedelta(minutes=5)
# Whatever is older is asked for by nobody.
REMEMBERED_S: Final = 180.0
MOST_REMEMBERED: Final = 10_000

_asked = (
    func.unnest(
        bindparam("key_ids", type_=ARRAY(Text)), bindparam("numbers", type_=ARRAY(BigInteger))
    )
    .table_valued(column("key_id", Text), column("number", BigInteger))
    .render_derived(name="granted")
)
_MINUTE = bindparam("minute", type_=DateTime(timezone=True))
# In order: two processes never wait for one another.
_adding = insert(key_requests).from_select(
    ["key_id", "minute", "asked"],
    select(_asked.c.key_id, _MINUTE, _asked.c.number).order_by(_asked.c.key_id),
)
_ADD = statement(
    _adding.on_conflict_do_update(
        index_elements=["key_id", "minute"],
        set_={"asked": key_requests.c.asked + _adding.excluded.asked},
    ).returning(key_requests)
)
_FORGET = statement(
    delete(key_requests).where(
        key_requests.c.minute < bindparam("before", type_=DateTime(timezone=True))
    )
)


class KeyRequests:
    """Tells the other processes what this one has granted, and learns what they have."""

    def __init__(self, database: Database) -> None:
        """Nothing is known yet."""
        self._database = database
        self._known: TTLCache[tuple[str, datetime], int] = TTLCache(MOST_REMEMBERED, REMEMBERED_S)

    async def exchange(self, granted: Mapping[str, int], now: datetime) -> dict[str, int]:
        """Add what was granted to keys; return what others granted them since the last time.

        That is of this minute: what a key has asked elsewhere before, nobody counts here.
        """
        keys = {"key_ids": list(granted), "numbers": list(granted.values())}
        minute = now.replace(second=0, microsecond=0)
        others = {}
        for row in await self._database.rows(Question(_ADD, {**keys, "minute": minute})):
            place = row["key_id"], minute
            known = self._known.get(place, 0) + granted[row["key_id"]]
            self._known[place] = row["asked"]
            others[row["key_id"]] = row["asked"] - known
        return others

    async def forget(self, now: datetime) -> None:
        """Leave nothing of minutes that are over."""
        await self._database.rows(Question(_FORGET, {"before": now - KEPT_FOR}))
