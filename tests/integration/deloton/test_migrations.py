"""Migrations build exactly what the tables state, and may be run by anyone at any time."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection, Integer, text
from sqlalchemy.ext.asyncio import create_async_engine

from deloton.migrate import main, migrate
from deloton.rules.figures import FIGURE, FIGURES
from deloton.store.figure_migrations import add_figure, drop_figure
from deloton.store.tables import metadata
from demo.processes import inherit_environment

# A table's or view's columns, what they mean, and who may read them.
_COLUMNS = """
SELECT relname, attname, col_description(c.oid, attnum), obj_description(c.oid), relacl::text
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relname IN ('rides', 'star_rides', 'fact_rides') AND attnum > 0 AND NOT attisdropped
ORDER BY 1, 2
"""


async def differences(url: str) -> list[object]:
    """What Alembic would change to make the database what `tables.py` states."""

    def is_stated(_: object, name: str | None, kind: str, *__: object) -> bool:
        return not (kind == "table" and (name or "").startswith("readings_"))

    def compare(connection: Connection) -> list[object]:
        options = {"compare_type": True, "include_object": is_stated}
        found: list[object] = compare_metadata(
            MigrationContext.configure(connection, opts=options), metadata
        )
        return found

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url)
    )
    async with engine.connect() as connection:
        found = await connection.run_sync(compare)
    await engine.dispose()
    return found


async def test_migrations_build_what_the_tables_state(database_url: str) -> None:
    assert await differences(database_url) == []


async def test_every_table_and_nearly_every_column_is_explained(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    unexplained = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p') AND relname NOT IN ('alembic_version', 'readings_default') "
        "AND obj_description(oid) IS NULL"
    )
    await connection.close()
    assert unexplained == []


def test_migrating_again_does_nothing(database_url: str) -> None:
    migrate(database_url)
    assert asyncio.run(differences(database_url)) == []


def test_two_who_migrate_at_once_do_not_disturb_each_other(empty_database_url: str) -> None:
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(migrate, empty_database_url) for _ in range(4)]:
            done.result()
    assert asyncio.run(differences(empty_database_url)) == []


@pytest.mark.parametrize("options", ["?sslmode=prefer", "?application_name=migrate"])
def test_options_in_the_address_are_taken_as_the_services_take_them(
    empty_database_url: str, options: str
) -> None:
    async def connect() -> None:
        connection = await asyncpg.connect(empty_database_url + options)
        await connection.close()

    asyncio.run(connect())
    migrate(empty_database_url + options)
    assert asyncio.run(differences(empty_database_url)) == []


def test_the_command_migrates_and_says_so(empty_database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deloton.migrate"],
        env=inherit_environment(DATABASE_URL=empty_database_url),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stderr.splitlines()[-1])["event"] == "schema is up to date"
    assert asyncio.run(differences(empty_database_url)) == []


def test_the_command_without_an_address_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="DATABASE_URL: Field required"):
        main()


def test_a_database_that_is_away_is_told_without_the_password() -> None:
    with pytest.raises(OSError, match=r"(?i)refused|connect") as caught:
        migrate("postgresql://ada:hunter2@127.0.0.1:1/nowhere")
    assert "hunter2" not in str(caught.value)


async def test_the_star_explains_each_figure_in_its_own_words(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    told = await connection.fetch(
        "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = 'analytics.fact_rides'::regclass AND attnum > 0"
    )
    await connection.close()
    meanings = {figure.name: figure.meaning for figure in FIGURES if figure.in_star}
    assert {name: meaning for name, meaning in told if name in FIGURE} == meanings


async def test_a_figure_is_added_to_rides_and_star_and_leaves_both_as_they_were(
    database_url: str,
) -> None:
    def columns(connection: Connection) -> list[object]:
        return list(connection.execute(text(_COLUMNS)))

    def change(connection: Connection, do: Callable[[], None]) -> list[object]:
        with Operations.context(MigrationContext.configure(connection)):
            do()
        return columns(connection)

    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(database_url)
    )
    async with engine.begin() as connection:
        before = await connection.run_sync(columns)
        meaning = "A rider's own."
        added = await connection.run_sync(
            change, lambda: add_figure("a_new_one_s", Integer, meaning)
        )
        assert {row[:3] for row in added} - {row[:3] for row in before} == {  # type: ignore[index]
            ("rides", "a_new_one_s", meaning),
            ("star_rides", "a_new_one_s", None),
            ("fact_rides", "a_new_one_s", meaning),
        }
        after = await connection.run_sync(change, lambda: drop_figure("a_new_one_s"))
        with pytest.raises(LookupError, match="energy_kj is not the last column"):
            await connection.run_sync(change, lambda: drop_figure("energy_kj"))
    await engine.dispose()
    assert after == before


async def test_a_ride_has_an_end_and_a_reason_or_neither(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("INSERT INTO bikes VALUES ('SN1')")
    with pytest.raises(asyncpg.CheckViolationError):
        await connection.execute(
            "INSERT INTO rides (bike_serial, started_at, ended_at) VALUES ('SN1', now(), now())"
        )
    await connection.close()
