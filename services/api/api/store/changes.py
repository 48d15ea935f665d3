"""EDGE: the feed of changes: numbered where some are not yet, then read from a place on."""

from datetime import timedelta
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import BigInteger, Integer, Interval, bindparam, func, select

from api.store.database import Database
from api.store.sandbox import IN_SANDBOX
from api.store.statements import Question, statement
from api.store.told import list_of, told
from deloton.store.tables import change_feed, changes

_AFTER: Final = bindparam("after", type_=BigInteger)

_NUMBER = statement(select(func.number_changes(bindparam("kept_for", type_=Interval))))

_PAGE: Final = (
    select(changes)
    .where(changes.c.change_id > _AFTER, changes.c.simulated == IN_SANDBOX)
    .order_by(changes.c.change_id)
    .limit(bindparam("limit", type_=Integer))
    .subquery("page")
)
# In one statement, so that what is told is from one moment: where the feed stands, and the page.
_FEED = statement(
    told(
        {
            "last_change_id": change_feed.c.last_change_id,
            "forgotten_until": change_feed.c.forgotten_until,
            "changes": list_of(
                {
                    "change_id": _PAGE.c.change_id,
                    "kind": _PAGE.c.kind,
                    "at": _PAGE.c.noted_at,
                    "ride_id": _PAGE.c.ride_id,
                    "rider_id": _PAGE.c.rider_id,
                }
            ),
        }
    )
)


class FeedPage(Struct, frozen=True):
    """Where the feed stands, what it has forgotten, and changes as the API tells them."""

    last_change_id: int
    forgotten_until: int
    changes: list[msgspec.Raw]


async def number_changes(database: Database, kept_for: timedelta) -> None:
    """Give numbers to what was noted since; forget what is older than that."""
    await database.rows(Question(_NUMBER, {"kept_for": kept_for}))


async def read_changes(database: Database, after: int, limit: int) -> FeedPage:
    """The changes after a number, in their order, so many at most."""
    [row] = await database.told(Question(_FEED, {"after": after, "limit": limit}))
    return msgspec.json.decode(row, type=FeedPage)
