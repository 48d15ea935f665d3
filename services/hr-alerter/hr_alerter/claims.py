"""EDGE: which alerter sends which alert: who holds a lock of PostgreSQL's on the row.

The locks belong to one connection, not to a transaction: they last while a mail is under way, and
are free at once when their alerter is killed. Its pending alerts are then claimed by another, or
by itself when it is back.
"""

from collections.abc import Collection

import asyncpg
from msgspec import Struct

from deloton.heart_rate import AlertLevel
from hr_alerter.alerts import ClaimedAlert

# Advisory locks are numbers: one far from any that others take, plus the alert's id.
_LOCKS = 0x616C7274 << 32

# How soon the server notices that a machine is gone without a word: 5 + 3 × 2 s.
_SERVER_SETTINGS = {
    "application_name": "hr-alerter claims",
    "timezone": "UTC",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
}

# The limit stands outside: only what is returned has been locked.
_LOCK = f"""
WITH waiting AS MATERIALIZED (
    SELECT alert_id FROM heart_rate_alerts
    WHERE state = 'pending' AND alert_id <> ALL($1::bigint[])
    ORDER BY level = 'critical' DESC, measured_at
)
SELECT alert_id FROM waiting WHERE pg_try_advisory_lock({_LOCKS} + alert_id) LIMIT $2
"""  # noqa: S608  a number of our own

# Asked anew under the locks: another may have sent an alert just before it was locked.
_READ = """
SELECT alert_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, first_name, email
FROM heart_rate_alerts LEFT JOIN riders USING (rider_id)
WHERE alert_id = ANY($1::bigint[]) AND state = 'pending'
"""

_UNLOCK = f"""
SELECT pg_advisory_unlock({_LOCKS} + alert_id) FROM unnest($1::bigint[]) AS alert_id
"""  # noqa: S608  a number of our own
_LOCK_AGAIN = f"""
SELECT alert_id FROM unnest($1::bigint[]) AS alert_id
WHERE NOT pg_try_advisory_lock({_LOCKS} + alert_id)
"""  # noqa: S608  a number of our own


class Claimed(Struct, frozen=True):
    """The alerts that are ours from now on, and those that no longer are."""

    alerts: list[ClaimedAlert]
    lost: set[int]


class Claims:
    """The alerts that this alerter has claimed; not to be asked twice at once."""

    def __init__(self, database_url: str) -> None:
        """Describe the database; connected to when first asked."""
        self._url = database_url
        self._connection: asyncpg.Connection | None = None

    async def claim(self, in_hand: Collection[int], most: int) -> Claimed:
        """Claim up to so many pending alerts, critical ones first, besides those in hand.

        Where the connection had been lost, others may have claimed some of those in hand. Raises
        what asyncpg raises where the database is away.
        """
        connection, lost = await self._connected(in_hand)
        rows = await connection.fetch(_LOCK, list(in_hand), most)
        locked = {row["alert_id"] for row in rows}
        if not locked:
            return Claimed([], lost)
        found = await connection.fetch(_READ, list(locked))
        alerts = [_alert_of(row) for row in found]
        if settled := locked.difference(alert.alert_id for alert in alerts):
            await connection.execute(_UNLOCK, list(settled))
        return Claimed(alerts, lost)

    async def release(self, alert_ids: Collection[int]) -> None:
        """Let go of alerts that are settled."""
        if alert_ids and self._connection is not None and not self._connection.is_closed():
            await self._connection.execute(_UNLOCK, list(alert_ids))

    async def close(self) -> None:
        """Let go of all."""
        if self._connection is not None:
            await self._connection.close(timeout=2)

    async def _connected(self, in_hand: Collection[int]) -> tuple[asyncpg.Connection, set[int]]:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection, set()
        self._connection = None
        connection = await asyncpg.connect(
            self._url, timeout=10, command_timeout=30, server_settings=_SERVER_SETTINGS
        )
        rows = await connection.fetch(_LOCK_AGAIN, list(in_hand))
        self._connection = connection
        return connection, {row["alert_id"] for row in rows}


def _alert_of(row: asyncpg.Record) -> ClaimedAlert:
    return ClaimedAlert(**{**row, "level": AlertLevel(row["level"])})
