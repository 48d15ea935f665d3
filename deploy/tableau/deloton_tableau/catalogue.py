"""EDGE: the views of the star as the database's own catalogue describes them."""

import asyncpg

from deloton_tableau.star import SCHEMA, VIEWS, StarColumn, StarView

_COLUMNS = """
SELECT relname, attname, format_type(atttypid, atttypmod) AS type,
       obj_description(c.oid) AS view_comment, col_description(c.oid, attnum) AS comment
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = $1::text::regnamespace AND attnum > 0 AND NOT attisdropped
ORDER BY relname, attnum
"""


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
