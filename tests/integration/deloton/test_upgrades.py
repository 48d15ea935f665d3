"""Each migration, on a database with data: whom it holds up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from alembic.script import ScriptDirectory

import deloton.store
from deloton.migrate import migrate

SCRIPT = ScriptDirectory(Path(deloton.store.__file__).parent / "migrations")
REVISIONS = [each.revision for each in SCRIPT.walk_revisions()][::-1]

# Locks that keep out who writes rows. Source: PostgreSQL documentation, 13.3.1.
KEEPS_WRITERS_OUT = (
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)

# Of each of these so many: a migration that walks through one of them touches more rows than this.
ROWS = 400
MANY = ROWS // 2

FILL = {
    "0001": (
        f"""
        INSERT INTO riders (rider_id, gender, seen_at)
        SELECT 7000 + n, 'female', now() FROM generate_series(1, {ROWS}) AS n
        """,
        f"INSERT INTO bikes (serial) SELECT 'SN' || n FROM generate_series(1, {ROWS}) AS n",
        """
        INSERT INTO rides (bike_serial, rider_id, started_at, ended_at, end_reason)
        SELECT 'SN' || rider_id - 7000, rider_id, now() - interval '1 hour', now(), 'silence'
        FROM riders
        """,
        "INSERT INTO readings (ride_id, at, elapsed_s) SELECT ride_id, started_at, 1 FROM rides",
    ),
    "0002": (
        """
        INSERT INTO heart_rate_alerts
            (rider_id, ride_id, level, measured_at, heart_rate_bpm, limit_bpm, limit_rule, state)
        SELECT rider_id, ride_id, 'high', started_at, 200, 180, 'tanaka', 'pending' FROM rides
        """,
    ),
}

# At its end, in its own transaction, a migration tells what it still holds and what it has touched.
WATCH = f"""
CREATE TABLE watched_tables AS SELECT relname FROM pg_class WHERE false;
CREATE TABLE watched (revision text, table_name name, mode text, touched bigint);
CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO watched
    SELECT NEW.version_num, relname, mode,
           (SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)
                       + n_tup_ins + n_tup_upd + n_tup_del)
            FROM pg_stat_xact_user_tables JOIN watched_tables USING (relname))
    FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN watched_tables USING (relname)
    WHERE pid = pg_backend_pid() AND mode IN {KEEPS_WRITERS_OUT};
    TRUNCATE watched_tables;
    INSERT INTO watched_tables SELECT relname FROM pg_stat_user_tables
    WHERE schemaname = 'public' AND relname NOT LIKE 'watched%' AND relname <> 'alembic_version';
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER watch AFTER INSERT OR UPDATE ON alembic_version
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch();
UPDATE alembic_version SET version_num = version_num;
"""


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


# Of before the first release: they walk through a table that grows while who writes waits. Whoever
# has such a table already has them behind.
WALK = {"0003", "0005", "0012", "0014", "0019"}


async def test_no_migration_walks_through_a_table_while_it_keeps_out_who_writes(
    empty_database_url: str,
) -> None:
    """The longest wait is then that for a lock, which a migration gives up after 0.3 s."""
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    async with session(empty_database_url) as owner:
        await owner.execute(WATCH)
        for revision in REVISIONS:
            await asyncio.to_thread(migrate, empty_database_url, revision)
            for statement in FILL.get(revision, ()):
                await owner.execute(statement)
        watched = await owner.fetch("SELECT * FROM watched")
        waiting = await owner.fetchval("SELECT count(*) FROM rides_to_pack")
    assert {each["revision"] for each in watched if (each["touched"] or 0) > MANY} == WALK
    assert "0027" in {each["revision"] for each in watched}
    assert waiting == ROWS


async def test_an_index_that_was_left_half_built_is_built_anew(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0026")
    async with session(empty_database_url) as owner:
        await owner.execute("CREATE INDEX ix_rides_sandbox ON rides (ride_id)")
        await owner.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_rides_sandbox'::regclass"
        )
        await asyncio.to_thread(migrate, empty_database_url, "0027")
        built = await owner.fetchval(
            "SELECT pg_get_indexdef(indexrelid) FROM pg_index "
            "WHERE indexrelid = 'ix_rides_sandbox'::regclass AND indisvalid"
        )
    assert "(started_at)" in built
