"""EDGE: the daily partitions of `readings`: made ahead of time, dropped after the retention."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import asyncpg

from deloton.database import Connection
from deloton.logs import get_logger

_log = get_logger(__name__)

AHEAD = timedelta(days=7)
# Stamps beyond these come from clocks gone wrong: they share the default partition.
OLDEST = timedelta(days=400)
NEWEST = timedelta(days=8)

# Any number that nothing else in the database locks.
_LOCK = 0x72656164

_PARTITIONS = """
SELECT inhrelid::regclass::text FROM pg_inherits
WHERE inhparent = 'readings'::regclass AND inhrelid <> 'readings_default'::regclass
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
        today = self._today()
        oldest, newest = self._oldest_kept() or today - OLDEST, today + NEWEST
        for day in sorted(set(days) - self._known):
            if oldest <= day <= newest:
                await self._create(day)
                self._known.add(day)

    async def maintain(self) -> None:
        """Make the partitions of the days to come and drop those past the retention."""
        today = self._today()
        await self.ensure(today + timedelta(days=ahead) for ahead in range(AHEAD.days + 1))
        oldest = self._oldest_kept()
        if oldest is not None:
            await self._drop_before(oldest)

    def _oldest_kept(self) -> date | None:
        if not self._retention_days:
            return None
        return self._today() - timedelta(days=self._retention_days)

    async def _create(self, day: date) -> None:
        name = partition_name(day)
        start, end = f"'{day} 00:00+00'", f"'{day + timedelta(days=1)} 00:00+00'"
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            if await connection.fetchval("SELECT to_regclass($1)", name):
                return
            # Attaching locks less than CREATE TABLE … PARTITION OF: others go on storing. Only who
            # stores into the default partition has to wait, or is waited for.
            await connection.execute(
                f"""
                LOCK TABLE readings_default IN SHARE ROW EXCLUSIVE MODE;
                CREATE TABLE {name} (LIKE readings INCLUDING ALL);
                WITH moved AS (
                    DELETE FROM readings_default WHERE at >= {start} AND at < {end} RETURNING *
                ) INSERT INTO {name} SELECT * FROM moved;
                ALTER TABLE readings ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end});
                """  # noqa: S608 - a date and nothing else is put into the text
            )
            _log.info("reading partition made", partition=name)

    async def _drop_before(self, oldest: date) -> None:
        async with self._pool.acquire() as connection:
            names = [name for (name,) in await connection.fetch(_PARTITIONS)]
            for name in sorted(names):
                if name < partition_name(oldest):
                    await self._drop(connection, name)
            midnight = datetime.combine(oldest, datetime.min.time(), UTC)
            await connection.execute("DELETE FROM readings_default WHERE at < $1", midnight)

    async def _drop(self, connection: Connection, name: str) -> None:
        try:
            async with connection.transaction():
                # Rather later than hold up those who store: the next round tries again.
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                await connection.execute(f"DROP TABLE IF EXISTS {name}")
        except asyncpg.LockNotAvailableError:
            _log.warning("reading partition is in use; dropped later", partition=name)
        else:
            _log.info("reading partition dropped", partition=name)


def partition_name(day: date) -> str:
    """The table of a UTC day: `readings_20260302`."""
    return f"readings_{day:%Y%m%d}"


def utc_today() -> date:
    """The day that it is in UTC."""
    return datetime.now(UTC).date()
