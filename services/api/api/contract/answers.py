"""CORE: rows of the database to answers, with what the asking key may see; lists: `store.told`."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from api.contract.parameters import RideStatus
from api.contract.schemas import (
    Address,
    BestPower,
    HeartRateZone,
    Leader,
    PersonalBest,
    Ride,
    RideDetails,
    Rider,
    RiderBrief,
)
from deloton.rules.calendar import known_age_on
from deloton.rules.heart_rate import ZONES, expected_maximum_bpm, time_in_zones

Row = Mapping[Any, Any]

_RIDE_FIELDS = frozenset(Ride.model_fields) - {"status", "rider"}


class View(Struct, frozen=True):
    """Who looks, and when: whether personal fields may leave, and the company's day of today."""

    personal: bool
    today: date


def name_of(row: Row) -> str | None:
    """A rider's title and names, as far as they are known."""
    return " ".join(filter(None, (row["title"], row["first_name"], row["last_name"]))) or None


def brief_of(row: Row, view: View) -> RiderBrief | None:
    """Who rode; None where that is not known."""
    if row["rider_id"] is None:
        return None
    facts: dict[str, Any] = {
        "rider_id": row["rider_id"],
        "gender": row["gender"],
        "age_years": known_age_on(view.today, row["born_on"]),
    }
    if view.personal:
        facts["name"] = name_of(row)
    return RiderBrief(**facts)


def _ride_facts(row: Row, view: View) -> dict[str, Any]:
    return {
        **{name: row[name] for name in _RIDE_FIELDS},
        "status": RideStatus.LIVE if row["ended_at"] is None else RideStatus.ENDED,
        "rider": brief_of(row, view),
    }


def details_of(
    row: Row, view: View, began_on: date, heart_rates: Sequence[Row], best_powers: Sequence[Row]
) -> RideDetails:
    """A ride with what its readings tell: seconds by heart rate, and best powers by span.

    `began_on` is the company's day on which it began: the rider is as old as then.
    """
    age = known_age_on(began_on, row["born_on"])
    maximum_bpm = None if age is None else expected_maximum_bpm(age)
    zones = None
    if maximum_bpm is not None:
        seconds = {each["heart_rate_bpm"]: each["seconds"] for each in heart_rates}
        zones = zones_of(seconds, maximum_bpm)
    return RideDetails(
        **_ride_facts(row, view),
        expected_maximum_bpm=maximum_bpm and round(maximum_bpm, 2),
        heart_rate_zones=zones,
        best_powers=[best_power_of(each, row["weight_kg"]) for each in best_powers],
        mean_power_watts_per_kg=per_kg(row["mean_power_watts"], row["weight_kg"]),
    )


def zones_of(seconds: Mapping[int | None, int], maximum_bpm: float) -> list[HeartRateZone]:
    """The five zones of an expected maximum, with the seconds spent in each."""
    spent = time_in_zones(seconds, maximum_bpm)
    return [
        HeartRateZone(
            zone=zone.number,
            name=zone.name,
            from_bpm=round(zone.lower * maximum_bpm, 2),
            to_bpm=None if zone is ZONES[-1] else round(zone.upper * maximum_bpm, 2),
            duration_s=spent[zone.number],
        )
        for zone in ZONES
    ]


def per_kg(power_watts: float | None, weight_kg: float | None) -> float | None:
    """Watts a kilogram; None where either is not known."""
    if power_watts is None or not weight_kg or weight_kg <= 0:
        return None
    return power_watts / weight_kg


def best_power_of(row: Row, weight_kg: float | None) -> BestPower:
    """The best mean power over a span."""
    return BestPower(**row, power_watts_per_kg=per_kg(row["power_watts"], weight_kg))


def rider_of(row: Row, totals: Row, bests: Sequence[Row], view: View) -> Rider:
    """A rider with what all rides come to."""
    age = known_age_on(view.today, row["born_on"])
    weight_kg = row["weight_kg"]
    facts: dict[str, Any] = {
        **{name: row[name] for name in ("rider_id", "gender", "height_cm", "weight_kg")},
        **totals,
        "age_years": age,
        "expected_maximum_bpm": None if age is None else round(expected_maximum_bpm(age), 2),
        "mean_power_watts_per_kg": per_kg(totals["mean_power_watts"], weight_kg),
        "personal_bests": [_personal_best_of(best, weight_kg) for best in bests],
    }
    if view.personal:
        facts |= {
            "name": name_of(row),
            "date_of_birth": row["born_on"],
            "email": row["email"],
            "address": Address(**{name: row[name] for name in Address.model_fields}),
        }
    return Rider(**facts)


def _personal_best_of(row: Row, weight_kg: float | None) -> PersonalBest:
    return PersonalBest(**row, value_per_kg=_value_per_kg(row["metric"], row["value"], weight_kg))


def _value_per_kg(metric: str, value: float, weight_kg: float | None) -> float | None:
    return per_kg(value, weight_kg) if metric.endswith("_watts") else None


def leader_of(rank: int, metric: str, row: Row, view: View) -> Leader:
    """A rider's best ride on a leaderboard."""
    rider = brief_of(row, view)
    return Leader.model_validate(
        {
            "rank": rank,
            "rider": rider,
            "value": row["value"],
            "value_per_kg": _value_per_kg(metric, row["value"], row["weight_kg"]),
            "ride_id": row["ride_id"],
            "started_at": row["started_at"],
        }
    )
