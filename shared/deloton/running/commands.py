"""EDGE: what commands tell of themselves on a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg


def help_of(docstring: str | None) -> str:
    """A module's docstring as its command's help: all of it but the room it begins with."""
    room, colon, text = (docstring or "").partition(": ")
    return text if colon and room.isupper() else docstring or ""


@contextmanager
def ending_in_a_sentence() -> Iterator[None]:
    """End the command with a sentence, not a trace, where the database cannot be asked."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        sys.exit(f"The database is not as this version needs it: {error}. Migrate it first.")
    except asyncpg.PostgresError as error:
        sys.exit(f"The database refuses: {error}.")
    except OSError as error:
        sys.exit(f"The database cannot be reached: {error.strerror or type(error).__name__}.")
