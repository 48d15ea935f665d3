"""EDGE: messages in PostgreSQL: made of changes, taken in hand by one worker, settled.

Any number of workers do this side by side. A message that a worker has in hand is no other's until
its time is up; one about the same ride or rider as an earlier one waits until that is settled.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg
from msgspec import Struct

from api.contract.webhook_rules import CAREFUL_FROM, GIVE_UP_AFTER, careful_wait_s, wait_s

# The most changes that messages are made of at a time, for each webhook.
CHANGES_AT_ONCE: Final = 1_000
# The most messages that an endpoint gets at a time, of one worker.
AT_ONCE: Final = 5
# Longer than a try may take.
IN_HAND_FOR: Final = timedelta(seconds=60)
KEPT_FOR: Final = timedelta(days=30)
FORGOTTEN_AT_ONCE: Final = 5_000

_HAS_KEY: Final = """
key_id IN (
    SELECT key_id FROM api_keys
    WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
)
"""

_NUMBER: Final = "SELECT number_changes($1)"

_MAKE: Final = f"""
WITH behind AS (
    SELECT webhook_id, change_id, kinds, key_id FROM webhooks
    WHERE state = 'on' AND {_HAS_KEY}
    AND change_id < (SELECT last_change_id FROM change_feed)
    FOR UPDATE SKIP LOCKED
), page AS (
    SELECT behind.webhook_id, behind.kinds, later.*,
           later.simulated = (
               SELECT sandbox FROM api_keys WHERE api_keys.key_id = behind.key_id
           ) AS is_seen
    FROM behind CROSS JOIN LATERAL (
        SELECT change_id, kind, ride_id, rider_id, noted_at, simulated FROM changes
        WHERE changes.change_id > behind.change_id ORDER BY changes.change_id LIMIT $1
    ) later
), moved AS (
    UPDATE webhooks SET change_id = page_end.change_id
    FROM (SELECT webhook_id, max(change_id) AS change_id FROM page GROUP BY webhook_id) page_end
    WHERE webhooks.webhook_id = page_end.webhook_id
), made AS (
    INSERT INTO webhook_deliveries (
        webhook_id, change_id, kind, ride_id, rider_id, noted_at, about, give_up_at
    )
    SELECT webhook_id, change_id, kind, ride_id, rider_id, noted_at,
           coalesce('ride ' || ride_id, 'rider ' || rider_id), now() + $2::interval
    FROM page WHERE is_seen AND (kinds IS NULL OR kind = ANY(kinds))
    ON CONFLICT (webhook_id, change_id) DO NOTHING
)
SELECT count(*) FROM page
"""  # noqa: S608  SQL of our own

_TAKE: Final = f"""
WITH open AS (
    SELECT webhook_id, CASE WHEN failures < {CAREFUL_FROM} THEN {AT_ONCE} ELSE 1 END - (
        SELECT count(*) FROM webhook_deliveries
        WHERE webhook_deliveries.webhook_id = webhooks.webhook_id
        AND state = 'pending' AND owned_until > now()
    ) AS room
    FROM webhooks WHERE state = 'on' AND next_try_at <= now() AND {_HAS_KEY}
), due AS (
    SELECT next.delivery_id FROM open CROSS JOIN LATERAL (
        SELECT delivery_id FROM webhook_deliveries delivery
        WHERE webhook_id = open.webhook_id AND state = 'pending' AND next_try_at <= now()
        AND (owned_until IS NULL OR owned_until <= now())
        AND NOT EXISTS (
            SELECT FROM webhook_deliveries earlier
            WHERE earlier.webhook_id = delivery.webhook_id AND earlier.about = delivery.about
            AND earlier.state = 'pending' AND earlier.change_id < delivery.change_id
        )
        ORDER BY next_try_at, change_id LIMIT greatest(open.room, 0) FOR UPDATE SKIP LOCKED
    ) next
    ORDER BY random() LIMIT $1
)
UPDATE webhook_deliveries delivery
SET owned_until = now() + $2::interval, attempts = attempts + 1
FROM due, webhooks
WHERE delivery.delivery_id = due.delivery_id AND webhooks.webhook_id = delivery.webhook_id
RETURNING delivery.delivery_id, delivery.webhook_id, delivery.attempts, delivery.change_id,
          delivery.kind, delivery.ride_id, delivery.rider_id, delivery.noted_at,
          webhooks.url, webhooks.failures, webhooks.secret,
          CASE WHEN former_until > now() THEN former_secret END AS former_secret
"""  # noqa: S608

_DELIVERED: Final = """
WITH settled AS (
    UPDATE webhook_deliveries SET state = 'delivered', settled_at = now(), owned_until = NULL,
        last_status = $3, last_error = NULL
    WHERE delivery_id = $1 AND attempts = $2 AND state = 'pending' RETURNING webhook_id
), recovered AS (
    UPDATE webhooks SET failures = 0, failing_since = NULL, next_try_at = now()
    WHERE webhook_id IN (SELECT webhook_id FROM settled) AND failures > 0
)
SELECT 'delivered' FROM settled
"""

# An endpoint that has taken nothing for as long as a message is tried for is dead.
_NOT_DELIVERED: Final = """
WITH settled AS (
    UPDATE webhook_deliveries
    SET state = CASE WHEN give_up_at <= now() THEN 'failed' ELSE 'pending' END,
        settled_at = CASE WHEN give_up_at <= now() THEN now() END,
        owned_until = NULL, next_try_at = now() + $5::interval, last_status = $3, last_error = $4
    WHERE delivery_id = $1 AND attempts = $2 AND state = 'pending' RETURNING webhook_id, state
), failing AS (
    UPDATE webhooks SET failures = failures + 1, failing_since = coalesce(failing_since, now()),
        next_try_at = now() + $6::interval,
        state = CASE WHEN $7 OR failing_since <= now() - $8::interval THEN 'off' ELSE state END,
        off_because = CASE WHEN $7 THEN 'gone' WHEN failing_since <= now() - $8::interval
                           THEN 'dead' ELSE off_because END
    WHERE webhook_id IN (SELECT webhook_id FROM settled)
    RETURNING state
)
SELECT settled.state, failing.state AS webhook_state FROM settled, failing
"""

_LET_GO: Final = """
UPDATE webhook_deliveries SET owned_until = NULL
FROM unnest($1::bigint[], $2::int[]) AS taken (delivery_id, attempts)
WHERE state = 'pending' AND webhook_deliveries.delivery_id = taken.delivery_id
AND webhook_deliveries.attempts = taken.attempts
"""

_WAITING: Final = """
SELECT count(*) AS messages,
       coalesce(extract(epoch FROM now() - min(delivery.created_at)), 0)::float8 AS oldest_s
FROM webhook_deliveries delivery JOIN webhooks USING (webhook_id)
WHERE delivery.state = 'pending' AND webhooks.state = 'on' AND webhooks.failures = 0
"""

_FORGET: Final = """
DELETE FROM webhook_deliveries WHERE delivery_id IN (
    SELECT delivery_id FROM webhook_deliveries WHERE settled_at < now() - $1::interval LIMIT $2
)
"""


class Delivery(Struct, frozen=True):
    """A message in hand: what it tells, where it goes, what signs it; the how manieth try it is."""

    delivery_id: int
    webhook_id: int
    attempts: int
    change_id: int
    kind: str
    ride_id: int | None
    rider_id: int | None
    noted_at: datetime
    url: str
    failures: int
    secret: bytes
    former_secret: bytes | None

    @property
    def secrets(self) -> list[bytes]:
        """What signs it: the secret, and for a day the former one."""
        return [self.secret, *([self.former_secret] if self.former_secret else [])]


class Settled(Struct, frozen=True):
    """What became of a message, and whether its webhook is on."""

    state: str
    webhook_state: str


class Queue:
    """All webhooks' messages; every method may raise what the database's absence raises."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        """Ask through this pool."""
        self._pool = pool

    async def make(self, changes_kept_for: timedelta) -> int:
        """Make messages of what has changed since; return how many changes were looked at."""
        await self._pool.execute(_NUMBER, changes_kept_for)
        return int(await self._pool.fetchval(_MAKE, CHANGES_AT_ONCE, GIVE_UP_AFTER))

    async def take(self, most: int) -> Sequence[Delivery]:
        """Take messages in hand that are due; nobody else sends them for `IN_HAND_FOR`."""
        rows = await self._pool.fetch(_TAKE, most, IN_HAND_FOR)
        return [Delivery(**row) for row in rows]

    async def note_delivered(self, delivery: Delivery, status: int) -> bool:
        """The endpoint has taken it; False where that was no longer ours to say."""
        row = await self._pool.fetchrow(_DELIVERED, delivery.delivery_id, delivery.attempts, status)
        return row is not None

    async def note_failure(
        self, delivery: Delivery, status: int | None, error: str, *, gone: bool
    ) -> Settled | None:
        """It was not taken: it is tried again later, or given up; None as above.

        `gone`: the endpoint says that it wants no more, and is asked nothing any more.
        """
        row = await self._pool.fetchrow(
            _NOT_DELIVERED,
            delivery.delivery_id,
            delivery.attempts,
            status,
            error,
            timedelta(seconds=wait_s(delivery.attempts)),
            timedelta(seconds=careful_wait_s(delivery.failures + 1)),
            gone,
            GIVE_UP_AFTER,
        )
        return Settled(**row) if row else None

    async def let_go(self, deliveries: Sequence[Delivery]) -> None:
        """Give back what was taken in hand and not settled: another may send it at once."""
        await self._pool.execute(
            _LET_GO,
            [delivery.delivery_id for delivery in deliveries],
            [delivery.attempts for delivery in deliveries],
        )

    async def waiting(self) -> tuple[int, float]:
        """How many messages wait for endpoints that take them, and the oldest's age in seconds."""
        row = await self._pool.fetchrow(_WAITING)
        return (row["messages"], row["oldest_s"]) if row else (0, 0.0)

    async def forget(self) -> None:
        """Forget some of what was settled long ago."""
        await self._pool.execute(_FORGET, KEPT_FOR, FORGOTTEN_AT_ONCE)
