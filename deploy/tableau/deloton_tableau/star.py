"""EDGE: what schema `analytics` holds, read from the database's own catalogue."""

import asyncpg
from msgspec import Struct

SCHEMA = "analytics"

# In the order in which people read of them.
VIEWS = (
    "fact_rides",
    "fact_reading_minutes",
    "fact_alerts",
    "dim_riders",
    "dim_bikes",
    "dim_dates",
    "refreshes",
)

_COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod) AS type,
       obj_description(c.oid) AS view_comment, col_description(c.oid, attnum) AS comment
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = $1::text::regnamespace AND attnum > 0 AND NOT attisdropped
ORDER BY relname, attnum
"""


class StarColumn(Struct, frozen=True):
    """A column: its name, its PostgreSQL type, and its comment."""

    name: str
    type: str
    comment: str


class StarView(Struct, frozen=True):
    """A view of the star, its comment and its columns in order."""

    name: str
    comment: str
    columns: tuple[StarColumn, ...]


async def read_star(connection: asyncpg.Connection) -> list[StarView]:
    """The views of the star, in the order of `VIEWS`; raises `KeyError` where one is missing."""
    rows = await connection.fetch(_COLUMNS, SCHEMA)
    comments = {row["relname"]: row["view_comment"] for row in rows}
    return [
        StarView(
            name,
            comments[name],
            tuple(
                StarColumn(row["attname"], row["type"], row["comment"])
                for row in rows
                if row["relname"] == name
            ),
        )
        for name in VIEWS
    ]
