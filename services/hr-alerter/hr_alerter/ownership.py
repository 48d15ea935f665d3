"""EDGE: which alerter sends which mail. It stands in the mail's row: owner, lease and fence.

A claim lasts for a few seconds and is renewed while its alerter lives. Each is a higher number, the
fence: who was cut off and comes back finds another one in the row and lets go. Before a mail goes
out the claim is looked at once more, and made to last until the provider must have answered and the
answer be stored; so nobody else sends it meanwhile, whatever happens to the connection.

All times are the database's own.
"""

import socket
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import asyncpg
from msgspec import Struct

from deloton.rules.heart_rate import AlertLevel
from deloton.rules.whose import Whose, whose_bike
from hr_alerter.alerts import AlertState, BegunAlert, Claim, MailKind
from hr_alerter.refusals import refuse_addresses

_CLAIM = """
WITH free AS MATERIALIZED (
    SELECT alert_id FROM {table}
    WHERE state IN ('pending', 'sending') AND (state = 'pending' OR owned_until < now())
    ORDER BY level = 'critical' DESC, measured_at
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS mails
SET state = 'sending', owner = $1, fence = fence + 1, owned_until = now() + $2::interval
FROM free
WHERE mails.alert_id = free.alert_id
RETURNING mails.alert_id, fence, level, coalesce(seen_at, measured_at) AS seen_at
"""

# Those alone that are in hand: of one whose claim was answered to nobody its owner does not know.
# Its lease ends, and it is claimed anew.
_RENEW = """
UPDATE {table} SET owned_until = greatest(owned_until, now() + $2::interval)
WHERE owner = $1 AND state = 'sending' AND alert_id = ANY($3::bigint[])
RETURNING alert_id, fence, coalesce(seen_at, measured_at) AS seen_at
"""

# The bike of a mail's ride, which says whether the rider is a real one.
_BIKE = """(
    SELECT bike_serial FROM heart_rate_alerts AS told JOIN rides USING (ride_id)
    WHERE told.alert_id = mails.alert_id
) AS bike_serial"""

# What came too late is put aside at once: at the rate of mails it would keep the fresh ones waiting
# until they are too late as well.
_EXPIRE_UNOWNED = """
WITH late AS MATERIALIZED (
    SELECT alert_id FROM {table}
    WHERE state = 'pending' AND coalesce(seen_at, measured_at) < $1
    FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS mails SET state = 'expired', settled_at = now()
FROM late WHERE mails.alert_id = late.alert_id
RETURNING mails.alert_id, level, {bike}
"""
_EXPIRE_OWNED = """
UPDATE {table} AS mails
SET state = 'expired', settled_at = now(), owner = NULL, owned_until = NULL,
    attempts = mails.attempts + late.attempts
FROM unnest($3::bigint[], $4::integer[]) AS late (alert_id, attempts)
WHERE mails.alert_id = late.alert_id AND owner = $2 AND state = 'sending'
AND coalesce(seen_at, measured_at) < $1
RETURNING mails.alert_id, level, {bike}
"""

# Address and wish are read now: much may have changed while the mail waited.
_BEGIN = """
WITH begun AS (
    UPDATE heart_rate_alerts SET owned_until = now() + $4::interval
    WHERE alert_id = $1 AND owner = $2 AND fence = $3 AND state = 'sending'
    RETURNING *
)
SELECT alert_id, ride_id, level, measured_at, coalesce(begun.seen_at, measured_at) AS seen_at,
       coalesce(seen_bpm, heart_rate_bpm) AS heart_rate_bpm, limit_bpm, limit_rule,
       first_name, email, coalesce(alerts_on, true) AS is_wanted,
       EXISTS (
           SELECT FROM refused_addresses AS refused WHERE refused.rider_id = begun.rider_id
           AND digest = sha256(convert_to(lower(email), 'UTF8'))
       ) AS is_refused,
       (SELECT bike_serial FROM rides WHERE rides.ride_id = begun.ride_id) AS bike_serial
FROM begun LEFT JOIN riders USING (rider_id) LEFT JOIN rider_limits USING (rider_id)
"""

# Only whom a mail told of the danger is told that it is over.
_BEGIN_RECOVERY = """
WITH begun AS (
    UPDATE heart_rate_recoveries SET owned_until = now() + $4::interval
    WHERE alert_id = $1 AND owner = $2 AND fence = $3 AND state = 'sending'
    RETURNING *
)
SELECT alert_id, alerts.ride_id, begun.level, begun.measured_at, begun.seen_at,
       begun.heart_rate_bpm, limit_bpm, limit_rule, first_name, email,
       coalesce(alerts_on, true) AND alerts.state = 'sent' AS is_wanted,
       EXISTS (
           SELECT FROM refused_addresses AS refused WHERE refused.rider_id = alerts.rider_id
           AND digest = sha256(convert_to(lower(email), 'UTF8'))
       ) AS is_refused,
       ended_at IS NULL AS is_riding, bike_serial
FROM begun
JOIN heart_rate_alerts AS alerts USING (alert_id)
JOIN rides USING (ride_id)
LEFT JOIN riders ON riders.rider_id = alerts.rider_id
LEFT JOIN rider_limits ON rider_limits.rider_id = alerts.rider_id
"""

# That a mail was accepted is a fact, whoever has it by now.
_SETTLE = """
UPDATE {table}
SET state = $4, settled_at = now(), owner = NULL, owned_until = NULL, attempts = attempts + $6,
    provider_message_id = $7, latency_ms = $8
WHERE alert_id = $1 AND (
    (owner = $2 AND fence = $3 AND state = 'sending')
    OR ($4 = 'sent' AND state <> 'sent' AND measured_at = $5)
)
RETURNING alert_id
"""

_LET_GO = """
UPDATE {table} AS mails
SET state = new.state, settled_at = CASE new.state WHEN 'unknown' THEN now() END,
    owner = NULL, owned_until = NULL
FROM (
    SELECT alert_id,
           CASE WHEN alert_id = ANY($2::bigint[]) THEN 'unknown' ELSE 'pending' END AS state
    FROM {table} WHERE owner = $1 AND state = 'sending'
) AS new
WHERE mails.alert_id = new.alert_id AND owner = $1
"""

# Mails of a kind have a table of their own; nearly all that is asked of both is the same.
_TABLES: Final = {
    MailKind.ALERT: ("heart_rate_alerts", _BEGIN),
    MailKind.RECOVERY: ("heart_rate_recoveries", _BEGIN_RECOVERY),
}


class _Statements(Struct, frozen=True):
    """What is asked of the mails of one kind."""

    claim: str
    renew: str
    expire_unowned: str
    expire_owned: str
    begin: str
    settle: str
    let_go: str

    @classmethod
    def of(cls, kind: MailKind) -> "_Statements":
        """Those of a kind."""
        table, begin = _TABLES[kind]
        claim, renew, expire_unowned, expire_owned, settle, let_go = (
            asked.format(table=table, bike=_BIKE)
            for asked in (_CLAIM, _RENEW, _EXPIRE_UNOWNED, _EXPIRE_OWNED, _SETTLE, _LET_GO)
        )
        return cls(claim, renew, expire_unowned, expire_owned, begin, settle, let_go)


class Leases(Struct, frozen=True):
    """How long a claim lasts without a word of its alerter, and how long one whose mail is out."""

    claim: timedelta = timedelta(seconds=5)
    sending: timedelta = timedelta(seconds=20)


class Held(Struct, frozen=True):
    """A claim that is still ours: its fence, and when the danger was last seen."""

    fence: int
    seen_at: datetime


class Expired(Struct, frozen=True):
    """A mail that came too late: how grave its danger was, and whether it was a real rider's."""

    level: AlertLevel
    whose: Whose = Whose.RIDER


class Owner:
    """One running alerter's mails of a kind, under a name that no other has or had."""

    def __init__(self, pool: asyncpg.Pool, leases: Leases, kind: MailKind = MailKind.ALERT) -> None:
        """Own nothing yet."""
        self._kind = kind
        self._asks = _Statements.of(kind)
        self.name = f"{socket.gethostname()} {uuid.uuid4().hex[:12]}"
        self._pool = pool
        self._leases = leases

    async def claim(self, most: int) -> list[Claim]:
        """Claim up to so many that nobody owns, critical ones first."""
        rows = await self._pool.fetch(self._asks.claim, self.name, self._leases.claim, most)
        return [
            Claim(
                row["alert_id"], row["fence"], AlertLevel(row["level"]), row["seen_at"], self._kind
            )
            for row in rows
        ]

    async def renew(self, numbers: Collection[int]) -> dict[int, Held]:
        """Keep the claims of these alerts for longer; return those that are still ours."""
        rows = await self._pool.fetch(
            self._asks.renew, self.name, self._leases.claim, list(numbers)
        )
        return {row["alert_id"]: Held(row["fence"], row["seen_at"]) for row in rows}

    async def expire_unowned(self, fresh_from: datetime) -> dict[int, Expired]:
        """Settle what nobody has in hand and was last seen too long ago; return those."""
        return _expired(await self._pool.fetch(self._asks.expire_unowned, fresh_from))

    async def expire(self, attempts: Mapping[int, int], fresh_from: datetime) -> dict[int, Expired]:
        """Settle those of ours, tried so often, that were last seen too long ago.

        Returns those that were; the others have been seen anew, or are not ours.
        """
        late = (list(attempts), list(attempts.values()))
        rows = await self._pool.fetch(self._asks.expire_owned, fresh_from, self.name, *late)
        return _expired(rows)

    async def begin(self, claim: Claim) -> BegunAlert | None:
        """What to tell, as it is now, ours until it is answered for; None where it no longer is.

        It may have become another's, or have been erased.
        """
        row = await self._pool.fetchrow(
            self._asks.begin, claim.alert_id, self.name, claim.fence, self._leases.sending
        )
        if row is None:
            return None
        facts = dict(row)
        whose, level = whose_bike(facts.pop("bike_serial")), AlertLevel(facts.pop("level"))
        return BegunAlert(**facts, level=level, whose=whose, kind=self._kind)

    async def settle(
        self,
        claim: Claim,
        alert: BegunAlert,
        state: AlertState,
        *,
        attempts: int = 0,
        provider_message_id: str | None = None,
        latency_ms: int | None = None,
    ) -> bool:
        """Note what became of a mail; False where that is no longer ours to say.

        Noting it again changes nothing.
        """
        row = await self._pool.fetchrow(
            self._asks.settle,
            claim.alert_id,
            self.name,
            claim.fence,
            state,
            alert.measured_at,
            attempts,
            provider_message_id,
            latency_ms,
        )
        return row is not None

    async def refuse(self, addresses: tuple[str, ...], because: AlertState) -> list[int]:
        """Mail these addresses no more; see `refusals.refuse_addresses`."""
        return await refuse_addresses(self._pool, addresses, because)

    async def let_go(self, with_the_provider: Collection[int]) -> None:
        """Give back all that is ours; what is with the provider has an unknown end."""
        await self._pool.execute(self._asks.let_go, self.name, list(with_the_provider))


def _expired(rows: Sequence[asyncpg.Record]) -> dict[int, Expired]:
    return {
        row["alert_id"]: Expired(AlertLevel(row["level"]), whose_bike(row["bike_serial"]))
        for row in rows
    }
