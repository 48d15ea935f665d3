"""SHELL: `python -m api.keys create|list|revoke`: who may ask the API, and what."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from api import key_store
from api.credentials import DEFAULT_REQUESTS_PER_MINUTE, Scope, new_credential
from api.database import Database, open_engine
from api.problems import Problem
from deloton.errors import SettingsError
from deloton.settings import DatabaseSettings

T = TypeVar("T")

cli = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@cli.command()
def create(
    name: Annotated[str, typer.Option(help="Who uses it.")],
    scopes: Annotated[str, typer.Option(help="Of read, personal, erase; with commas.")] = "read",
    requests_per_minute: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="In each API process.")
    ] = DEFAULT_REQUESTS_PER_MINUTE,
) -> None:
    """Make a key and print it: it is shown this once and not kept."""
    chosen = _read_scopes(scopes)
    credential = new_credential()
    _run(
        lambda database: key_store.create_key(
            database,
            credential,
            name=name,
            scopes=chosen,
            requests_per_minute=requests_per_minute,
        )
    )
    print(credential.key)


@cli.command("list")
def list_all() -> None:
    """Print every key's id, name, scopes, limit, age and state."""
    for row in _run(key_store.list_keys):
        state = f"revoked {row['revoked_at']:%Y-%m-%d}" if row["revoked_at"] else "valid"
        print(
            row["key_id"],
            ",".join(row["scopes"]),
            f"{row['requests_per_minute']}/min",
            f"{row['created_at']:%Y-%m-%d}",
            state,
            row["name"],
            sep="\t",
        )


@cli.command()
def revoke(key_id: str) -> None:
    """Revoke a key by its id; within ten seconds it opens nothing any more."""
    if not _run(lambda database: key_store.revoke_key(database, key_id)):
        sys.exit(f"There is no valid key with the id {key_id}.")
    print(f"{key_id} is revoked.")


def _read_scopes(text: str) -> set[Scope]:
    try:
        return {Scope(word.strip()) for word in text.split(",")}
    except ValueError:
        sys.exit(f"--scopes {text}: give some of {', '.join(Scope)}, with commas.")


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    try:
        url = DatabaseSettings.from_environment().database_url.get_secret_value()
        return asyncio.run(_with_database(url, work))
    except (SettingsError, Problem) as error:
        sys.exit(str(error))


async def _with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(open_engine(url, connections=1, statement_timeout_s=10))
    try:
        return await work(database)
    finally:
        await database.close()


if __name__ == "__main__":
    cli()
