"""EDGE: all that is held about a person, as one JSON that is written while it is read.

A rider's readings may be many: they are read some rides at a time, all from one moment of the
database.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
from sqlalchemy import RowMapping, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import queries
from api.answers import Row
from api.database import Database
from api.deletion import note

RIDES_AT_ONCE = 20


async def note_export(database: Database, key_id: str, rider_id: int, reason: str | None) -> bool:
    """Note in the audit that a rider's data go out; False where there is no such rider."""
    async with database.transaction() as connection:
        if not await _rows(connection, queries.rider_by_id(rider_id)):
            return False
        await note(connection, key_id, "export_rider", rider_id, reason)
    return True


async def export_rider(database: Database, rider_id: int) -> AsyncIterator[bytes]:
    """The export of a rider, piece by piece; together they are one JSON object."""
    async with database.snapshot() as connection:
        riders = await _rows(connection, queries.rider_by_id(rider_id))
        limits = await _rows(connection, queries.own_limits_of(rider_id))
        facts = {
            "exported_at": datetime.now(UTC),
            "rider": _facts(riders[0]) if riders else None,
            "own_limits": _facts(limits[0]) if limits else None,
            "alerts": await _all(connection, queries.all_alerts_of(rider_id)),
            "audit": await _all(connection, queries.audit_of(rider_id)),
        }
        yield msgspec.json.encode(facts)[:-1] + b',"rides":['
        ridden = await _rows(connection, queries.all_rides_of(rider_id))
        for first in range(0, len(ridden), RIDES_AT_ONCE):
            told = await _with_readings(connection, ridden[first : first + RIDES_AT_ONCE])
            yield b"," * (first > 0) + msgspec.json.encode(told)[1:-1]
        yield b"]}"


async def _with_readings(
    connection: AsyncConnection, ridden: Sequence[RowMapping]
) -> list[dict[str, Any]]:
    rows = await _rows(connection, queries.all_readings_of([ride["ride_id"] for ride in ridden]))
    readings = {
        ride_id: [_facts(row, but="ride_id") for row in of_ride]
        for ride_id, of_ride in groupby(rows, key=lambda row: row["ride_id"])
    }
    return [{**_facts(ride), "readings": readings.get(ride["ride_id"], [])} for ride in ridden]


async def _all(connection: AsyncConnection, query: Select[Any]) -> list[dict[str, Any]]:
    return [_facts(row) for row in await _rows(connection, query)]


async def _rows(connection: AsyncConnection, query: Select[Any]) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (await connection.execute(query)).mappings().all()
    return rows


def _facts(row: Row, but: str = "") -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if name != but}
