"""Each migration can be taken back, with rows in what it leaves: the schema is then as before."""

import asyncio
from collections.abc import Sequence

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from deloton.migrate import migrate
from deloton.store.database import connect_pool
from deloton.store.series import pack_rides
from tests.integration.deloton.test_upgrades import FILL, REVISIONS, ROWS, SCRIPT, session

# What a schema is made of, a line each. A column that comes back comes back as the last, and a
# right that was never given is the same as one that was taken away.
PICTURE = """
WITH ours AS (
    SELECT c.* FROM pg_class c
    WHERE relnamespace IN ('public'::regnamespace, to_regnamespace('analytics'))
    AND relname !~ '^(alembic_version|readings_2)'
),
rights AS (
    SELECT oid, relname::text AS name, coalesce(relacl, acldefault('r', relowner)) AS acl
    FROM ours WHERE relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT oid, proname, coalesce(proacl, acldefault('f', proowner))
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT o.oid, concat_ws('.', relname, attname), attacl
    FROM ours o JOIN pg_attribute ON attrelid = o.oid WHERE NOT attisdropped
)
SELECT concat_ws(
    ' ', 'column', relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
    pg_get_expr(adbin, adrelid), col_description(o.oid, attnum)
)
FROM ours o JOIN pg_attribute ON attrelid = o.oid
LEFT JOIN pg_attrdef ON adrelid = o.oid AND adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT concat_ws(
    ' ', relkind, relname, reloptions, relrowsecurity, obj_description(oid, 'pg_class'),
    CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) WHEN 'i' THEN pg_get_indexdef(oid) END
)
FROM ours
UNION ALL
SELECT concat_ws(' ', 'right', name, grantee::regrole, privilege_type)
FROM rights, aclexplode(acl) WHERE grantee <> current_user::regrole
UNION ALL
SELECT concat_ws(' ', 'constraint', conname, pg_get_constraintdef(c.oid))
FROM pg_constraint c JOIN ours o ON conrelid = o.oid
UNION ALL
SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(t.oid))
FROM pg_trigger t JOIN ours o ON tgrelid = o.oid WHERE NOT tgisinternal
UNION ALL
SELECT concat_ws(
    ' ', 'policy', polname, relname, polcmd, polroles::regrole[],
    pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
)
FROM pg_policy JOIN ours o ON polrelid = o.oid
UNION ALL
SELECT concat_ws(' ', 'function', pg_get_functiondef(oid))
FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""

WAITS_TO_BE_PACKED = """
INSERT INTO rides_to_pack (ride_id) SELECT ride_id FROM rides ON CONFLICT DO NOTHING
"""

# A row at least in each table, of the newest migration, beside those of `FILL`.
EACH_TABLE = (
    """
    INSERT INTO api_keys (key_id, name, secret_hash, scopes, requests_per_minute, sandbox)
    VALUES ('a', 'a partner', '', '{read,personal,erase,webhooks}', 60, false),
           ('b', 'who tries it', '', '{read}', 60, true)
    """,
    """
    INSERT INTO audit (key_id, action, subject_id, reason)
    VALUES ('a', 'delete_ride', 1, 'asked for'), ('a', 'erase_rider', 2, NULL),
           ('a', 'export_rider', 3, NULL), (NULL, 'change_alerts', 4, NULL)
    """,
    "INSERT INTO bike_powers VALUES (30, 60, 100)",
    """
    INSERT INTO changes (change_id, kind, ride_id, rider_id)
    VALUES (1000000, 'ride.ended', 1, NULL), (1000001, 'rider.changed', NULL, 7001)
    """,
    """
    INSERT INTO danger_acknowledgements (alert_id, staff_name, note)
    SELECT min(alert_id), 'Ada', 'rang' FROM heart_rate_alerts
    """,
    """
    INSERT INTO deleted_rides (ride_id, bike_serial, started_at, clock_beginnings)
    VALUES (1000000, 'SN1', now(), ARRAY[now()])
    """,
    "INSERT INTO erasures (rider_id, erased_at) VALUES (9999, now())",
    """
    INSERT INTO exports (key_id, rider_id, state, expires_at, secret)
    VALUES ('a', 7001, 'queued', NULL, ''), ('b', 7001, 'ready', now(), '')
    """,
    """
    UPDATE heart_rate_alerts SET state = states[1 + alert_id % 7], settled_at = now()
    FROM (SELECT '{sent,expired,undeliverable,failed,unknown,bounced,complained}'::text[] AS states)
    WHERE alert_id % 8 > 0
    """,
    """
    INSERT INTO heart_rate_recoveries
        (alert_id, level, measured_at, seen_at, heart_rate_bpm, state, settled_at)
    SELECT alert_id, level, measured_at, now(), 90, state, settled_at FROM heart_rate_alerts
    """,
    "INSERT INTO ingest_offsets VALUES ('bikes', 0, 1, 1, '')",
    """
    INSERT INTO ingest_streams (topic, partition, stream_key, bike_serial, ride_id)
    SELECT 'bikes', 0, '', bike_serial, ride_id FROM rides LIMIT 1
    """,
    "INSERT INTO key_requests VALUES ('a', now(), 3)",
    """
    INSERT INTO refused_addresses (rider_id, digest, because) VALUES (7001, '', 'bounced')
    """,
    "INSERT INTO refused_lines VALUES (now(), 'bikes', 0, 'not understood', 1)",
    """
    INSERT INTO reports (edition, report_on, state, started_at, sent_at)
    VALUES ('daily', '2026-03-10', 'sent', now(), now()),
           ('weekly', '2026-03-10', 'sent', now(), now())
    """,
    "INSERT INTO ride_hearts SELECT ride_id, 150, 180, 3 FROM rides",
    "UPDATE rides SET reading_count = 1",
    WAITS_TO_BE_PACKED,
    "INSERT INTO rider_limits (rider_id, low_bpm, high_bpm) VALUES (7001, 40, 180)",
    "INSERT INTO star_cells VALUES (1, 'female', '1980s', 'Exeter', 'EX', '2024', 'web')",
    "INSERT INTO star_riders (rider_id, rider_key, cell) SELECT rider_id, rider_id, 1 FROM riders",
    """
    INSERT INTO star_rides
        (ride_id, rider_key, bike_serial, started_at, started_local_at, started_on, started_hour)
    SELECT ride_id, rider_id, bike_serial, started_at, started_at, started_at, 1 FROM rides
    """,
    """
    INSERT INTO star_reading_minutes (ride_id, minute, reading_count, heart_rate_count)
    SELECT ride_id, 0, 60, 60 FROM star_rides
    """,
    "INSERT INTO star_changes (ride_id) SELECT ride_id FROM rides",
    "INSERT INTO star_alerts VALUES ('2026-03-09', 'high', 10, 10)",
    "INSERT INTO star_alert_limits VALUES ('high', 180, 10, 10)",
    "INSERT INTO star_retention VALUES ('2026-01-01', 2, '2026-03-01', 10, 10)",
    "INSERT INTO star_bikes SELECT serial, 'unknown' FROM bikes",
    """
    INSERT INTO webhooks (key_id, url, secret, change_id) VALUES ('a', 'https://a.example', '', 0)
    """,
    """
    INSERT INTO webhook_deliveries
        (webhook_id, change_id, kind, ride_id, noted_at, about, give_up_at)
    SELECT webhook_id, 1000000, 'ride.ended', 1, now(), '{}', now() FROM webhooks
    """,
)
# A lock that has no rows.
NEVER_FILLED = {"deletion_turns"}


async def picture(connection: asyncpg.Connection) -> set[str]:
    return {" ".join(line.split()) for (line,) in await connection.fetch(PICTURE)}


async def go_back(url: str, revision: str) -> None:
    """Take back what came after a revision."""

    def steps(there: str, _: object) -> Sequence[object]:
        return SCRIPT._downgrade_revs(revision, there)

    def run(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        with EnvironmentContext(config, SCRIPT, fn=steps, destination_rev=revision):
            SCRIPT.run_env()

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url)
    )
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


async def tables_without_rows(owner: asyncpg.Connection) -> set[str]:
    tables = await owner.fetch(
        "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') "
        "AND relnamespace = 'public'::regnamespace AND NOT relispartition"
    )
    return {
        each["name"]
        for each in tables
        if not await owner.fetchval(f"SELECT EXISTS (SELECT FROM {each['name']})")
    }


async def fill_all_tables(url: str, owner: asyncpg.Connection) -> None:
    """Rows in each table; the rides are packed, and the rows of their readings have gone."""
    for statement in EACH_TABLE:
        await owner.execute(statement)
    pool = await connect_pool(url, size=1, application="test")
    while await pack_rides(pool, 0.0):
        pass
    await pool.close()
    await owner.execute(WAITS_TO_BE_PACKED)
    assert await tables_without_rows(owner) == NEVER_FILLED
    await owner.execute("TRUNCATE readings")


async def test_every_migration_is_taken_back_and_run_again(empty_database_url: str) -> None:
    pictures: dict[str, set[str]] = {}
    async with session(empty_database_url) as owner:
        for revision in REVISIONS:
            await asyncio.to_thread(migrate, empty_database_url, revision)
            for statement in FILL.get(revision, ()):
                await owner.execute(statement)
            pictures[revision] = await picture(owner)
        await fill_all_tables(empty_database_url, owner)
        for revision in REVISIONS[-2::-1]:
            await go_back(empty_database_url, revision)
            there = await picture(owner)
            assert (revision, there ^ pictures[revision]) == (revision, set())
        assert await owner.fetchval("SELECT count(*) FROM readings") == ROWS
        await asyncio.to_thread(migrate, empty_database_url)
        assert await picture(owner) == pictures[REVISIONS[-1]]
        for revision in ("0001", "base"):
            await go_back(empty_database_url, revision)
        await asyncio.to_thread(migrate, empty_database_url)
        assert await picture(owner) == pictures[REVISIONS[-1]]
