"""EDGE: which addresses take no mail, and the alerts whose mail came back, in PostgreSQL."""

import asyncpg

from deloton.rules.heart_rate import AlertLevel
from hr_alerter.alerts import AlertState
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
UPDATE heart_rate_alerts SET state = $2, settled_at = now()
WHERE provider_message_id = $1 AND state IN ('sent', 'bounced') AND state <> $2
RETURNING level
"""


async def refuse_addresses(
    pool: asyncpg.Pool, addresses: tuple[str, ...], because: AlertState
) -> list[int]:
    """Mail these addresses no more; return the riders of whom that was not known."""
    rows = await pool.fetch(_REFUSE, [address.lower() for address in addresses], because)
    return [row["rider_id"] for row in rows]


async def settle_feedback(pool: asyncpg.Pool, feedback: Feedback) -> list[AlertLevel]:
    """Note of the alert whose mail it was how it ended; nothing where it was no alert's.

    Noting it again changes nothing.
    """
    rows = await pool.fetch(_SETTLE, feedback.message_id, feedback.state)
    return [AlertLevel(row["level"]) for row in rows]
