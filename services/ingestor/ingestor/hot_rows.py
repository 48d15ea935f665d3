"""EDGE: the rows of packed rides, dropped with their day once they have cooled.

The database compares a day's rides with their series and drops it only where each is packed
(migration 0041); a day that stays is told of with the reason.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import asyncpg

from deloton.running.logs import get_logger
from deloton.store.database import Connection
from ingestor import metrics
from ingestor.reading_days import days_stored, partition_name

_log = get_logger(__name__)

IN_USE = "it is in use"


class HotRows:
    """Drops the days that nobody needs as rows any more. Safe where several workers do so."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        kept_for: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Keep the rows of a UTC day for so long after its end."""
        self._pool = pool
        self._kept_for = kept_for
        self._now = now

    async def drop(self) -> None:
        """Drop the days that have cooled; count those that stay, and say why they do."""
        cooled_at = self._now() - self._kept_for
        refused = 0
        async with self._pool.acquire() as connection:
            for day in await days_stored(connection):
                if _end_of(day) > cooled_at:
                    break
                reason = await _reason_to_keep(connection, day)
                if reason is not None:
                    refused += 1
                    _log.warning("rows stay", partition=partition_name(day), reason=reason)
                    if reason == IN_USE:
                        break  # who is in the way of one is in the way of all
        metrics.DAYS_NOT_DROPPED.set(refused)


async def _reason_to_keep(connection: Connection, day: date) -> str | None:
    """Drop a day, or say why not."""
    try:
        async with connection.transaction():
            # A large day takes minutes to compare, which holds up nobody.
            await connection.execute("SET LOCAL statement_timeout = 0")
            reason: str | None = await connection.fetchval(
                "SELECT drop_packed_readings_day($1)", day, timeout=None
            )
    except asyncpg.LockNotAvailableError:
        return IN_USE
    except asyncpg.UndefinedTableError:
        return None  # another worker was first
    if reason is None:
        _log.info("rows of packed rides dropped", partition=partition_name(day))
    return reason


def _end_of(day: date) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(days=1)
