"""EDGE: the daily partitions of `readings`: made ahead of time, dropped after the retention.

They belong to the database's owner, whose functions make and drop them (migration 0007). Where
days past the retention are packed, a series goes with the day of its last reading.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import asyncpg

from deloton.running.logs import get_logger
from deloton.store.database import Connection

_log = get_logger(__name__)

AHEAD = timedelta(days=7)
# Stamps beyond these come from clocks gone wrong: they share the default partition.
OLDEST = timedelta(days=400)
NEWEST = timedelta(days=8)

_PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = 'readings'::regclass AND inhrelid <> 'readings_default'::regclass
"""

# Of days that were dropped before these were stored, or could not be made then.
_DAYS_ASIDE = """
SELECT DISTINCT (at AT TIME ZONE 'UTC')::date FROM readings_default WHERE at >= $1 AND at < $2
"""

# A ride's readings go with its last.
_DROP_STRAYS = """
DELETE FROM readings_default WHERE at < $1
AND NOT EXISTS (
    SELECT FROM rides WHERE rides.ride_id = readings_default.ride_id
    AND (ended_at IS NULL OR ended_at >= $1)
)
"""

SERIES_AT_ONCE = 10_000

_DROP_SERIES = """
DELETE FROM ride_series WHERE ride_id IN (
    SELECT ride_id FROM ride_series WHERE last_at < $1 LIMIT $2
)
RETURNING ride_id
"""


class ReadingDays:
    """Knows which days have a partition. Safe where several workers do the same at once."""

    def __init__(self, pool: asyncpg.Pool, retention_days: int, today: Callable[[], date]) -> None:
        """Keep readings for `retention_days` full UTC days; 0 keeps them all."""
        self._pool = pool
        self._retention_days = retention_days
        self._today = today
        self._known: set[date] = set()

    async def ensure(self, days: Iterable[date]) -> None:
        """Make the partitions that these days still lack, but for days out of reason."""
        oldest, newest = self._oldest_made(), self._today() + NEWEST
        for day in sorted(set(days) - self._known):
            if oldest <= day <= newest:
                await self._create(day)
                self._known.add(day)

    async def maintain(self) -> None:
        """Make the partitions of the days to come and drop those past the retention.

        Readings that lie in the default partition although their day may have one move there.
        """
        # Others drop days too, and what could not be made then may be now.
        self._known.clear()
        today = self._today()
        await self.ensure(today + timedelta(days=ahead) for ahead in range(AHEAD.days + 1))
        await self.ensure(await self._days_aside())
        oldest = self._oldest_kept()
        if oldest is not None:
            await self._drop_before(oldest)

    async def _days_aside(self) -> list[date]:
        bounds = _midnight(self._oldest_made()), _midnight(self._today() + NEWEST)
        return [day for (day,) in await self._pool.fetch(_DAYS_ASIDE, *bounds)]

    def _oldest_made(self) -> date:
        return self._oldest_kept() or self._today() - OLDEST

    def _oldest_kept(self) -> date | None:
        if not self._retention_days:
            return None
        return self._today() - timedelta(days=self._retention_days)

    async def _create(self, day: date) -> None:
        """Where that holds up others its readings lie in the default partition meanwhile."""
        try:
            made = await self._pool.fetchval("SELECT make_readings_day($1)", day)
        except asyncpg.LockNotAvailableError:
            _log.warning("readings are in use; partition made later", partition=partition_name(day))
        else:
            if made:
                _log.info("reading partition made", partition=partition_name(day))

    async def _drop_before(self, oldest: date) -> None:
        async with self._pool.acquire() as connection:
            for day in await days_stored(connection):
                # Who is in the way of one is in the way of all.
                if day < oldest and not await self._drop(connection, day):
                    break
            midnight = _midnight(oldest)
            await connection.execute(_DROP_STRAYS, midnight)
            await self._drop_series(connection, midnight)

    async def _drop_series(self, connection: Connection, midnight: datetime) -> None:
        while ride_ids := await connection.fetch(_DROP_SERIES, midnight, SERIES_AT_ONCE):
            _log.info("series dropped", rides=len(ride_ids))

    async def _drop(self, connection: Connection, day: date) -> bool:
        name = partition_name(day)
        try:
            await connection.execute("SELECT drop_readings_day($1)", day)
        except asyncpg.LockNotAvailableError:
            _log.warning("reading partition is in use; dropped later", partition=name)
            return False
        _log.info("reading partition dropped", partition=name)
        return True


async def days_stored(connection: Connection) -> list[date]:
    """The UTC days that have a partition, oldest first."""
    return sorted(day_of_partition(name) for (name,) in await connection.fetch(_PARTITIONS))


def partition_name(day: date) -> str:
    """The table of a UTC day: `readings_20260302`."""
    return f"readings_{day:%Y%m%d}"


def day_of_partition(name: str) -> date:
    """The UTC day of a table `readings_20260302`."""
    return date.fromisoformat(name.removeprefix("readings_"))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


def utc_today() -> date:
    """The day that it is in UTC."""
    return datetime.now(UTC).date()
