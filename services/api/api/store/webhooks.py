"""EDGE: a key's webhooks in PostgreSQL: made, listed, changed, deleted; and their messages."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from api.contract.paging import Cursor
from api.contract.parameters import DeliveryState, NewWebhook, WebhookState
from api.contract.webhook_rules import FORMER_SECRET_SIGNS, GIVE_UP_AFTER, new_secret
from api.store.database import Database, Row
from api.store.statements import Question, Statement, statement
from api.store.told import told
from deloton.running.logs import get_logger
from deloton.store.tables import api_keys, change_feed, webhook_deliveries, webhooks

MOST_OF_A_KEY: Final = 20

_log = get_logger(__name__)

_KEY_ID: Final = bindparam("of_key", type_=Text)
_WEBHOOK_ID: Final = bindparam("of_webhook", type_=BigInteger)
_SENT: Final = webhook_deliveries.c

_FACTS: Final = (
    *(webhooks.c[name] for name in ("webhook_id", "url", "kinds", "state", "off_because")),
    webhooks.c.change_id.label("last_change_id"),
    *(webhooks.c[name] for name in ("failures", "failing_since", "created_at")),
    select(func.count())
    .where(_SENT.webhook_id == webhooks.c.webhook_id, _SENT.state == DeliveryState.PENDING.value)
    .scalar_subquery()
    .label("waiting"),
    case((webhooks.c.former_until > func.now(), webhooks.c.former_until)).label(
        "former_secret_until"
    ),
)
_OF_KEY: Final = statement(
    select(*_FACTS).where(webhooks.c.key_id == _KEY_ID).order_by(webhooks.c.webhook_id)
)
_ONE: Final = statement(
    select(*_FACTS).where(webhooks.c.key_id == _KEY_ID, webhooks.c.webhook_id == _WEBHOOK_ID)
)


async def webhooks_of(database: Database, key_id: str) -> Sequence[Row]:
    """The webhooks of a key, oldest first."""
    return await database.rows(Question(_OF_KEY, {"of_key": key_id}))


async def webhook_of(database: Database, key_id: str, webhook_id: int) -> Row | None:
    """One webhook, if the key has it."""
    return await database.row(Question(_ONE, {"of_key": key_id, "of_webhook": webhook_id}))


async def make_webhook(
    database: Database, key_id: str, wanted: NewWebhook
) -> tuple[int, bytes] | None:
    """Make a webhook that is told what changes from now on: its number and its secret.

    None where the key has as many as it may have.
    """
    secret = new_secret()
    kinds = None if wanted.kinds is None else sorted({kind.value for kind in wanted.kinds})
    async with database.transaction() as transaction:
        # Two at once are counted one after the other.
        await transaction.rows(
            select(api_keys.c.key_id).where(api_keys.c.key_id == key_id).with_for_update()
        )
        has = await transaction.row(
            select(func.count().label("has")).where(webhooks.c.key_id == key_id)
        )
        if has is None or has["has"] >= MOST_OF_A_KEY:
            return None
        now = select(change_feed.c.last_change_id).scalar_subquery()
        made = await transaction.row(
            insert(webhooks)
            .values(key_id=key_id, url=wanted.url, kinds=kinds, secret=secret, change_id=now)
            .returning(webhooks.c.webhook_id)
        )
    webhook_id = int(made["webhook_id"]) if made else 0
    _log.info("webhook made", webhook_id=webhook_id, key_id=key_id)
    return webhook_id, secret


async def delete_webhook(database: Database, key_id: str, webhook_id: int) -> bool:
    """Delete a webhook with its messages; False where the key has no such."""
    async with database.transaction() as transaction:
        gone = await transaction.rows(
            delete(webhooks)
            .where(webhooks.c.key_id == key_id, webhooks.c.webhook_id == webhook_id)
            .returning(webhooks.c.webhook_id)
        )
    return bool(gone)


async def change_secret(database: Database, key_id: str, webhook_id: int) -> bytes | None:
    """Give a webhook another secret; the former one signs beside it for a day."""
    secret = new_secret()
    former = {
        "former_secret": webhooks.c.secret,
        "former_until": func.now() + literal(FORMER_SECRET_SIGNS),
    }
    async with database.transaction() as transaction:
        changed = await transaction.rows(
            update(webhooks)
            .where(webhooks.c.key_id == key_id, webhooks.c.webhook_id == webhook_id)
            .values(secret=secret, **former)
            .returning(webhooks.c.webhook_id)
        )
    return secret if changed else None


async def switch_on(database: Database, key_id: str, webhook_id: int, *, from_now: bool) -> bool:
    """Switch a webhook on again, from where it was; what waits is tried at once, for three days.

    False where the key has no such webhook, and where changes that it was not told of are
    forgotten; but not where it is to be told from now on.
    """
    fresh: dict[str, Any] = {"failures": 0, "failing_since": None, "next_try_at": func.now()}
    known = webhooks.c.change_id >= select(change_feed.c.forgotten_until).scalar_subquery()
    if from_now:
        fresh["change_id"] = select(change_feed.c.last_change_id).scalar_subquery()
        known = true()
    async with database.transaction() as transaction:
        changed = await transaction.rows(
            update(webhooks)
            .where(webhooks.c.key_id == key_id, webhooks.c.webhook_id == webhook_id, known)
            .values(state=WebhookState.ON.value, off_because=None, **fresh)
            .returning(webhooks.c.webhook_id)
        )
        if changed:
            await transaction.rows(
                update(webhook_deliveries)
                .where(_SENT.webhook_id == webhook_id, _SENT.state == DeliveryState.PENDING.value)
                .values(next_try_at=func.now(), give_up_at=func.now() + literal(GIVE_UP_AFTER))
            )
    return bool(changed)


def deliveries_page(
    webhook_id: int, state: DeliveryState | None, after: Cursor[Any] | None, limit: int
) -> Question:
    """A webhook's messages, newest first."""
    given: dict[str, Any] = {"of_webhook": webhook_id, "limit": limit}
    if state is not None:
        given["state"] = state.value
    if after is not None:
        given["before"] = after.value
    return Question(_DELIVERIES[state is not None, after is not None], given)


def _deliveries(*, by_state: bool, follows: bool) -> Statement:
    query = select(webhook_deliveries).where(_SENT.webhook_id == _WEBHOOK_ID)
    if by_state:
        query = query.where(_SENT.state == bindparam("state", type_=Text))
    if follows:
        query = query.where(_SENT.delivery_id < bindparam("before", type_=BigInteger))
    limit = bindparam("limit", type_=Integer)
    page = query.order_by(_SENT.delivery_id.desc()).limit(limit).subquery("page")
    is_pending = page.c.state == DeliveryState.PENDING.value
    names = ("delivery_id", "change_id", "kind", "ride_id", "rider_id", "state", "attempts")
    fields = {
        **{name: page.c[name] for name in (*names, "last_status", "last_error", "created_at")},
        "next_try_at": case((is_pending, page.c.next_try_at)),
        "settled_at": page.c.settled_at,
    }
    return statement(told(fields))


_DELIVERIES: Final = {
    (by_state, follows): _deliveries(by_state=by_state, follows=follows)
    for by_state in (False, True)
    for follows in (False, True)
}
