"""SHELL: brings the schema up to date: `python -m deloton.migrate`, before what needs it.

Roles get the passwords that the environment names; the others stay as they are.
"""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from alembic import command
from alembic.config import Config
from pydantic import SecretStr
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from deloton.errors import SettingsError
from deloton.running.logs import configure_logging, get_logger
from deloton.running.settings import DatabaseSettings
from deloton.store.database import connect
from deloton.store.roles import SERVICE_ROLES, set_password

# Any number that nothing else in the database locks.
_LOCK = 0x64656C6F


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

    Repeating does nothing; where two run at once, the second waits for the first.
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
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "store" / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


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
    migrate(url)
    asyncio.run(set_passwords(url, passwords))
    get_logger(__name__).info("schema is up to date", roles_with_passwords=sorted(passwords))


if __name__ == "__main__":
    main()
