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
from deloton.store.star import refresh
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

# What only the newest version can have in its rows.
NEWEST = """
UPDATE heart_rate_alerts SET state = 'bounced', settled_at = now() WHERE alert_id % 4 = 0;
UPDATE heart_rate_alerts SET state = 'unknown', settled_at = now() WHERE alert_id % 4 = 1;
UPDATE heart_rate_alerts SET state = 'sending', owner = 'me', owned_until = now(), fence = 1
WHERE alert_id % 4 = 2;
INSERT INTO heart_rate_recoveries
    (alert_id, level, measured_at, seen_at, heart_rate_bpm, state)
SELECT alert_id, level, now(), now(), 120, 'pending' FROM heart_rate_alerts;
INSERT INTO danger_acknowledgements (alert_id, staff_name, note)
SELECT alert_id, 'Ann', '' FROM heart_rate_alerts;
INSERT INTO refused_addresses (rider_id, digest, because) VALUES (7001, '', 'bounced');
INSERT INTO api_keys (key_id, name, secret_hash, scopes, requests_per_minute, sandbox)
VALUES ('a', 'A', '', '{read,webhooks}', 60, false), ('b', 'B', '', '{webhooks}', 60, true);
INSERT INTO audit (key_id, action, subject_id)
VALUES (NULL, 'change_alerts', 7001), ('a', 'erase_rider', 7002);
INSERT INTO webhooks (key_id, url, secret, change_id) VALUES ('a', 'https://a.example', '', 0);
INSERT INTO webhook_deliveries (webhook_id, change_id, kind, noted_at, about, give_up_at)
SELECT webhook_id, 1, 'ride_ended', now(), 'ride 1', now() FROM webhooks;
INSERT INTO exports (key_id, rider_id, secret) VALUES ('a', 7001, '');
DELETE FROM rides WHERE ride_id = (SELECT max(ride_id) FROM rides);
"""


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


async def some_of_everything(url: str, owner: asyncpg.Connection) -> None:
    """Rows of the newest version: packed rides, rows of a day that is gone, a star."""
    await owner.execute(NEWEST)
    pool = await connect_pool(url, size=1, application="test")
    await refresh(pool, "Europe/London")
    while await pack_rides(pool, 0.0):
        pass
    await pool.close()
    await owner.execute("TRUNCATE readings")


async def test_every_migration_is_taken_back_and_run_again(empty_database_url: str) -> None:
    pictures: dict[str, set[str]] = {}
    async with session(empty_database_url) as owner:
        for revision in REVISIONS:
            await asyncio.to_thread(migrate, empty_database_url, revision)
            for statement in FILL.get(revision, ()):
                await owner.execute(statement)
            pictures[revision] = await picture(owner)
        await some_of_everything(empty_database_url, owner)
        for revision in REVISIONS[-2::-1]:
            await go_back(empty_database_url, revision)
            there = await picture(owner)
            assert (revision, there ^ pictures[revision]) == (revision, set())
        assert await owner.fetchval("SELECT count(*) FROM readings") == ROWS - 1
        await asyncio.to_thread(migrate, empty_database_url)
        assert await picture(owner) == pictures[REVISIONS[-1]]
        for revision in ("0001", "base"):
            await go_back(empty_database_url, revision)
        await asyncio.to_thread(migrate, empty_database_url)
        assert await picture(owner) == pictures[REVISIONS[-1]]
