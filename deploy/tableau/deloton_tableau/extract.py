"""EDGE: the star as one `.hyper` file, for analysts without access to the database."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg
from tableauhyperapi import (
    Connection,
    CreateMode,
    HyperProcess,
    Nullability,
    SqlType,
    TableDefinition,
    TableName,
    Telemetry,
    escape_string_literal,
)

from deloton.store.database import connect
from deloton_tableau.catalogue import read_star
from deloton_tableau.star import SCHEMA, StarView

# PostgreSQL's types in Hyper's words.
TYPES = {
    "bigint": SqlType.big_int,
    "integer": SqlType.int,
    "smallint": SqlType.small_int,
    "double precision": SqlType.double,
    "text": SqlType.text,
    "date": SqlType.date,
    "timestamp with time zone": SqlType.timestamp_tz,
    "timestamp without time zone": SqlType.timestamp,
    "boolean": SqlType.bool,
}


async def write_extract(
    database_url: str, path: Path, on_bytes: Callable[[str, int], None]
) -> dict[str, int]:
    """Write the star to `path`, over what is there; return the rows of each view.

    All tables show the same moment. `on_bytes` is told the view and how many bytes of it came.
    The file is put in place when it is whole.
    """
    connection = await connect(database_url, application="tableau extract", answer_within_s=None)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".extract-") as folder:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                # The role's own limit is for questions of people.
                await connection.execute("SET LOCAL statement_timeout = '10min'")
                star = await read_star(connection)
                for view in star:
                    await _copy_out(connection, view, Path(folder), on_bytes)
            whole = Path(folder) / "whole.hyper"
            rows = _write_hyper(star, Path(folder), whole)
            whole.replace(path)
            return rows
    finally:
        await connection.close()


async def _copy_out(
    connection: asyncpg.Connection,
    view: StarView,
    folder: Path,
    on_bytes: Callable[[str, int], None],
) -> None:
    with (folder / f"{view.name}.csv").open("wb") as file:

        async def keep(data: bytes) -> None:
            file.write(data)
            on_bytes(view.name, len(data))

        await connection.copy_from_query(
            f"SELECT * FROM {SCHEMA}.{view.name}",  # noqa: S608  one of our own views
            output=keep,
            format="csv",
        )


def _write_hyper(star: Sequence[StarView], folder: Path, whole: Path) -> dict[str, int]:
    rows = {}
    with (
        HyperProcess(
            Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters={"log_config": ""}
        ) as hyper,
        Connection(hyper.endpoint, whole, CreateMode.CREATE_AND_REPLACE) as connection,
    ):
        connection.catalog.create_schema_if_not_exists(SCHEMA)
        for view in star:
            table = _definition_of(view)
            connection.catalog.create_table(table)
            file = escape_string_literal(str(folder / f"{view.name}.csv"))
            rows[view.name] = connection.execute_command(
                f"COPY {table.table_name} FROM {file} WITH (FORMAT csv, NULL '')"
            )
    return rows


def _definition_of(view: StarView) -> TableDefinition:
    columns = [
        TableDefinition.Column(column.name, TYPES[column.type](), Nullability.NULLABLE)
        for column in view.columns
    ]
    return TableDefinition(TableName(SCHEMA, view.name), columns)
