"""EDGE: PostgreSQL through asyncpg's pool; what its errors mean for the one who asked."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy.sql import ClauseElement

from api.contract.problems import database_away, too_slow
from api.store.readings import OfRide
from api.store.statements import Question, question
from deloton.store import database
from deloton.store.database import Connection

WAIT_FOR_A_CONNECTION_S = 3.0
# What deletes or reads a whole rider may take longer than what anybody may ask.
LONG_STATEMENT_S = 120
_TAKE_YOUR_TIME = f"SET LOCAL statement_timeout = '{LONG_STATEMENT_S}s'"

Row = dict[str, Any]


class Transaction:
    """What is asked and done in one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Use a connection in a transaction."""
        self._connection = connection

    async def rows(self, query: ClauseElement) -> list[Row]:
        """All rows of a query, or what a statement returns."""
        asked = question(query)
        rows = await self._connection.fetch(asked.statement.sql, *asked.values)
        return [dict(row) for row in rows]

    async def row(self, query: ClauseElement) -> Row | None:
        """The first row, if there is one."""
        rows = await self.rows(query)
        return rows[0] if rows else None


class Database:
    """Answers questions; raises a `Problem` where the database is away or too slow."""

    def __init__(
        self, url: str, *, connections: int, statement_timeout_s: float, role: str | None = None
    ) -> None:
        """Connects when first asked, so that it can be made while the server is away.

        Asks as another role than the one that logs in, where one is given.

        Plans are made for each question's own values: a plan for any value of a filter or a limit
        would read whole tables.
        """
        self._url = url
        self._connections = connections
        self._statement_timeout_s = statement_timeout_s
        self._role = {"role": role} if role else {}
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def rows(self, asked: Question) -> list[Row]:
        """All rows of a question."""
        return [dict(row) for row in await self._records(asked)]

    async def row(self, asked: Question) -> Row | None:
        """The first row of a question, if there is one."""
        rows = await self.rows(asked)
        return rows[0] if rows else None

    async def rows_of_ride(self, asked: OfRide) -> list[Row]:
        """All rows of a question about the readings of a ride."""
        return await self.rows(asked.packed) or await self.rows(asked.anywhere)

    async def told_of_ride(self, asked: OfRide) -> list[str]:
        """The only column of such a question."""
        return await self.told(asked.packed) or await self.told(asked.anywhere)

    async def told(self, asked: Question) -> list[str]:
        """The only column of a question: see `store.told`."""
        return [row[0] for row in await self._records(asked)]

    async def _records(self, asked: Question) -> list[asyncpg.Record]:
        """What asyncpg answers. A connection that had gone stale is replaced once."""
        with translated_errors():
            pool = self._pool or await self._open()
            try:
                return await _fetch(pool, asked)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                if not _was_lost(error):
                    raise
                # The others went with it.
                await pool.expire_connections()
                return await _fetch(pool, asked)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits when left without an error; its statements may take long."""
        with translated_errors():
            pool = self._pool or await self._open()
            async with (
                pool.acquire(timeout=WAIT_FOR_A_CONNECTION_S) as connection,
                connection.transaction(),
            ):
                await connection.execute(_TAKE_YOUR_TIME)
                yield Transaction(connection)

    async def close(self) -> None:
        """Disconnect."""
        if self._pool is not None:
            await self._pool.close()

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await database.connect_pool(
                    self._url,
                    size=self._connections,
                    application="api",
                    answer_within_s=max(LONG_STATEMENT_S, self._statement_timeout_s) + 5,
                    server_settings={
                        "statement_timeout": f"{self._statement_timeout_s * 1000:.0f}",
                        "idle_in_transaction_session_timeout": "60s",
                        "plan_cache_mode": "force_custom_plan",
                        "jit": "off",
                        **self._role,
                        # Pictures of many live rides are sorted and joined without files.
                        "work_mem": "16MB",
                    },
                    tidied=False,
                )
            return self._pool


async def _fetch(pool: asyncpg.Pool, asked: Question) -> list[asyncpg.Record]:
    async with pool.acquire(timeout=WAIT_FOR_A_CONNECTION_S) as connection:
        return list(await connection.fetch(asked.statement.sql, *asked.values))


def _was_lost(error: BaseException) -> bool:
    """Whether a connection ended under a question; a server that cannot be reached is another."""
    if isinstance(error, asyncpg.InterfaceError):
        return database.is_transient(error)
    return isinstance(
        error,
        ConnectionResetError
        | BrokenPipeError
        | asyncpg.ConnectionDoesNotExistError
        | asyncpg.AdminShutdownError
        | asyncpg.CrashShutdownError,
    )


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what a restart, a failover or a busy server says into a `Problem`."""
    try:
        yield
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
    ) as error:
        if isinstance(error, asyncpg.QueryCanceledError):
            raise too_slow() from error
        if database.is_transient(error):
            raise database_away() from error
        raise
