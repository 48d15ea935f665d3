"""EDGE: which alerts a rider wants, found by an alert of theirs; changes are audited."""

from typing import Final

from sqlalchemy import BigInteger, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from api.contract.alert_form import Choice, Limits, Wishes
from api.store.database import Database, Row
from api.store.statements import Question, statement
from deloton.running.logs import get_logger
from deloton.store.tables import audit, heart_rate_alerts, rider_limits, riders

_log = get_logger(__name__)

_OWN = rider_limits.c
_WISHES: Final = statement(
    select(
        riders.c.rider_id,
        _OWN.low_bpm,
        _OWN.high_bpm,
        _OWN.critical_bpm,
        func.coalesce(_OWN.alerts_on, True).label("alerts_on"),
    )
    .join(heart_rate_alerts, heart_rate_alerts.c.rider_id == riders.c.rider_id)
    .outerjoin(rider_limits, _OWN.rider_id == riders.c.rider_id)
    .where(heart_rate_alerts.c.alert_id == bindparam("alert_id", type_=BigInteger))
)

_ADDRESS: Final = statement(
    select(riders.c.email)
    .join(heart_rate_alerts, heart_rate_alerts.c.rider_id == riders.c.rider_id)
    .where(heart_rate_alerts.c.alert_id == bindparam("alert_id", type_=BigInteger))
)


async def address_by(database: Database, alert_id: int) -> str | None:
    """Where the rider of an alert is mailed now; None for nowhere, and where they are gone."""
    row = await database.row(Question(_ADDRESS, {"alert_id": alert_id}))
    return row["email"] if row else None


async def wishes_by(database: Database, alert_id: int) -> Wishes | None:
    """What the rider of an alert wants; None where alert or rider are gone."""
    row = await database.row(Question(_WISHES, {"alert_id": alert_id}))
    return _wishes_of(row) if row else None


async def choose(database: Database, alert_id: int, choice: Choice) -> Wishes | None:
    """Change what the rider of an alert wants, and note it; None where they are gone."""
    async with database.transaction() as transaction:
        rider_id = await transaction.row(
            select(heart_rate_alerts.c.rider_id)
            .join(riders, riders.c.rider_id == heart_rate_alerts.c.rider_id)
            .where(heart_rate_alerts.c.alert_id == alert_id)
            # Erased now, or after this: never between.
            .with_for_update(of=riders, key_share=True)
        )
        if rider_id is None:
            return None
        changed = _changed(choice)
        row = upsert(rider_limits).values(**rider_id, **changed)
        chosen = await transaction.row(
            row.on_conflict_do_update(
                index_elements=[_OWN.rider_id], set_={**changed, "updated_at": func.now()}
            ).returning(*_OWN)
        )
        note = {"action": "change_alerts", "subject_id": rider_id["rider_id"]}
        await transaction.row(insert(audit).values(**note, reason=choice.told))
    _log.info("rider chose", **rider_id, chosen=choice.told)
    return _wishes_of(chosen) if chosen else None


def _changed(choice: Choice) -> dict[str, object]:
    if choice.limits is None:
        return {"alerts_on": choice.alerts_on}
    own = choice.limits
    return {"low_bpm": own.low, "high_bpm": own.high, "critical_bpm": own.critical}


def _wishes_of(row: Row) -> Wishes:
    return Wishes(row["alerts_on"], Limits(row["low_bpm"], row["high_bpm"], row["critical_bpm"]))
