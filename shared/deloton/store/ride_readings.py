"""EDGE: the one door to the readings of a ride, wherever they lie: as rows, or packed.

Who asks here need not know which. `readings_of` looks into both homes, with one question;
`packed_of` looks for a packed ride alone, which takes no look at the daily partitions: who asks
much tries that first, and finds no row where the ride is not packed. Rides in progress, of which
the newest reading is wanted, are rows: who shows them reads the table `readings`.
"""

from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, Union

from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    MetaData,
    Table,
    TableValuedAlias,
    func,
    select,
    text,
)

from deloton.store.tables import readings

# A value, or a `bindparam` where values will stand in a statement that is kept.
T = TypeVar("T")
Given = Union[T, ColumnElement[T]]  # noqa: UP007 - with a type variable

# Rows of a ride that is not packed are looked for this near its start: clocks may jump, rides may
# be long.
BEFORE_START: Final = timedelta(days=1)
AFTER_START: Final = timedelta(days=2)

# The view of migration 0021: columns as those of the rows.
packed_readings: Final = Table(
    "packed_readings",
    MetaData(),
    *(Column(column.name, column.type) for column in readings.c),
)


Span = tuple[Given[datetime], Given[datetime]]


def near(from_at: Any, to_at: Any = None) -> tuple[Any, Any]:  # noqa: ANN401
    """Between which times the rows of rides lie that started in [from, to], or at one moment."""
    return from_at - BEFORE_START, (from_at if to_at is None else to_at) + AFTER_START


def readings_of(ride_id: Given[int], span: Span | None, name: str = "readings") -> TableValuedAlias:
    """The readings of a ride, to stand in a FROM; also of each of the rides that stand before it.

    Rows are looked for within `span`, see `near`; None: in all partitions. Bounds that are the
    same for all rides cost less than those of each.
    """
    since, until = span or (text("timestamptz '-infinity'"), text("timestamptz 'infinity'"))
    columns = (Column(column.name, column.type) for column in readings.c)
    return func.readings_of(ride_id, since, until).table_valued(*columns, name=name)


def packed_of(ride_id: Given[int], name: str = "readings") -> FromClause:
    """The readings of a ride that is packed, to stand in a FROM; no row of one that is not."""
    return select(packed_readings).where(packed_readings.c.ride_id == ride_id).subquery(name)


def readings_of_ride(ride_id: str, started_at: str) -> str:
    """The same as `readings_of` as SQL, under the name `readings`; both values are SQL: `$1`."""
    before_s, after_s = BEFORE_START.total_seconds(), AFTER_START.total_seconds()
    return (
        f"readings_of({ride_id}, {started_at} - interval '{before_s:.0f} seconds', "
        f"{started_at} + interval '{after_s:.0f} seconds') AS readings"
    )
