"""EDGE: exports that are made in the background, as rows: asked for, taken in hand, finished.

A row is what lasts: whoever made an export and stopped has lost it after `LEASE`, and another takes
it up. Its file is removed before its row says so.
"""

import secrets
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    Update,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from api.contract.problems import too_many_open
from api.store.database import Database, Row, Transaction
from api.store.deletion import note
from api.store.sandbox import RIDER_IN_VIEW
from api.store.statements import Question, statement
from deloton.store.tables import api_keys, exports, riders, rides

# What is larger than the export of so many rides is made in the background.
LARGE_EXPORT_RIDES: Final = 200
# Of each key.
MOST_EXPORTS: Final = 20
KEPT_FOR: Final = timedelta(hours=24)
# Whoever has one in hand says so more often than this.
LEASE: Final = timedelta(seconds=60)
MOST_ATTEMPTS: Final = 3
FORGOTTEN_AFTER: Final = timedelta(days=30)

_EXPORT_ID = bindparam("of_export", type_=BigInteger)
_OWNER = bindparam("of_owner", type_=Text)
_IS_OURS: Final = and_(exports.c.export_id == _EXPORT_ID, exports.c.owner == _OWNER)
_NOBODYS: Final = or_(exports.c.owner.is_(None), exports.c.owned_until < func.now())
_HAS_FILE_YET: Final = exports.c.removed_at.is_(None)
_NO_OWNER: Final = {"owner": None, "owned_until": None}


async def request_export(
    database: Database, key_id: str, rider_id: int, reason: str | None
) -> Row | None:
    """The export of a rider for a key, which is noted in the audit; None where there is no rider.

    Who asks again while there is one gets that. Raises a `Problem` where the key has too many.
    """
    async with database.transaction() as transaction:
        # Of two requests of a key the second sees what the first has made.
        await transaction.rows(
            select(api_keys.c.key_id)
            .where(api_keys.c.key_id == key_id)
            .with_for_update(key_share=True)
        )
        if not await transaction.rows(
            select(riders.c.rider_id).where(riders.c.rider_id == rider_id, RIDER_IN_VIEW)
        ):
            return None
        held = await _held_by(transaction, key_id)
        for row in held:
            if row["rider_id"] == rider_id:
                return row
        if len(held) >= MOST_EXPORTS:
            raise too_many_open(f"This key may have {MOST_EXPORTS} exports at a time.")
        await note(transaction, key_id, "export_rider", rider_id, reason)
        made = insert(exports).values(
            key_id=key_id, rider_id=rider_id, secret=secrets.token_bytes(32)
        )
        return await transaction.row(made.returning(exports))


async def _held_by(transaction: Transaction, key_id: str) -> list[Row]:
    is_of_use = or_(
        exports.c.state == "queued",
        exports.c.state == "running",
        and_(exports.c.state == "ready", exports.c.expires_at > func.now()),
    )
    return await transaction.rows(select(exports).where(exports.c.key_id == key_id, is_of_use))


_OF_KEY = statement(
    select(exports).where(
        exports.c.export_id == _EXPORT_ID, exports.c.key_id == bindparam("key_id", type_=Text)
    )
)
_READY = statement(
    select(exports).where(
        exports.c.export_id == _EXPORT_ID,
        exports.c.state == "ready",
        exports.c.expires_at > func.now(),
    )
)
_RIDE_COUNT = statement(
    select(func.count()).select_from(
        select(rides.c.ride_id)
        .where(rides.c.rider_id == bindparam("rider_id", type_=BigInteger))
        .limit(LARGE_EXPORT_RIDES + 1)
        .subquery()
    )
)


async def export_of_key(database: Database, key_id: str, export_id: int) -> Row | None:
    """An export of a key; None where the key has none of this number."""
    return await database.row(Question(_OF_KEY, {"of_export": export_id, "key_id": key_id}))


async def ready_export(database: Database, export_id: int) -> Row | None:
    """An export whose file is there; whoever asks must have proved who it is by other means."""
    return await database.row(Question(_READY, {"of_export": export_id}))


async def is_large(database: Database, rider_id: int) -> bool:
    """Whether a rider's export is better made in the background."""
    [row] = await database.rows(Question(_RIDE_COUNT, {"rider_id": rider_id}))
    return int(row["count_1"]) > LARGE_EXPORT_RIDES


_WAITS: Final = and_(
    _HAS_FILE_YET,
    or_(
        exports.c.state == "queued",
        and_(exports.c.state == "running", exports.c.owned_until < func.now()),
    ),
)
_NEXT = (
    select(exports.c.export_id)
    .where(_WAITS, exports.c.attempts < MOST_ATTEMPTS)
    .order_by(exports.c.export_id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_CLAIM = statement(
    update(exports)
    .where(exports.c.export_id == _NEXT)
    .values(
        state="running",
        owner=_OWNER,
        owned_until=func.now() + LEASE,
        attempts=exports.c.attempts + 1,
    )
    .returning(exports)
)


def _ours(**values: Any) -> Update:  # noqa: ANN401  SQL's
    """A change of an export that its owner still has in hand."""
    return update(exports).where(_IS_OURS, exports.c.state == "running").values(**values)


_RENEW = statement(_ours(owned_until=func.now() + LEASE).returning(exports.c.export_id))
_FINISH = statement(
    _ours(
        state="ready",
        finished_at=func.now(),
        expires_at=func.now() + KEPT_FOR,
        size_bytes=bindparam("bytes", type_=BigInteger),
        **_NO_OWNER,
    ).returning(exports.c.export_id)
)
_TRY_AGAIN = statement(_ours(state="queued", **_NO_OWNER))
_FAILED: Final = {
    "state": "failed",
    "finished_at": func.now(),
    "expires_at": func.now() + KEPT_FOR,
    **_NO_OWNER,
}
_FAIL = statement(_ours(**_FAILED))
# Each of its makers is gone, and none came to say that it failed.
_GIVE_UP = statement(
    update(exports)
    .where(_WAITS, exports.c.attempts >= MOST_ATTEMPTS)
    .values(**_FAILED)
    .returning(exports.c.export_id)
)
_LET_GO = statement(update(exports).where(_IS_OURS).values(**_NO_OWNER))
_OVER: ColumnElement[bool] = or_(exports.c.state == "expired", exports.c.expires_at <= func.now())
_TO_REMOVE = statement(
    select(exports.c.export_id, exports.c.attempts).where(_HAS_FILE_YET, _NOBODYS, _OVER).limit(100)
)
_REMOVED = statement(
    update(exports)
    .where(exports.c.export_id == _EXPORT_ID)
    .values(state="expired", removed_at=func.now(), **_NO_OWNER)
)
_FORGET = statement(delete(exports).where(exports.c.removed_at < func.now() - FORGOTTEN_AFTER))


class Hand:
    """One process' hold on exports: what it has taken up, and says of it."""

    def __init__(self, database: Database) -> None:
        """Hold nothing yet, under a name that no other process has."""
        self._database = database
        self._owner = secrets.token_hex(8)

    async def claim(self) -> Row | None:
        """Take up the oldest export that waits, or whose maker is gone; None: there is none."""
        return await self._database.row(Question(_CLAIM, {"of_owner": self._owner}))

    async def renew(self, export_id: int) -> bool:
        """Go on holding it; False where it is ours no more."""
        return bool(await self._say(_RENEW, export_id))

    async def finish(self, export_id: int, size_bytes: int) -> bool:
        """Its file is there; False where it is ours no more, so that the file has to go."""
        return bool(await self._say(_FINISH, export_id, bytes=size_bytes))

    async def fail(self, export_id: int, attempts: int) -> None:
        """It could not be made: it waits for another try, or failed for good."""
        await self._say(_FAIL if attempts >= MOST_ATTEMPTS else _TRY_AGAIN, export_id)

    async def let_go(self, export_id: int) -> None:
        """Its file is not there, and none comes from us."""
        await self._say(_LET_GO, export_id)

    async def _say(self, of: Any, export_id: int, **given: object) -> list[Row]:  # noqa: ANN401
        values = {"of_export": export_id, "of_owner": self._owner, **given}
        return await self._database.rows(Question(of, values))


async def give_up_exports(database: Database) -> list[int]:
    """Those whose tries are used up have failed, whatever became of the last one; their ids."""
    return [row["export_id"] for row in await database.rows(Question(_GIVE_UP, {}))]


async def exports_to_remove(database: Database) -> list[Row]:
    """Ids and attempts of those whose files have to go: expired, or of erased riders; up to 100."""
    return await database.rows(Question(_TO_REMOVE, {}))


async def note_removed(database: Database, export_id: int) -> None:
    """Its file is gone."""
    await database.rows(Question(_REMOVED, {"of_export": export_id}))


async def forget_removed(database: Database) -> None:
    """Leave nothing of exports whose files are gone for a month."""
    await database.rows(Question(_FORGET, {}))
