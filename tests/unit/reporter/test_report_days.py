"""A day is what people in the zone call so, also where the clocks change."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from deloton.rules.calendar import days_from
from reporter.days import day_in, week_in

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("on", "begins_at", "hours"),
    [
        (date(2026, 3, 2), datetime(2026, 3, 2, tzinfo=UTC), 24),
        (date(2026, 3, 29), datetime(2026, 3, 29, tzinfo=UTC), 23),
        (date(2026, 7, 1), datetime(2026, 6, 30, 23, tzinfo=UTC), 24),
        (date(2026, 10, 25), datetime(2026, 10, 24, 23, tzinfo=UTC), 25),
    ],
)
def test_a_day_begins_at_local_midnight_and_has_its_own_number_of_hours(
    on: date, begins_at: datetime, hours: int
) -> None:
    day = day_in(LONDON, on)
    assert (day.begins_at, len(day.parts)) == (begins_at, hours)


@pytest.mark.parametrize(
    ("on", "labels"),
    [
        (date(2026, 3, 29), ["00:00", "02:00", "03:00"]),
        (date(2026, 10, 25), ["00:00", "01:00", "01:00", "02:00"]),
    ],
)
def test_hours_are_called_what_clocks_show(on: date, labels: list[str]) -> None:
    hours = day_in(LONDON, on).parts
    assert [hour.label for hour in hours[: len(labels)]] == labels


def test_a_zone_half_an_hour_off_changes_its_clocks_by_half_an_hour() -> None:
    assert len(day_in(ZoneInfo("Australia/Lord_Howe"), date(2026, 4, 5)).parts) == 25


def test_days_end_where_the_next_begin() -> None:
    for on in days_from(date(2026, 3, 20), date(2026, 4, 5)):
        following = date.fromordinal(on.toordinal() + 1)
        assert day_in(LONDON, on).ends_at == day_in(LONDON, following).begins_at


@pytest.mark.parametrize("on", [date(2026, 3, 23), date(2026, 3, 25), date(2026, 3, 29)])
def test_a_week_is_monday_to_sunday_whichever_of_its_days_is_named(on: date) -> None:
    week = week_in(LONDON, on)
    assert (week.on, week.last_on) == (date(2026, 3, 23), date(2026, 3, 29))
    assert week.ends_at == datetime(2026, 3, 29, 23, tzinfo=UTC), "the clocks change on its Sunday"
    assert [day.label for day in week.parts] == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    assert week.before(1) == week_in(LONDON, date(2026, 3, 16))
