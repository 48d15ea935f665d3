"""SHELL: `python -m api.keys create|list|revoke`: who may ask the API, and what."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import asyncpg
import typer

from api.access import key_store
from api.access.credentials import (
    DEFAULT_REQUESTS_PER_MINUTE,
    Credential,
    HashedCredential,
    Scope,
    new_credential,
    read_hashed,
)
from api.contract.problems import Problem
from api.store.database import Database, Row
from deloton.errors import SettingsError
from deloton.running.commands import ending_in_a_sentence, help_of
from deloton.running.settings import DatabaseSettings

T = TypeVar("T")

cli = typer.Typer(add_completion=False, help=help_of(__doc__), pretty_exceptions_enable=False)


@cli.command()
def create(
    name: Annotated[str, typer.Option(help="Who uses it.")],
    scopes: Annotated[
        str, typer.Option(help="Of read, personal, erase, webhooks; with commas.")
    ] = "read",
    requests_per_minute: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="In all; 500 rows count as one.")
    ] = DEFAULT_REQUESTS_PER_MINUTE,
    days: Annotated[
        int | None, typer.Option(min=1, max=3_650, help="After so many it opens nothing.")
    ] = None,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="It sees simulated riders and nobody else.")
    ] = False,
    hashed: Annotated[
        str | None, typer.Option(help="Of a key made elsewhere: its id, a colon, its hash.")
    ] = None,
) -> None:
    """Make a key and print it: it is shown this once and not kept.

    With --hashed the key was made elsewhere, is stored, and not known here: nothing is printed.
    """
    chosen = _read_scopes(scopes)
    if not name.strip() or not name.isprintable():
        sys.exit("--name: say who uses the key, in one line without tabs.")
    if sandbox and Scope.ERASE in chosen:
        sys.exit("--sandbox: such a key erases nobody.")
    made = new_credential()
    credential = made if hashed is None else read_hashed(hashed)
    if credential is None:
        sys.exit("--hashed: give 12 and 64 hexadecimal digits, with a colon between.")
    _run(
        lambda database: _create(
            database,
            credential,
            name=name,
            scopes=chosen,
            requests_per_minute=requests_per_minute,
            expires_at=datetime.now(UTC) + timedelta(days=days) if days else None,
            sandbox=sandbox,
        )
    )
    if credential is made:
        print(made.key)


@cli.command("list")
def list_all() -> None:
    """Print every key's id, scopes, limit, first day, state, last use and name."""
    for row in _run(key_store.list_keys):
        used_at = row["last_used_at"]
        print(
            row["key_id"],
            ",".join(row["scopes"]),
            f"{row['requests_per_minute']}/min",
            f"{row['created_at']:%Y-%m-%d}",
            _state_of(row, datetime.now(UTC)),
            *(["sandbox"] if row["sandbox"] else []),
            f"used {used_at:%Y-%m-%d %H:%M}" if used_at else "not used",
            # Whoever named it, it is one line.
            "".join(letter if letter.isprintable() else " " for letter in row["name"]),
            sep="\t",
        )


@cli.command()
def revoke(key_id: str) -> None:
    """Revoke a key by its id; within ten seconds it opens nothing any more."""
    if not _run(lambda database: key_store.revoke_key(database, key_id)):
        sys.exit(f"There is no valid key with the id {key_id}.")
    print(f"{key_id} is revoked.")


def _state_of(row: Row, now: datetime) -> str:
    expires_at = row["expires_at"]
    if row["revoked_at"]:
        return f"revoked {row['revoked_at']:%Y-%m-%d}"
    if expires_at is None:
        return "valid"
    return f"{'valid until' if expires_at > now else 'expired'} {expires_at:%Y-%m-%d}"


def _read_scopes(text: str) -> set[Scope]:
    try:
        return {Scope(word.strip()) for word in text.split(",")}
    except ValueError:
        sys.exit(f"--scopes {text}: give some of {', '.join(Scope)}, with commas.")


async def _create(
    database: Database,
    credential: Credential | HashedCredential,
    **told: Any,  # noqa: ANN401  as `create_key` takes them
) -> None:
    try:
        await key_store.create_key(database, credential, **told)
    except asyncpg.UniqueViolationError:
        sys.exit(f"There is a key with the id {credential.key_id} already.")


def _run(work: Callable[[Database], Awaitable[T]]) -> T:
    try:
        url = DatabaseSettings.from_environment().database_url.get_secret_value()
        with ending_in_a_sentence():
            return asyncio.run(_with_database(url, work))
    except (SettingsError, Problem) as error:
        sys.exit(str(error))


async def _with_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    database = Database(url, connections=1, statement_timeout_s=10)
    try:
        return await work(database)
    finally:
        await database.close()


if __name__ == "__main__":
    cli()
