"""EDGE: which reports were sent: the rows of `reports`, and the lock that lets one run work on one.

The lock is PostgreSQL's own, on the session: it is gone when the run is, however that ends. A
row says `sending` from before the mail goes out until what became of it is known.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct

from deloton.store.database import Connection
from reporter.days import Edition, Period

# Nobody else's advisory locks begin with these: one an edition, and one for the archive's index.
_LOCKS: Final = {Edition.DAILY: 7_301, Edition.WEEKLY: 7_302}
_INDEX_LOCK: Final = (7_303, 0)


class Entry(Struct, frozen=True):
    """What is known of a report's sending."""

    state: str
    archived: bool


_BEGIN = """
INSERT INTO reports (edition, report_on, state, attempts, started_at)
VALUES ($1, $2, 'sending', 1, now())
ON CONFLICT (edition, report_on) DO UPDATE
SET state = 'sending', attempts = reports.attempts + 1, started_at = now(), failure = NULL
"""

_SENT = """
UPDATE reports SET state = 'sent', sent_at = now(), provider_message_id = $3
WHERE edition = $1 AND report_on = $2
"""

_FAILED = """
UPDATE reports SET state = 'failed', failure = $3 WHERE edition = $1 AND report_on = $2
"""

_ARCHIVED = """
UPDATE reports SET archived_at = now() WHERE edition = $1 AND report_on = $2
"""


@asynccontextmanager
async def hold(connection: Connection, period: Period) -> AsyncIterator[bool]:
    """Whether this run alone works on the report while the block lasts."""
    lock = (_LOCKS[period.edition], period.on.toordinal())
    held: bool = await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", *lock)
    try:
        yield held
    finally:
        if held and not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1, $2)", *lock)


@asynccontextmanager
async def hold_index(connection: Connection) -> AsyncIterator[None]:
    """Wait until no other run writes the archive's index, and keep others from it."""
    await connection.execute("SELECT pg_advisory_lock($1, $2)", *_INDEX_LOCK)
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1, $2)", *_INDEX_LOCK)


async def find(connection: Connection, period: Period) -> Entry | None:
    """What is known of the report; None: nobody has tried to send it."""
    row = await connection.fetchrow(
        "SELECT state, archived_at IS NOT NULL AS archived FROM reports "
        "WHERE edition = $1 AND report_on = $2",
        *_key(period),
    )
    return Entry(**row) if row else None


async def begin(connection: Connection, period: Period) -> None:
    """Note, for all to see, that the mail is going out."""
    await connection.execute(_BEGIN, *_key(period))


async def note_sent(connection: Connection, period: Period, message_id: str) -> None:
    """Note that the mail provider has accepted it, and what it calls it."""
    await connection.execute(_SENT, *_key(period), message_id)


async def note_failed(connection: Connection, period: Period, failure: str) -> None:
    """Note that it surely did not go out, and why."""
    await connection.execute(_FAILED, *_key(period), failure)


async def note_archived(connection: Connection, period: Period) -> None:
    """Note that the archive holds it."""
    await connection.execute(_ARCHIVED, *_key(period))


def _key(period: Period) -> tuple[str, object]:
    return str(period.edition), period.on
