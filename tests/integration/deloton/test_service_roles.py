"""Each service's role does what its service does, and nothing else in the database.

That it may do all that its service does is proved by the tests that start services: each of them
logs in as its own role.
"""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from deloton.migrate import migrate
from deloton.store.roles import SERVICE_ROLES, scram_verifier, set_password, url_as
from deloton.store.tables import metadata
from tests.roles import as_role

NOBODY = (
    "CREATE TABLE public.mine (n int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "ALTER ROLE api SUPERUSER",
    "SET ROLE deloton",
    "TRUNCATE riders",
    "DROP TABLE readings",
    "ALTER TABLE rides DISABLE TRIGGER ALL",
    "SELECT * FROM pg_catalog.pg_authid",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "UPDATE alembic_version SET version_num = '0001'",
    "SELECT note_star_changes()",
    "SELECT * FROM analytics.fact_rides",
)

# Who sees riders second by second.
READERS = ("ingestor", "api", "dashboard", "star_refresher")

FORBIDDEN = {
    "ingestor": (
        "SELECT * FROM audit",
        "SELECT * FROM api_keys",
        "SELECT * FROM heart_rate_alerts",
        "SELECT * FROM reports",
        "SELECT * FROM star_changes",
        "SELECT * FROM changes",
        "INSERT INTO changes (kind, ride_id) VALUES ('ride.ended', 1)",
        "SELECT number_changes('1 day')",
        "DELETE FROM rides",
        "DELETE FROM bikes",
        "DELETE FROM ingest_offsets",
        "DELETE FROM erasures",
        "UPDATE ride_series SET reading_count = 0",
        "UPDATE bike_powers SET power_watts = 0",
        "DELETE FROM bike_powers",
        "DROP TABLE readings_default",
        "ALTER TABLE readings DETACH PARTITION readings_default",
    ),
    "hr_alerter": (
        "SELECT * FROM api_keys",
        "SELECT street FROM riders",
        "SELECT * FROM readings",
        "SELECT * FROM audit",
        "UPDATE riders SET email = 'mallory@example.com'",
        "UPDATE rides SET rider_id = 1",
        "DELETE FROM heart_rate_alerts",
    ),
    "api": (
        "UPDATE riders SET email = 'mallory@example.com'",
        "UPDATE rides SET rider_id = 1",
        "INSERT INTO rides (bike_serial, started_at) VALUES ('SN1', now())",
        "INSERT INTO readings (ride_id, at) VALUES (1, now())",
        "DELETE FROM ride_series",
        "INSERT INTO bike_powers VALUES (0, 0, 0)",
        "UPDATE audit SET reason = 'none'",
        "DELETE FROM audit",
        "DELETE FROM erasures",
        "DELETE FROM api_keys",
        "UPDATE api_keys SET scopes = '{erase}'",
        "INSERT INTO changes (kind, ride_id) VALUES ('ride.ended', 1)",
        "UPDATE changes SET change_id = 1",
        "DELETE FROM changes",
        "UPDATE change_feed SET last_change_id = 0",
        "SELECT * FROM ingest_offsets",
        "SELECT * FROM reports",
    ),
    "dashboard": (
        "INSERT INTO riders (rider_id, gender, seen_at) VALUES (1, 'female', now())",
        "UPDATE rider_limits SET alerts_on = false",
        "DELETE FROM rides",
        "DELETE FROM readings",
        "DELETE FROM ride_series",
        "UPDATE heart_rate_alerts SET state = 'sent'",
        "UPDATE danger_acknowledgements SET note = ''",
        "DELETE FROM danger_acknowledgements",
        "SELECT email FROM riders",
        "SELECT street FROM riders",
        "SELECT postcode FROM riders",
        "SELECT * FROM api_keys",
        "SELECT * FROM audit",
        "SELECT * FROM erasures",
    ),
    "reporter": (
        "DELETE FROM rides",
        "UPDATE rides SET energy_kj = 0",
        "DELETE FROM reports",
        "SELECT email FROM riders",
        "SELECT * FROM readings",
        "SELECT * FROM api_keys",
        "UPDATE heart_rate_alerts SET state = 'sent'",
    ),
    "star_refresher": (
        "SELECT first_name FROM riders",
        "SELECT email FROM riders",
        "DELETE FROM rides",
        "UPDATE rides SET rider_id = 1",
        "UPDATE riders SET born_on = now()",
        "DELETE FROM readings",
        "SELECT * FROM heart_rate_alerts",
        "SELECT heart_rate_bpm FROM heart_rate_alerts",
        "SELECT heart_rate_bpm FROM heart_rate_recoveries",
        "SELECT * FROM api_keys",
    ),
}


@pytest_asyncio.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def allowed(database_url: str, role: str, statements: tuple[str, ...]) -> list[str]:
    """Those of some statements that the role is not refused."""
    connection = await asyncpg.connect(as_role(database_url, role))
    through = []
    for statement in statements:
        try:
            async with connection.transaction():
                await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError:
            continue
        through.append(statement)
    await connection.close()
    return through


@pytest.mark.parametrize("role", SERVICE_ROLES)
async def test_a_role_may_not_do_what_its_service_does_not_do(database_url: str, role: str) -> None:
    assert await allowed(database_url, role, FORBIDDEN[role]) == []


@pytest.mark.parametrize("role", SERVICE_ROLES)
async def test_nothing_can_be_made_changed_or_taken_over(database_url: str, role: str) -> None:
    assert await allowed(database_url, role, NOBODY) == []


@pytest.mark.parametrize("role", SERVICE_ROLES)
async def test_a_role_belongs_to_no_other_and_has_no_attribute_of_power(
    owner: asyncpg.Connection, role: str
) -> None:
    row = await owner.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", role)
    assert row is not None
    powers = ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication", "rolbypassrls")
    assert not any(row[power] for power in powers)
    others = await owner.fetch(
        "SELECT roleid::regrole::text AS role FROM pg_auth_members WHERE member = $1", row["oid"]
    )
    # By a sandbox key the API asks as this one, which sees less.
    assert [each["role"] for each in others] == (["api_sandbox"] if role == "api" else [])


async def test_functions_are_for_those_who_need_them(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        "SELECT proname, rolname FROM pg_proc CROSS JOIN pg_roles "
        "WHERE pronamespace = 'public'::regnamespace AND rolname = ANY($1::text[]) "
        "AND has_function_privilege(pg_roles.oid, pg_proc.oid, 'EXECUTE')",
        [*SERVICE_ROLES, "tableau_reader"],
    )
    assert {tuple(row) for row in rows} == {
        ("make_readings_day", "ingestor"),
        ("drop_readings_day", "ingestor"),
        ("drop_packed_readings_day", "ingestor"),
        ("unpack_rides", "ingestor"),
        *(("readings_of", role) for role in READERS),
        ("number_changes", "api"),
        ("rides_of_person", "api"),
        ("delete_rides_of_person", "api"),
    }


async def test_who_reads_readings_reads_them_wherever_they_lie(database_url: str) -> None:
    questions = (
        "SELECT * FROM readings",
        "SELECT * FROM ride_readings",
        "SELECT * FROM readings_of(1, now(), now())",
    )
    for role in SERVICE_ROLES:
        readable = list(questions) if role in READERS else []
        assert await allowed(database_url, role, questions) == readable


async def test_no_table_is_without_a_service_that_may_use_it(owner: asyncpg.Connection) -> None:
    """A new table needs its grants in the migration that makes it."""
    rows = await owner.fetch(
        "SELECT DISTINCT table_name FROM information_schema.column_privileges "
        "WHERE table_schema = 'public' AND grantee = ANY($1::text[])",
        list(SERVICE_ROLES),
    )
    assert {row["table_name"] for row in rows} >= metadata.tables.keys()


async def test_the_ingestor_alone_may_make_temporary_tables(empty_database_url: str) -> None:
    # A right on the database itself, which copies of a migrated one do not have.
    await asyncio.to_thread(migrate, empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    query = "SELECT has_database_privilege($1, current_database(), 'TEMPORARY')"
    may = {role: await connection.fetchval(query, role) for role in SERVICE_ROLES}
    await connection.close()
    assert may == {role: role == "ingestor" for role in SERVICE_ROLES}


async def test_a_new_password_opens_and_the_former_no_longer_does(
    database_url: str, owner: asyncpg.Connection
) -> None:
    await owner.execute("CREATE ROLE somebody LOGIN")
    for password in ("first & last", "second/@:"):
        await set_password(owner, "somebody", password)
        connection = await asyncpg.connect(url_as(database_url, "somebody", password))
        await connection.close()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(url_as(database_url, "somebody", "first & last"))
    await owner.execute("DROP ROLE somebody")


def test_a_password_is_handed_over_as_a_verifier() -> None:
    verifier = scram_verifier("s3cret")
    assert verifier.startswith("SCRAM-SHA-256$4096:")
    assert "s3cret" not in verifier
