"""Summaries of days and weeks that never were, for tests of what is made of them."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from deloton.rules.age_bands import AGE_BANDS
from reporter.days import day_in, week_in
from reporter.summary import (
    AlertCount,
    Counts,
    Group,
    Leader,
    PartTotals,
    RefusalCount,
    Summary,
    Totals,
    compared_periods,
    summarise,
)

LONDON = ZoneInfo("Europe/London")
ON = date(2026, 3, 10)
WRITTEN_AT = datetime(2026, 3, 11, 7, 0, tzinfo=LONDON)


def totals_of(on: date, rides: int) -> Totals:
    """The totals of so many usual rides."""
    return Totals(
        on=on,
        rides=rides,
        riders=rides // 2,
        new_riders=rides // 20,
        ride_time_s=rides * 400.0,
        total_power_watts=rides * 48_000.0,
        energy_kj=rides * 48.0,
        mean_duration_s=400.0 if rides else None,
        mean_power_watts=120.0 if rides else None,
        mean_heart_rate_bpm=127.4 if rides else None,
        without_contact_share=0.172 if rides else None,
        rides_cut_short=rides // 500,
        faulty_bikes=2 if rides else 0,
        dead_letters=rides // 250,
    )


def a_full_summary(
    rides: int = 3400,
    *,
    before: int = 3000,
    weekly: bool = False,
    **changes: Any,  # noqa: ANN401
) -> Summary:
    """A period of which everything is known, after seven with `before` rides each."""
    period = (week_in if weekly else day_in)(LONDON, ON)
    *past, own = compared_periods(period)
    names = ["Ada Lovelace", "Grace O'Hopper-Brown", "Łukasz Żółć", "<b>Bobby</b> & Sons", None]
    leaders = [Leader(n, name, 3, 1200.0, 300.0 - n, 900.0) for n, name in enumerate(names)]
    counts: dict[str, Any] = {
        "totals": [*(totals_of(one.on, before) for one in past), totals_of(own.on, rides)],
        "first_ride_at": datetime(2025, 1, 1, tzinfo=UTC),
        "parts": {
            number: PartTotals(part.label, rides // 24 + number, 9000.0, 100.0 + number)
            for number, part in enumerate(period.parts)
        },
        "genders": [a_group("female", rides * 6 // 10), a_group("male", rides * 4 // 10)],
        "ages": [a_group(label, rides // 7) for label in (*AGE_BANDS, None)],
        "towns": [a_group(f"Town-upon-River {n}", rides // 10) for n in range(5)],
        "sources": [a_group(name, rides // 4) for name in ("direct", "google ads", None)],
        "leaders": leaders,
        "sprinters": leaders,
        "alerts": [AlertCount("critical", 3, 3, 0), AlertCount("high", 12, 9, 1)],
        "faulty_serials": ["SN0048", "SN0049"],
        "refusals": [RefusalCount("unknown_line", 9), RefusalCount("not_json", 4)],
    }
    return summarise(period, Counts(**counts | changes))


def an_empty_summary(*, before: int | None = None) -> Summary:
    """A day without rides; `before` None: there never was any."""
    day = day_in(LONDON, ON)
    past = [totals_of(one.on, before or 0) for one in compared_periods(day)[:-1]]
    first_ride_at = None if before is None else datetime(2025, 1, 1, tzinfo=UTC)
    return summarise(day, Counts(totals=past, first_ride_at=first_ride_at, parts={}))


def a_group(label: str | None, rides: int) -> Group:
    """Rides of those who have something in common."""
    return Group(label, rides, rides // 2, rides // 20, rides * 400.0)
