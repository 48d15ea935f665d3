"""EDGE: what a migration says for a new figure of a ride: a column in `rides` and in the star.

For migrations to come; none calls it yet. Each has words of its own, so that what it did stays.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

_VIEW = "analytics.fact_rides"
_ROLE = "tableau_reader"

_COMMENTS = sa.text(
    "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute "
    "WHERE attrelid = CAST(:view AS regclass) AND attnum > 0"
)


def add_figure(name: str, number: type[sa.types.TypeEngine[Any]], meaning: str) -> None:
    """Add a figure, not known of rides that have ended already: their readings may be gone."""
    op.add_column("rides", sa.Column(name, number(), comment=meaning))
    op.add_column("star_rides", sa.Column(name, number()))
    _change_fill_version(+1)
    columns, source = _definition()
    op.execute(f"CREATE OR REPLACE VIEW {_VIEW} AS {columns}, {name} FROM {source}")
    _explain(f"COLUMN {_VIEW}.{name}", meaning)


def drop_figure(name: str) -> None:
    """Undo `add_figure` of the figure that was added last."""
    columns, source = _definition()
    columns, found = re.subn(rf",\s*(\w+\.)?{name}$", "", columns)
    if not found:
        raise LookupError(f"{name} is not the last column of {_VIEW}")
    connection = op.get_bind()
    meaning = connection.scalar(sa.text(f"SELECT obj_description('{_VIEW}'::regclass)"))
    meanings = connection.execute(_COMMENTS, {"view": _VIEW}).all()
    # A view loses no column otherwise.
    op.execute(f"DROP VIEW {_VIEW}")
    op.execute(f"CREATE VIEW {_VIEW} AS {columns} FROM {source}")
    op.execute(f"GRANT SELECT ON {_VIEW} TO {_ROLE}")
    _explain(f"VIEW {_VIEW}", meaning)
    for column, its_meaning in meanings:
        if column != name:
            _explain(f"COLUMN {_VIEW}.{column}", its_meaning)
    for table in ("star_rides", "rides"):
        op.drop_column(table, name)
    _change_fill_version(-1)


def _change_fill_version(by: int) -> None:
    """With `FILL_VERSION` of `deloton.store.star`: a refresh that knows fewer settles nothing."""
    op.execute(f"UPDATE star_refreshes SET fill_version = fill_version + {by}")  # noqa: S608


def _definition() -> tuple[str, str]:
    """The view's SELECT up to its last column, and what it reads from."""
    definition = op.get_bind().scalar(sa.text(f"SELECT pg_get_viewdef('{_VIEW}'::regclass)"))
    columns, _, source = definition.rstrip("; \n").rpartition("FROM ")
    return columns.rstrip(), source


def _explain(what: str, meaning: str) -> None:
    quoted = meaning.replace("'", "''")
    op.execute(f"COMMENT ON {what} IS '{quoted}'")
