"""EDGE: asyncpg for Streamlit's threads: one loop and one pool for the whole process."""

import asyncio
import threading
from typing import Any

import asyncpg
import pandas as pd
from prometheus_client import Counter, Histogram
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql import asyncpg as postgresql

from deloton.store.database import connect_pool

POOL_SIZE = 5
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
ANSWER_WITHIN_S = 10.0

QUESTION_SECONDS = Histogram(
    "dashboard_question_seconds", "How long the database took to answer.", unit="seconds"
)
FAILED_QUESTIONS = Counter("dashboard_failed_questions", "Questions without an answer.")


class Database:
    """Answers from any thread; connects when first asked."""

    def __init__(self, url: str) -> None:
        """Start the loop's thread, which ends with the process."""
        self._url = url
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def fetch(self, sql: str, *arguments: object) -> pd.DataFrame:
        """The rows of a query with `$1`, `$2`, …; one column each, also where there are no rows."""
        with QUESTION_SECONDS.time(), FAILED_QUESTIONS.count_exceptions():
            asked = asyncio.run_coroutine_threadsafe(self._fetch(sql, arguments), self._loop)
            return asked.result()

    def fetch_select(self, select: Select[Any]) -> pd.DataFrame:
        """The rows of one of the shared library's selects."""
        compiled = select.compile(dialect=_DIALECT)
        names = compiled.positiontup or []
        return self.fetch(str(compiled), *(compiled.params[name] for name in names))

    def store(self, sql: str, *arguments: object) -> None:
        """Run a statement that changes something, with `$1`, `$2`, …."""
        asyncio.run_coroutine_threadsafe(self._store(sql, arguments), self._loop).result()

    def close(self) -> None:
        """Disconnect and end the loop."""
        asyncio.run_coroutine_threadsafe(self._disconnect(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _fetch(self, sql: str, arguments: tuple[object, ...]) -> pd.DataFrame:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            pool = await self._connect()
            async with pool.acquire() as connection:
                statement = await connection.prepare(sql)
                columns = [attribute.name for attribute in statement.get_attributes()]
                rows = await statement.fetch(*arguments)
        return pd.DataFrame.from_records([tuple(row) for row in rows], columns=columns)

    async def _store(self, sql: str, arguments: tuple[object, ...]) -> None:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            pool = await self._connect()
            await pool.execute(sql, *arguments)

    async def _connect(self) -> asyncpg.Pool:
        async with self._connecting:
            if self._pool is None:
                self._pool = await connect_pool(self._url, size=POOL_SIZE, application="dashboard")
            return self._pool

    async def _disconnect(self) -> None:
        if self._pool is not None:
            await self._pool.close()
