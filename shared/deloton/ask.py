"""One question to the database, for who is on call: `python -m deloton.ask "SELECT …"`.

It reads only. What it prints stands in the log of the task that it runs in: ask for numbers and
states, not for people.
"""

import asyncio
import sys
from collections.abc import Sequence

import asyncpg

from deloton.errors import SettingsError
from deloton.settings import DatabaseSettings

MOST_ROWS = 200
WITHIN_S = 30.0


async def ask(url: str, question: str) -> list[str]:
    """The answer, a line a row after the columns' names, with tabs between; 200 rows at most."""
    connection = await asyncpg.connect(url, timeout=10, command_timeout=WITHIN_S)
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
        url = DatabaseSettings.from_environment().database_url.get_secret_value()
        sys.stdout.writelines(f"{line}\n" for line in asyncio.run(ask(url, arguments[0])))
    except (SettingsError, asyncpg.PostgresError, OSError) as error:
        sys.exit(str(error) or type(error).__name__)


if __name__ == "__main__":
    main(sys.argv[1:])
