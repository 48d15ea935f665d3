"""EDGE: deleting rides and erasing riders, each in one transaction, with a row in the audit."""

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    column,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from api.store.database import Database, Transaction
from api.store.sandbox import RIDER_IN_VIEW
from deloton.running.logs import get_logger
from deloton.store.deletions import DELETING, LOCK_OF_THE_VERSION_BEFORE, LONGEST_WAIT
from deloton.store.tables import (
    audit,
    erasures,
    exports,
    heart_rate_alerts,
    readings,
    riders,
    rides,
)

_log = get_logger(__name__)


async def delete_ride(database: Database, key_id: str, ride_id: int, reason: str | None) -> bool:
    """Delete a ride, its readings and its alerts; False where there is no such ride."""
    async with database.transaction() as transaction:
        await _wait_for_who_stores(transaction)
        found = await transaction.row(
            select(rides.c.ride_id).where(rides.c.ride_id == ride_id).with_for_update()
        )
        if found is None:
            return False
        await transaction.rows(delete(readings).where(readings.c.ride_id == ride_id))
        await transaction.rows(delete(rides).where(rides.c.ride_id == ride_id))
        await note(transaction, key_id, "delete_ride", ride_id, reason)
    _log.info("ride deleted", ride_id=ride_id, key_id=key_id)
    return True


async def erase_rider(database: Database, key_id: str, rider_id: int, reason: str | None) -> bool:
    """Erase a rider with all rides, readings, alerts, limits, exports; False where there is none.

    The rider's row is locked first: the ingestor, which asks for erasures while it holds that
    row, either comes before and is erased too, or comes after and finds the erasure.
    """
    async with database.transaction() as transaction:
        await _wait_for_who_stores(transaction)
        found = await transaction.row(
            select(riders.c.rider_id)
            .where(riders.c.rider_id == rider_id, RIDER_IN_VIEW)
            .with_for_update()
        )
        if found is None:
            return False
        await _remember_erasure(transaction, rider_id)
        # Those that PostgreSQL hides from us as well.
        await transaction.rows(select(func.delete_rides_of_person(rider_id)))
        await transaction.rows(
            delete(heart_rate_alerts).where(heart_rate_alerts.c.rider_id == rider_id)
        )
        # Files of exports go as soon as their rows say so; who makes one stops.
        await transaction.rows(
            update(exports)
            .where(exports.c.rider_id == rider_id, exports.c.removed_at.is_(None))
            .values(state="expired", expires_at=func.now())
        )
        await transaction.rows(delete(riders).where(riders.c.rider_id == rider_id))
        await note(transaction, key_id, "erase_rider", rider_id, reason)
    _log.info("rider erased", rider_id=rider_id, key_id=key_id)
    return True


async def erased_at(database: Database, rider_id: int) -> datetime | None:
    """The moment before which nothing of a rider comes back; None where nobody was erased."""
    async with database.transaction() as transaction:
        found = await transaction.row(
            select(erasures.c.erased_at).where(erasures.c.rider_id == rider_id)
        )
    return None if found is None else found["erased_at"]


async def _wait_for_who_stores(transaction: Transaction) -> None:
    """What is stored by now is found and deleted; what is stored later finds the deletion."""
    await transaction.rows(text(f"SET LOCAL lock_timeout = '{LONGEST_WAIT}'"))
    await transaction.rows(text(DELETING))
    await transaction.rows(select(func.pg_advisory_xact_lock(LOCK_OF_THE_VERSION_BEFORE)))
    await transaction.rows(text("SET LOCAL lock_timeout = 0"))


async def note(
    transaction: Transaction, key_id: str, action: str, subject_id: int, reason: str | None
) -> None:
    """Add a row to the audit."""
    await transaction.rows(
        insert(audit).values(key_id=key_id, action=action, subject_id=subject_id, reason=reason)
    )


async def _remember_erasure(transaction: Transaction, rider_id: int) -> None:
    """Lines from before now, and of clocks that run ahead of ours, do not bring the rider back."""
    newest: ColumnElement[datetime | None] = (
        select(func.max(column("started_at", riders.c.seen_at.type)))
        .select_from(func.rides_of_person(rider_id).table_valued("started_at"))
        .scalar_subquery()
    )
    seen: ColumnElement[datetime | None] = (
        select(riders.c.seen_at).where(riders.c.rider_id == rider_id).scalar_subquery()
    )
    row = upsert(erasures).values(
        rider_id=rider_id, erased_at=func.greatest(func.now(), newest, seen)
    )
    await transaction.rows(
        row.on_conflict_do_update(
            index_elements=[erasures.c.rider_id],
            set_={"erased_at": func.greatest(erasures.c.erased_at, row.excluded.erased_at)},
        )
    )
