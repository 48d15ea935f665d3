"""Who reads holds up nobody: neither by locks that anybody may take, nor while tables change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import pytest

from deloton.errors import DatabaseIsNewer, VersionUnknown
from deloton.migrate import migrate
from deloton.store.database import connect_pool
from deloton.store.deletions import STORING
from deloton.store.roles import set_password, url_as
from deloton.store.star import refresh
from tests.roles import as_role

PASSWORD = "s3cret of analysts"
TAKERS = "proname ~ '^pg_(try_)?advisory_(xact_)?lock(_shared)?$'"
LARGE_OBJECTS = "(proname ~ '^lo_' OR proname IN ('loread', 'lowrite'))"
TODAY = datetime.now(UTC).date()

# Locks that we once waited for: deletions, the star, the migration, the days of readings.
FORMER_LOCKS = (0x64656C65, 0x73746172, 0x64656C6F, 0x72656164)

# What services do on every day, at whichever migration. A column that is set to itself is a change
# as good as another.
AS_THE_VERSION_BEFORE = (
    "UPDATE riders SET rider_id = rider_id",
    "UPDATE bikes SET serial = serial",
    "UPDATE rides SET started_at = started_at",
    "INSERT INTO readings (ride_id, at, elapsed_s) SELECT ride_id, clock_timestamp(), 1 FROM rides",
    "SELECT count(*) FROM readings JOIN rides USING (ride_id) JOIN riders USING (rider_id)",
)


@asynccontextmanager
async def session(url: str, *settings: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    for setting in settings:
        await connection.execute(f"SET {setting}")
    yield connection
    await connection.close()


async def a_ride_with_readings(owner: asyncpg.Connection) -> None:
    await owner.execute("INSERT INTO bikes (serial) VALUES ('SN1')")
    await owner.execute(
        "INSERT INTO riders (rider_id, gender, seen_at) VALUES (7001, 'female', now())"
    )
    await owner.execute(
        "INSERT INTO rides (bike_serial, rider_id, started_at) VALUES ('SN1', 7001, now())"
    )


@pytest.mark.parametrize("kind", [TAKERS, LARGE_OBJECTS])
async def test_analysts_take_no_advisory_lock_and_make_no_large_object(
    database_url: str, kind: str
) -> None:
    async with session(database_url) as owner:
        functions = await owner.fetch(
            "SELECT proname, has_function_privilege('tableau_reader', oid, 'EXECUTE') AS may "
            f"FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND {kind}"
        )
        await set_password(owner, "tableau_reader", PASSWORD)
    assert len(functions) > 10
    assert [each["proname"] for each in functions if each["may"]] == []
    async with session(url_as(database_url, "tableau_reader", PASSWORD)) as reader:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("SELECT pg_advisory_lock(1)")


async def test_locks_that_anybody_may_take_hold_up_nothing_that_must_go_on(
    database_url: str,
) -> None:
    """As on a server whose owner may not revoke them."""
    ours = {"lock_timeout": "2s"}
    async with session(database_url) as somebody:
        for lock in FORMER_LOCKS:
            await somebody.execute("SELECT pg_advisory_lock($1)", lock)
        async with session(as_role(database_url, "ingestor"), "lock_timeout = '2s'") as ingestor:
            assert await ingestor.fetchval("SELECT make_readings_day($1)", TODAY)
            async with ingestor.transaction():
                await ingestor.execute(STORING)
        refreshing = as_role(database_url, "star_refresher")
        star = await connect_pool(refreshing, size=1, application="test", server_settings=ours)
        await refresh(star, "Europe/London")
        await star.close()
        await asyncio.to_thread(migrate, database_url)


async def test_a_day_that_is_there_is_made_without_waiting_for_who_makes_another(
    database_url: str,
) -> None:
    ingestor = as_role(database_url, "ingestor")
    async with session(database_url) as owner, session(ingestor, "lock_timeout = '2s'") as later:
        await owner.execute("SELECT make_readings_day($1)", TODAY)
        async with owner.transaction():
            await owner.execute("LOCK TABLE readings_default IN SHARE ROW EXCLUSIVE MODE")
            assert not await later.fetchval("SELECT make_readings_day($1)", TODAY)


async def test_a_database_of_a_later_version_is_told_in_a_sentence(database_url: str) -> None:
    async with session(database_url) as owner:
        await owner.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseIsNewer, match=r"^the database is at migration 9999, and this"):
        await asyncio.to_thread(migrate, database_url)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("INSERT INTO alembic_version VALUES ('0007')", r"of 2 migrations \(0007, \d{4}\)"),
        ("DELETE FROM alembic_version", "of none"),
    ],
)
async def test_a_database_that_does_not_tell_its_version_is_left_as_it_is(
    database_url: str, change: str, told: str
) -> None:
    async with session(database_url) as owner:
        await owner.execute(change)
    with pytest.raises(VersionUnknown, match=rf"alembic_version tells {told} where it should"):
        await asyncio.to_thread(migrate, database_url)


# As often a migration waits for who reads; more would only keep it from coming to its end.
MEETINGS = 3


async def test_who_writes_goes_on_while_a_migration_meets_who_reads_for_long(
    empty_database_url: str,
) -> None:
    """Who reads ends when who writes has gone on: if that waited for them, nobody would end."""
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    async with session(empty_database_url) as owner:
        await a_ride_with_readings(owner)
    over = asyncio.Event()
    rounds = 0

    async def write() -> None:
        nonlocal rounds
        async with session(empty_database_url) as writer:
            while not over.is_set():
                for statement in AS_THE_VERSION_BEFORE:
                    await writer.execute(statement)
                rounds += 1

    async def read_for_long() -> int:
        """How often a migration waited for it."""
        met = 0
        async with session(empty_database_url) as reader, session(empty_database_url) as looking:
            while not over.is_set():
                async with reader.transaction():
                    await reader.fetch("SELECT count(*) FROM rides")
                    while met < MEETINGS and not over.is_set():
                        if not await is_waiting(looking):
                            continue
                        met += 1
                        before = rounds
                        while rounds < before + 2:
                            await asyncio.sleep(0)
                        break
        return met

    working, reading = asyncio.ensure_future(write()), asyncio.ensure_future(read_for_long())
    await asyncio.to_thread(migrate, empty_database_url)
    over.set()
    await working
    assert await reading == MEETINGS


async def is_waiting(looking: asyncpg.Connection) -> bool:
    """Whether a migration waits for a table that somebody reads."""
    found: bool = await looking.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE NOT granted AND locktype = 'relation' AND application_name = 'migrate' "
        "AND datname = current_database())"
    )
    return found
