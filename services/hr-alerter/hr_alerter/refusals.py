"""EDGE: which addresses take no mail, and the alerts whose mail came back, in PostgreSQL."""

import asyncpg

from deloton.rules.heart_rate import AlertLevel
from deloton.rules.whose import Whose, whose_bike
from hr_alerter.alerts import AlertState, MailKind
from hr_alerter.feedback import Feedback

# Of whoever has the address now: who has another one is mailed there.
_REFUSE = """
INSERT INTO refused_addresses AS refused (rider_id, digest, because)
SELECT rider_id, sha256(convert_to(lower(email), 'UTF8')), $2
FROM riders WHERE lower(email) = ANY($1::text[])
ON CONFLICT (rider_id, digest) DO UPDATE SET because = excluded.because
WHERE refused.because <> excluded.because
RETURNING rider_id
"""

_SETTLE = """
UPDATE {table} AS mails SET state = $2, settled_at = now()
WHERE provider_message_id = $1 AND state IN ('sent', 'bounced') AND state <> $2
RETURNING level, (
    SELECT bike_serial FROM heart_rate_alerts AS told JOIN rides USING (ride_id)
    WHERE told.alert_id = mails.alert_id
) AS bike_serial
"""
_IS_KNOWN = """
SELECT EXISTS (SELECT FROM heart_rate_alerts WHERE provider_message_id = $1)
    OR EXISTS (SELECT FROM heart_rate_recoveries WHERE provider_message_id = $1)
"""
_TABLES = {
    MailKind.ALERT: "heart_rate_alerts",
    MailKind.RECOVERY: "heart_rate_recoveries",
}


async def refuse_addresses(
    pool: asyncpg.Pool, addresses: tuple[str, ...], because: AlertState
) -> list[int]:
    """Mail these addresses no more; return the riders of whom that was not known."""
    rows = await pool.fetch(_REFUSE, [address.lower() for address in addresses], because)
    return [row["rider_id"] for row in rows]


async def is_mail_known(pool: asyncpg.Pool, message_id: str) -> bool:
    """Whether a mail of ours is stored under what the provider calls it."""
    return bool(await pool.fetchval(_IS_KNOWN, message_id))


async def settle_feedback(
    pool: asyncpg.Pool, feedback: Feedback
) -> list[tuple[MailKind, AlertLevel, Whose]]:
    """Note of the mail how it ended; nothing where it was none to a rider.

    Noting it again changes nothing.
    """
    return [
        (kind, AlertLevel(row["level"]), whose_bike(row["bike_serial"]))
        for kind, table in _TABLES.items()
        for row in await pool.fetch(
            _SETTLE.format(table=table), feedback.message_id, feedback.state
        )
    ]
