"""EDGE: questions to PostgreSQL: SQLAlchemy puts a statement together once, values go in each time.

Building and compiling a select takes longer than asking a question does: so a statement is made
once for each shape that is asked, with names (`bindparam`) where the values will stand.
"""

from typing import Any

from msgspec import Struct
from sqlalchemy.dialects.postgresql import asyncpg as postgresql
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Statement(Struct, frozen=True):
    """SQL with `$1`, `$2`, …, the names of its values in that order, and those that are fixed."""

    sql: str
    names: tuple[str, ...]
    fixed: dict[str, Any]

    def values(self, given: dict[str, Any]) -> list[Any]:
        """The values in the statement's order; raises `KeyError` where one is not given."""
        known = {**self.fixed, **given}
        return [known[name] for name in self.names]


class Question(Struct, frozen=True):
    """A statement with the values of this time; what its rows hold, each function's text tells."""

    statement: Statement
    given: dict[str, Any]

    @property
    def values(self) -> list[Any]:
        """The values in the statement's order."""
        return self.statement.values(self.given)


def statement(query: ClauseElement) -> Statement:
    """A query of SQLAlchemy's as a statement; `bindparam`s without a value are to be given."""
    compiled = query.compile(dialect=_DIALECT)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101  every query's is
    names = tuple(compiled.positiontup or ())
    fixed = {name: compiled.binds[name].effective_value for name in names}
    given = {name for name in names if compiled.binds[name].required}
    return Statement(str(compiled), names, {n: v for n, v in fixed.items() if n not in given})


def question(query: ClauseElement, **given: object) -> Question:
    """A query that is asked too rarely to be kept."""
    return Question(statement(query), given)
