"""EDGE: all that is held about a person, as one JSON that is written while it is read.

A rider's readings may be many: they are read some rides at a time, each ride whole, and no
connection is kept while what was read is sent. A ride that is deleted meanwhile is not told.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ARRAY, BigInteger, FromClause, Select, any_, bindparam, func, select

from api.store.database import Database
from api.store.deletion import note
from api.store.sandbox import RIDER_IN_VIEW
from api.store.statements import Question, Statement, statement
from api.store.told import Fields, list_of, told
from deloton.store.ride_readings import readings_of
from deloton.store.tables import (
    audit,
    danger_acknowledgements,
    heart_rate_alerts,
    heart_rate_recoveries,
    refused_addresses,
    ride_hearts,
    rider_limits,
    riders,
    rides,
)

RIDES_AT_ONCE: Final = 20
# Each reading has it, measured or not, and nothing else does; in a text its quotes are escaped.
_OF_A_READING: Final = b'"elapsed_s"'

_RIDER_ID = bindparam("rider_id", type_=BigInteger)


def _fields(of: FromClause, but: str = "") -> Fields:
    return {column.name: column for column in of.c if column.name != but}


def _rows_of(query: Select[Any]) -> Statement:
    return statement(told(_fields(query.subquery("page"))))


_RIDER = _rows_of(select(riders).where(riders.c.rider_id == _RIDER_ID))
_LIMITS = _rows_of(select(rider_limits).where(rider_limits.c.rider_id == _RIDER_ID))
# Of each address a digest is all that is kept.
_REFUSED = _rows_of(
    select(
        func.encode(refused_addresses.c.digest, "hex").label("digest"),
        refused_addresses.c.because,
        refused_addresses.c.refused_at,
    )
    .where(refused_addresses.c.rider_id == _RIDER_ID)
    .order_by(refused_addresses.c.refused_at)
)
_ALERTS = _rows_of(
    select(heart_rate_alerts)
    .where(heart_rate_alerts.c.rider_id == _RIDER_ID)
    .order_by(heart_rate_alerts.c.measured_at)
)
_RECOVERIES = _rows_of(
    select(heart_rate_recoveries)
    .join(heart_rate_alerts, heart_rate_alerts.c.alert_id == heart_rate_recoveries.c.alert_id)
    .where(heart_rate_alerts.c.rider_id == _RIDER_ID)
    .order_by(heart_rate_recoveries.c.measured_at)
)
# What the staff noted of a danger; who of them is another person's data.
_NOTES = _rows_of(
    select(
        danger_acknowledgements.c.alert_id,
        danger_acknowledgements.c.note,
        danger_acknowledgements.c.acknowledged_at,
    )
    .join(heart_rate_alerts, heart_rate_alerts.c.alert_id == danger_acknowledgements.c.alert_id)
    .where(heart_rate_alerts.c.rider_id == _RIDER_ID)
    .order_by(danger_acknowledgements.c.acknowledged_at)
)
# What was deleted or handed out of a rider's data; not of single rides.
_AUDIT = _rows_of(
    select(audit)
    .where(audit.c.subject_id == _RIDER_ID, audit.c.action != "delete_ride")
    .order_by(audit.c.audit_id)
)
_RIDE_IDS = statement(
    select(rides.c.ride_id)
    .where(rides.c.rider_id == _RIDER_ID)
    .order_by(rides.c.started_at, rides.c.ride_id)
)


def _rides_with_readings() -> Statement:
    """Rides, what each heart proved in them, and every reading, wherever clocks had put it."""
    chosen = any_(bindparam("ride_ids", type_=ARRAY(BigInteger)))
    proofs = (column for column in ride_hearts.c if column.name != "ride_id")
    page = (
        select(rides, *proofs)
        .select_from(rides.outerjoin(ride_hearts, ride_hearts.c.ride_id == rides.c.ride_id))
        .where(rides.c.ride_id == chosen)
        .order_by(rides.c.started_at, rides.c.ride_id)
        .subquery("page")
    )
    readings = readings_of(page.c.ride_id, None)
    own = select(readings).order_by(readings.c.at).correlate(page).subquery("own")
    return statement(told({**_fields(page), "readings": list_of(_fields(own, but="ride_id"))}))


_RIDES: Final = _rides_with_readings()


async def note_export(database: Database, key_id: str, rider_id: int, reason: str | None) -> bool:
    """Note in the audit that a rider's data go out; False where there is no such rider."""
    async with database.transaction() as transaction:
        if not await transaction.rows(
            select(riders.c.rider_id).where(riders.c.rider_id == rider_id, RIDER_IN_VIEW)
        ):
            return False
        await note(transaction, key_id, "export_rider", rider_id, reason)
    return True


async def export_rider(database: Database, rider_id: int) -> AsyncIterator[bytes]:
    """The export of a rider, piece by piece; together they are one JSON object."""

    async def rows(of: Statement, **given: object) -> list[msgspec.Raw]:
        told_rows = await database.told(Question(of, {"rider_id": rider_id, **given}))
        return [msgspec.Raw(row) for row in told_rows]

    facts = {
        "exported_at": datetime.now(UTC),
        "rider": _only(await rows(_RIDER)),
        "own_limits": _only(await rows(_LIMITS)),
        "refused_addresses": await rows(_REFUSED),
        "alerts": await rows(_ALERTS),
        "recoveries": await rows(_RECOVERIES),
        "staff_notes": await rows(_NOTES),
        "audit": await rows(_AUDIT),
    }
    found = await database.rows(Question(_RIDE_IDS, {"rider_id": rider_id}))
    ride_ids = [row["ride_id"] for row in found]
    yield msgspec.json.encode(facts)[:-1] + b',"rides":['
    between = b""
    for first in range(0, len(ride_ids), RIDES_AT_ONCE):
        some = await rows(_RIDES, ride_ids=ride_ids[first : first + RIDES_AT_ONCE])
        if some:
            yield between + msgspec.json.encode(some)[1:-1]
            between = b","
    yield b"]}"


def readings_in(piece: bytes) -> int:
    """How many readings a piece of an export tells of."""
    return piece.count(_OF_A_READING)


def _only(rows: list[msgspec.Raw]) -> msgspec.Raw | None:
    return rows[0] if rows else None
