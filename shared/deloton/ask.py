"""SHELL: one question to the database, for who is on call: `python -m deloton.ask "SELECT …"`.

It reads only, and where `ON_CALL_DATABASE_PASSWORD` is set, as the role `on_call`, which can do
nothing else and sees nobody's name. What it prints stands in the log of the task that it runs in.
"""

import asyncio
import sys
from collections.abc import Sequence

import asyncpg
from pydantic import SecretStr

from deloton.errors import SettingsError
from deloton.running.settings import DatabaseSettings
from deloton.store.database import connect
from deloton.store.roles import url_as

MOST_ROWS = 200
WITHIN_S = 30.0


class AskSettings(DatabaseSettings):
    """Where the database is; whoever its address names asks, unless `on_call` can."""

    on_call_database_password: SecretStr | None = None

    @property
    def asking_url(self) -> str:
        """The address to ask at."""
        url, password = self.database_url.get_secret_value(), self.on_call_database_password
        return url_as(url, "on_call", password.get_secret_value()) if password else url


async def ask(url: str, question: str) -> list[str]:
    """The answer, a line a row after the columns' names, with tabs between; 200 rows at most."""
    connection = await connect(url, application="ask", answer_within_s=WITHIN_S)
    try:
        async with connection.transaction(readonly=True):
            cursor = await connection.cursor(question)
            rows = await cursor.fetch(MOST_ROWS)
    finally:
        await connection.close()
    names = ["\t".join(rows[0].keys())] if rows else ["no rows"]
    return names + ["\t".join("" if each is None else str(each) for each in row) for row in rows]


def main(arguments: Sequence[str]) -> None:
    """Ask what the command line says, of the database that `DATABASE_URL` names."""
    if len(arguments) != 1:
        sys.exit('usage: python -m deloton.ask "SELECT …"')
    try:
        url = AskSettings.from_environment().asking_url
        sys.stdout.writelines(f"{line}\n" for line in asyncio.run(ask(url, arguments[0])))
    except (SettingsError, asyncpg.PostgresError, OSError) as error:
        sys.exit(str(error) or type(error).__name__)


if __name__ == "__main__":
    main(sys.argv[1:])
