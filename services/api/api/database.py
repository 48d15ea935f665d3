"""EDGE: PostgreSQL through SQLAlchemy; what its errors mean for the one who asked."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import asyncpg
from sqlalchemy import RowMapping, Select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from api.problems import database_away, too_slow
from deloton.database import is_transient

CONNECT_WITHIN_S = 3.0
WAIT_FOR_A_CONNECTION_S = 3.0
# What deletes or reads a whole rider may take longer than what anybody may ask.
LONG_STATEMENT_S = 120
_TAKE_YOUR_TIME = text(f"SET LOCAL statement_timeout = '{LONG_STATEMENT_S}s'")


def open_engine(url: str, *, connections: int, statement_timeout_s: float) -> AsyncEngine:
    """An engine that connects when first used, so that it can be made while the server is away.

    Plans are made for each statement's own values: a plan for any value of a filter or a limit
    would read whole tables.
    """
    settings = {
        "application_name": "api",
        "timezone": "UTC",
        "statement_timeout": f"{statement_timeout_s * 1000:.0f}",
        "idle_in_transaction_session_timeout": "60s",
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
    }

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            url,
            timeout=CONNECT_WITHIN_S,
            command_timeout=max(LONG_STATEMENT_S, statement_timeout_s) + 5,
            server_settings=settings,
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=WAIT_FOR_A_CONNECTION_S,
        pool_use_lifo=True,
        # Errors are logged, and may be about a rider.
        hide_parameters=True,
    )


class Database:
    """Answers queries; raises a `Problem` where the database is away or too slow."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Use an engine; `close` ends it."""
        self.engine = engine
        # A single statement needs no BEGIN and ROLLBACK around it.
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        """All rows of a query. A connection that had gone stale is replaced once."""
        with translated_errors():
            try:
                return await self._fetch(query)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return await self._fetch(query)

    async def row(self, query: Select[Any]) -> RowMapping | None:
        """The first row of a query, if there is one."""
        rows = await self.rows(query)
        return rows[0] if rows else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits when left without an error; its statements may take long."""
        with translated_errors():
            async with self.engine.begin() as connection:
                await connection.execute(_TAKE_YOUR_TIME)
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one moment of the database, however long it reads."""
        with translated_errors():
            async with self.engine.connect() as connection:
                await connection.execution_options(
                    isolation_level="REPEATABLE READ", postgresql_readonly=True
                )
                yield connection

    async def close(self) -> None:
        """Disconnect."""
        await self.engine.dispose()

    async def _fetch(self, query: Select[Any]) -> Sequence[RowMapping]:
        async with self._reading.connect() as connection:
            rows: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
            return rows


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what a restart, a failover or a busy server says into a `Problem`."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, OSError, asyncpg.PostgresError) as error:
        cause = _cause(error)
        if isinstance(cause, asyncpg.QueryCanceledError):
            raise too_slow() from error
        if isinstance(cause, PoolTimeoutError) or is_transient(cause):
            raise database_away() from error
        raise


def _cause(error: BaseException) -> BaseException:
    """What asyncpg said, under what SQLAlchemy made of it."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error
