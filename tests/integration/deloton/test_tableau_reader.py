"""The role `tableau_reader` sees schema `analytics`, and nothing else in the database."""

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module

import asyncpg
import pytest
import pytest_asyncio

from deloton.migrate import migrate
from deloton.store.database import connect_pool
from deloton.store.roles import set_password, url_as
from deloton.store.star import refresh
from deloton.store.tables import metadata

PASSWORD = "s3cret of analysts"
VIEWS = (
    "fact_rides",
    "fact_reading_minutes",
    "fact_retention",
    "fact_alerts",
    "fact_alert_limits",
    "dim_riders",
    "dim_bikes",
    "dim_dates",
    "refreshes",
)


@pytest.fixture
def reader_url(database_url: str) -> str:
    """The database as Tableau reaches it."""
    return url_as(database_url, "tableau_reader", PASSWORD)


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """The database as its owner reaches it; the reader's password is set."""
    pool = await connect_pool(database_url, size=1, application="test")
    await set_password(pool, "tableau_reader", PASSWORD)
    await refresh(pool, "Europe/London")
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def reader(owner: asyncpg.Pool, reader_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A session of Tableau's which has switched off whatever a session may switch off."""
    connection = await asyncpg.connect(reader_url)
    await connection.execute("SET default_transaction_read_only = off; SET statement_timeout = 0")
    yield connection
    await connection.close()


async def refuses(reader: asyncpg.Connection, statement: str) -> bool:
    try:
        async with reader.transaction():
            await reader.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_every_view_of_the_star_can_be_read(reader: asyncpg.Connection) -> None:
    for view in VIEWS:
        await reader.fetch(f"SELECT * FROM {view}")


async def test_no_table_outside_the_star_can_be_read(reader: asyncpg.Connection) -> None:
    names = await reader.fetch(
        "SELECT format('%I.%I', nspname, relname) AS name FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f') "
        "AND nspname NOT IN ('pg_catalog', 'information_schema', 'analytics', 'pg_toast')"
    )
    assert {f"public.{name}" for name in metadata.tables} < {row["name"] for row in names}
    for row in names:
        assert await refuses(reader, f"SELECT * FROM {row['name']}"), row["name"]


async def test_no_view_can_be_written(reader: asyncpg.Connection, owner: asyncpg.Pool) -> None:
    for view in VIEWS:
        for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
            query = "SELECT has_table_privilege('tableau_reader', $1, $2)"
            assert not await owner.fetchval(query, f"analytics.{view}", privilege)
    assert await refuses(reader, "DELETE FROM fact_reading_minutes")


FORBIDDEN = (
    "CREATE TABLE analytics.mine (n int)",
    "CREATE TABLE public.mine (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "UPDATE pg_catalog.pg_class SET relname = 'mine' WHERE relname = 'riders'",
    "DELETE FROM pg_catalog.pg_authid",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT * FROM pg_catalog.pg_statistic",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('.')",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SET ROLE deloton",
    "SET SESSION AUTHORIZATION deloton",
    "ALTER ROLE tableau_reader CONNECTION LIMIT 1000",
    "ALTER ROLE tableau_reader SUPERUSER",
    "GRANT SELECT ON public.riders TO tableau_reader",
    "SELECT public.note_star_changes()",
    "ALTER VIEW analytics.fact_rides RENAME TO mine",
    "DROP VIEW analytics.fact_rides",
)


async def test_nothing_can_be_made_changed_or_taken_over(reader: asyncpg.Connection) -> None:
    assert [each for each in FORBIDDEN if not await refuses(reader, each)] == []
    for statement in ("CREATE DATABASE mine", "ALTER SYSTEM SET log_statement = 'all'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute(statement)


async def test_no_temporary_table_can_be_made(empty_database_url: str) -> None:
    # A right on the database itself, which copies of a migrated one do not have.
    await asyncio.to_thread(migrate, empty_database_url)
    owner = await asyncpg.connect(empty_database_url)
    query = "SELECT has_database_privilege('tableau_reader', current_database(), $1)"
    assert not await owner.fetchval(query, "TEMPORARY")
    assert not await owner.fetchval(query, "CREATE")
    await owner.close()


async def test_no_function_of_ours_may_be_called(owner: asyncpg.Pool) -> None:
    callable_ = await owner.fetch(
        "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace NOT IN "
        "('pg_catalog'::regnamespace, 'information_schema'::regnamespace) "
        "AND has_function_privilege('tableau_reader', oid, 'EXECUTE')"
    )
    assert callable_ == []


async def test_it_belongs_to_no_other_role_and_has_no_attribute_of_power(
    owner: asyncpg.Pool,
) -> None:
    role = await owner.fetchrow("SELECT * FROM pg_roles WHERE rolname = 'tableau_reader'")
    assert role is not None
    powers = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    assert not any(role[power] for power in powers)
    memberships = "SELECT FROM pg_auth_members WHERE member = 'tableau_reader'::regrole"
    assert await owner.fetch(memberships) == []


async def test_what_statistics_tell_is_of_the_star_alone(reader: asyncpg.Connection) -> None:
    query = "SELECT schemaname FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'analytics')"
    assert await reader.fetch(query + " AND schemaname <> 'information_schema'") == []


async def test_a_session_begins_read_only_and_with_a_time_limit(
    owner: asyncpg.Pool, reader_url: str
) -> None:
    connection = await asyncpg.connect(reader_url)
    shown = [
        await connection.fetchval(f"SHOW {name}")
        for name in ("default_transaction_read_only", "statement_timeout", "search_path")
    ]
    assert shown == ["on", "30s", "analytics"]
    await connection.execute("SET statement_timeout = '50ms'")
    with pytest.raises(asyncpg.QueryCanceledError):
        await connection.execute("SELECT count(*) FROM generate_series(1, 1000000000)")
    await connection.close()


async def test_no_session_fills_the_disk_with_temporary_files(reader: asyncpg.Connection) -> None:
    assert await reader.fetchval("SHOW temp_file_limit") == "512MB"
    assert await refuses(reader, "SET temp_file_limit = -1")
    # A row of 1 MB, kept beyond its transaction in a file.
    rows = "SELECT repeat('x', 1 << 20) FROM generate_series(1, 600)"
    with pytest.raises(asyncpg.ConfigurationLimitExceededError, match="temp_file_limit"):
        await reader.execute(f"BEGIN; DECLARE held CURSOR WITH HOLD FOR {rows}; COMMIT")


async def test_a_migration_by_who_may_not_limit_files_goes_on(owner: asyncpg.Pool) -> None:
    migration = import_module("deloton.store.migrations.versions.0047_temporary_files")
    async with owner.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        # The reader's master, but no superuser: as on Aurora.
        await connection.execute("CREATE ROLE lesser CREATEROLE")
        await connection.execute("GRANT tableau_reader TO lesser WITH ADMIN OPTION")
        await connection.execute("SET LOCAL ROLE lesser")
        await connection.execute("ALTER ROLE tableau_reader SET lock_timeout = '2s'")
        await connection.execute(migration.SET_LIMIT)
        await undone.rollback()


async def test_the_twenty_first_session_is_refused(owner: asyncpg.Pool, reader_url: str) -> None:
    sessions = [await asyncpg.connect(reader_url) for _ in range(20)]
    with pytest.raises(asyncpg.TooManyConnectionsError):
        await asyncpg.connect(reader_url)
    for session in sessions:
        await session.close()


async def test_the_star_names_nobody(reader: asyncpg.Connection) -> None:
    rows = await reader.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'analytics'"
    )
    columns = {row["column_name"] for row in rows}
    personal = {"rider_id", "title", "first_name", "last_name", "email", "flat", "street"}
    assert not columns & (personal | {"postcode", "born_on", "weight_kg", "height_cm", "age"})
    assert not columns & {"birth_year", "limit_bpm", "limit_rule", "started_at"}
