"""SHELL: brings the schema up to date: `python -m deloton.migrate`, before what needs it.

Roles get the passwords that the environment names; the others stay as they are.
"""

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from deloton.errors import DatabaseIsNewer, SettingsError, VersionUnknown
from deloton.running.logs import configure_logging, get_logger
from deloton.running.retries import until_it_works
from deloton.running.settings import DatabaseSettings
from deloton.store.database import connect
from deloton.store.roles import SERVICE_ROLES, set_password

_MIGRATIONS: Final = Path(__file__).parent / "store" / "migrations"

# Whoever waits for a table's lock holds up all who ask for that table after it: so it asks for a
# moment, and again.
LOCK_WITHIN: Final = "300ms"
LONGEST_PAUSE_S: Final = 3.0

_MAKE_VERSION = """
CREATE TABLE IF NOT EXISTS alembic_version (
    version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY
)
"""
# One at a time; those who read the version go on. Who has to wait asks again: in a transaction that
# waits, it would hold up an index that is being built concurrently, which waits for it.
_TAKE_TURN = "LOCK TABLE alembic_version IN SHARE UPDATE EXCLUSIVE MODE NOWAIT"

_IS_WHOLE = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
# Whether the first migration was run.
_IS_OURS = text("SELECT to_regclass('ingest_offsets') IS NOT NULL")

# SQLSTATEs of who met somebody else: no lock in time, a deadlock; the version's table was made by
# another at the same moment. Source: PostgreSQL documentation, appendix A.
_IN_USE: Final = frozenset({"55P03", "40P01"})
_MADE_BY_ANOTHER: Final = frozenset({"23505", "42710", "42P07"})


class MigrationSettings(DatabaseSettings):
    """The owner's address, and with which passwords services and Tableau log in."""

    ingestor_database_password: SecretStr | None = None
    hr_alerter_database_password: SecretStr | None = None
    api_database_password: SecretStr | None = None
    dashboard_database_password: SecretStr | None = None
    reporter_database_password: SecretStr | None = None
    star_refresher_database_password: SecretStr | None = None
    tableau_reader_password: SecretStr | None = None
    on_call_database_password: SecretStr | None = None

    def passwords(self) -> dict[str, str]:
        """Those that are set, by role."""
        given = {role: getattr(self, f"{role}_database_password") for role in SERVICE_ROLES}
        given["tableau_reader"] = self.tableau_reader_password
        given["on_call"] = self.on_call_database_password
        return {role: secret.get_secret_value() for role, secret in given.items() if secret}


def migrate(database_url: str, revision: str = "head") -> None:
    """Run the migrations that are missing up to `revision`.

    Each is a transaction of its own, and is tried again where a table is in use. Repeating does
    nothing; where two run at once they take turns. Raises `DatabaseIsNewer` where the database has
    a migration that is not among these, `VersionUnknown` where it does not tell of exactly one.
    """
    asyncio.run(_migrate(database_url, revision))


async def _migrate(database_url: str, revision: str) -> None:
    # asyncpg reads the address itself, with all the options that it may carry.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        # However long it takes: a migration may rewrite a table.
        async_creator=lambda: connect(database_url, application="migrate", answer_within_s=None),
        poolclass=NullPool,
    )
    try:
        await _until_free(lambda: _make_version(engine))
        script = ScriptDirectory(_MIGRATIONS)
        while await _until_free(lambda: _step(engine, script, revision)):
            pass
    finally:
        await engine.dispose()


async def _until_free(step: Callable[[], Awaitable[bool]]) -> bool:
    return await until_it_works(
        "tables that are in use", step, passes_by_itself=_is_in_use, longest_wait_s=LONGEST_PAUSE_S
    )


def _is_in_use(error: BaseException) -> bool:
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _IN_USE


async def _make_version(engine: AsyncEngine) -> bool:
    """Make the table of the version, where there is none; False where another did."""
    try:
        async with engine.begin() as connection:
            await connection.execute(text(_MAKE_VERSION))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _MADE_BY_ANOTHER:
            raise
        return False
    return True


async def _step(engine: AsyncEngine, script: ScriptDirectory, target: str) -> bool:
    """Run the next migration up to `target`; False where there is none."""
    async with engine.begin() as connection:
        await connection.execute(text(_TAKE_TURN))
        following = await connection.run_sync(_following, script, target)
        if following is None:
            return False
        # After the last question: what is asked keeps its snapshot until the next statement, and
        # whoever builds an index concurrently waits for snapshots.
        await connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WITHIN}'"))
        await _prepare(engine, script.get_revision(following).module)
        await connection.run_sync(_upgrade, script, following)
    return True


async def _prepare(engine: AsyncEngine, migration: ModuleType) -> None:
    """Do what takes long before the migration's own transaction, and hold up nobody with it.

    `BUILT_BEFOREHAND`: indexes by name, built concurrently; one that was left half-built is built
    anew. `FILLED_BEFOREHAND`: a statement that does a part of the rows that are left, each time in
    a transaction of its own, until it finds none. Who was ended goes on from there.
    """
    async with engine.connect() as connection:
        by_itself = await connection.execution_options(isolation_level="AUTOCOMMIT")
        for name, statement in getattr(migration, "BUILT_BEFOREHAND", {}).items():
            is_whole = await by_itself.scalar(_IS_WHOLE, {"name": name})
            if is_whole is False:
                await by_itself.execute(text(f"DROP INDEX CONCURRENTLY {name}"))
            if not is_whole:
                await by_itself.execute(text(statement))
        if fill := getattr(migration, "FILLED_BEFOREHAND", None):
            while (await by_itself.execute(text(fill))).rowcount:
                pass


def _following(connection: Connection, script: ScriptDirectory, target: str) -> str | None:
    told = MigrationContext.configure(connection).get_current_heads()
    if len(told) > 1 or (not told and connection.scalar(_IS_OURS)):
        raise VersionUnknown(sorted(told))
    return _revision_after(script, told[0] if told else None, target)


def _upgrade(connection: Connection, script: ScriptDirectory, following: str) -> None:
    config = Config(attributes={"connection": connection})
    # As Alembic's own command does, which would read all the migrations anew each time.
    steps = functools.partial(_steps, script, following)
    with EnvironmentContext(config, script, fn=steps, destination_rev=following):
        script.run_env()


def _steps(script: ScriptDirectory, following: str, there: str, _: MigrationContext) -> Any:  # noqa: ANN401
    return script._upgrade_revs(following, there)  # noqa: SLF001  Alembic's cookbook does so


def _revision_after(script: ScriptDirectory, there: str | None, target: str) -> str | None:
    """The revision that follows `there`, up to `target`; None where nothing does."""
    known = [each.revision for each in script.walk_revisions()][::-1]
    if there is not None and there not in known:
        raise DatabaseIsNewer(there, known[-1])
    last = known[-1] if target == "head" else target
    ahead = known[known.index(there) + 1 if there else 0 : known.index(last) + 1]
    return ahead[0] if ahead else None


async def set_passwords(database_url: str, passwords: Mapping[str, str]) -> None:
    """Let roles log in with these passwords from now on."""
    connection = await connect(database_url, application="migrate")
    try:
        for role, password in passwords.items():
            await set_password(connection, role, password)
    finally:
        await connection.close()


def main() -> None:
    """Migrate the database that `DATABASE_URL` names."""
    try:
        settings = MigrationSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    url, passwords = settings.database_url.get_secret_value(), settings.passwords()
    try:
        migrate(url)
    except (DatabaseIsNewer, VersionUnknown) as error:
        sys.exit(str(error))
    asyncio.run(set_passwords(url, passwords))
    get_logger(__name__).info("schema is up to date", roles_with_passwords=sorted(passwords))


if __name__ == "__main__":
    main()
