"""Connections are in UTC, bear their user's name, and say whether what went wrong will pass."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from deloton.store.database import (
    ACKNOWLEDGED_WITHIN_MS,
    connect,
    connect_pool,
    is_transient,
    watch,
)
from demo.embedded_postgres import EmbeddedPostgres
from demo.guardian import Guardian
from tests.tcp_proxy import running_proxy


async def test_connections_are_in_utc_and_bear_a_name(database_url: str) -> None:
    async with await connect_pool(database_url, size=1, application="tester") as pool:
        assert await pool.fetchval("SHOW timezone") == "UTC"
        assert await pool.fetchval("SHOW application_name") == "tester"
        midnight = await pool.fetchval("SELECT '2026-03-02'::timestamptz")
    assert midnight == datetime(2026, 3, 2, tzinfo=UTC)


async def test_a_pool_can_be_made_while_the_server_is_away() -> None:
    pool = await connect_pool("postgresql://ada@127.0.0.1:1/nowhere", size=1, application="tester")
    with pytest.raises(OSError, match=r"(?i)refused|connect") as caught:
        await pool.fetchval("SELECT 1")
    assert is_transient(caught.value)
    await pool.close()


@pytest.mark.parametrize("crash", [True, False])
async def test_a_server_that_goes_and_comes_back_passes_by_itself(
    guardian: Guardian, crash: bool
) -> None:
    with EmbeddedPostgres(guardian) as server:
        async with await connect_pool(server.url, size=2, application="tester") as pool:
            connection = await pool.acquire()
            server.kill() if crash else server.stop()
            for query in (connection.fetchval, connection.fetchval, pool.fetchval):
                with pytest.raises(Exception, match=r".") as caught:
                    await query("SELECT 1")
                assert is_transient(caught.value), repr(caught.value)
            await pool.release(connection)
            server.start()
            assert await pool.fetchval("SELECT 1") == 1


async def test_a_statement_in_the_wrong_place_does_not_pass(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.PostgresError) as caught:
        await connection.execute("SELECT * FROM nothing")
    assert not is_transient(caught.value)
    await connection.close()


async def test_who_stands_still_in_a_transaction_loses_it_and_can_try_again(
    database_url: str,
) -> None:
    settings = {"idle_in_transaction_session_timeout": "100ms"}
    pool = await connect_pool(database_url, size=1, application="tester", server_settings=settings)
    async with pool, pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        process = connection.get_server_pid()
        while await lives(database_url, process):
            await asyncio.sleep(0.05)
        with pytest.raises(Exception, match=r".") as caught:
            await connection.fetchval("SELECT 1")
    assert is_transient(caught.value), repr(caught.value)


async def lives(database_url: str, process: int) -> bool:
    """Whether a process still serves a connection."""
    connection = await asyncpg.connect(database_url)
    try:
        query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
        return bool(await connection.fetchval(query, process))
    finally:
        await connection.close()


async def test_a_connection_that_breaks_in_the_middle_of_copying_passes_by_itself(
    database_url: str,
) -> None:
    """Several times, because what asyncpg says depends on how far it was."""

    async def rows(killer: asyncpg.Connection, victim: int) -> AsyncIterator[bytes]:
        yield b"one\n" * 10_000
        await killer.execute("SELECT pg_terminate_backend($1)", victim)
        yield b"another\n" * 10_000

    async def copy(pool: asyncpg.Pool, killer: asyncpg.Connection) -> None:
        async with pool.acquire() as connection, connection.transaction():
            source = rows(killer, connection.get_server_pid())
            await connection.copy_to_table("copied", source=source)

    killer = await asyncpg.connect(database_url)
    await killer.execute("CREATE TABLE copied (line text)")
    async with await connect_pool(database_url, size=1, application="tester") as pool:
        for _ in range(5):
            with pytest.raises(Exception, match=r".") as caught:
                await copy(pool, killer)
            assert is_transient(caught.value), repr(caught.value)
            assert await pool.fetchval("SELECT count(*) FROM copied") == 0
    await killer.close()


async def test_a_server_that_falls_silent_is_noticed_in_time_and_a_new_connection_made(
    database_url: str,
) -> None:
    async with running_proxy(int(database_url.rpartition(":")[2].partition("/")[0])) as proxy:
        url = proxy.url_through(database_url)
        pool = await connect_pool(url, size=1, application="tester", answer_within_s=0.5)
        assert await answered(pool, "SELECT 1") == 1
        proxy.swallow()
        with pytest.raises(TimeoutError) as caught:
            await pool.fetchval("SELECT 2")
        assert is_transient(caught.value)
        assert await answered(pool, "SELECT 3") == 3
        pool.terminate()


async def answered(pool: asyncpg.Pool, query: str) -> object:
    """The answer, however often a busy machine needs longer than the pool waits."""
    while True:
        with contextlib.suppress(TimeoutError):
            return await pool.fetchval(query)


async def test_who_stops_waiting_gets_the_connection_back_and_the_server_goes_on_with_nothing(
    database_url: str,
) -> None:
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'"
    onlooker = await asyncpg.connect(database_url)
    async with await connect_pool(database_url, size=1, application="tester") as pool:
        waiting = asyncio.create_task(pool.fetchval("SELECT pg_sleep(3600)"))
        while not await onlooker.fetchval(asleep):
            await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while await pool.fetchval(asleep):
            await asyncio.sleep(0.05)
    await onlooker.close()


async def test_every_connection_is_watched_by_the_operating_system(database_url: str) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    with socket.create_connection(server.sockets[0].getsockname()) as link:
        watch(link)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if user_timeout := getattr(socket, "TCP_USER_TIMEOUT", None):
            assert link.getsockopt(socket.IPPROTO_TCP, user_timeout) == ACKNOWLEDGED_WITHIN_MS
    server.close()
    connection = await connect(database_url, application="tester", answer_within_s=7)
    assert await connection.fetchval("SHOW statement_timeout") == "7s"
    await connection.close()
