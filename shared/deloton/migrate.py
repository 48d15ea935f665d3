"""Bring the schema up to date: `python -m deloton.migrate`, before the services that need it."""

import asyncio
import sys
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deloton.errors import SettingsError
from deloton.logs import configure_logging, get_logger
from deloton.settings import DatabaseSettings

# Any number that nothing else in the database locks.
_LOCK = 0x64656C6F


def migrate(database_url: str, revision: str = "head") -> None:
    """Run the migrations that are missing up to `revision`.

    Repeating does nothing; where two run at once, the second waits for the first.
    """
    asyncio.run(_migrate(database_url, revision))


async def _migrate(database_url: str, revision: str) -> None:
    # asyncpg reads the address itself, with all the options that it may carry.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(database_url),
        poolclass=NullPool,
    )
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def main() -> None:
    """Migrate the database that `DATABASE_URL` names."""
    try:
        settings = DatabaseSettings.from_environment()
    except SettingsError as error:
        sys.exit(str(error))
    configure_logging(settings.log_level)
    migrate(settings.database_url.get_secret_value())
    get_logger(__name__).info("schema is up to date")


if __name__ == "__main__":
    main()
