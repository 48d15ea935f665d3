"""Company days, their hours and other steps, where the clocks change too; and ages."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from deloton.rules.calendar import (
    ONE_DAY,
    ONE_HOUR,
    age_on,
    day_bounds,
    day_of,
    known_age_on,
    monday_of,
    steps_of_day,
    steps_over,
    years_before,
)

LONDON = ZoneInfo("Europe/London")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
ORDINARY, SPRING, AUTUMN = date(2026, 3, 2), date(2026, 3, 29), date(2026, 10, 25)
A_QUARTER = timedelta(minutes=15)


def clocks(moments: list[datetime], zone: ZoneInfo = LONDON) -> list[str]:
    return [f"{at.astimezone(zone):%H:%M}" for at in moments]


@pytest.mark.parametrize(
    ("day", "first", "hours"),
    [
        (ORDINARY, datetime(2026, 3, 2, 0, tzinfo=UTC), 24),
        (SPRING, datetime(2026, 3, 29, 0, tzinfo=UTC), 23),
        (date(2026, 7, 1), datetime(2026, 6, 30, 23, tzinfo=UTC), 24),
        (AUTUMN, datetime(2026, 10, 24, 23, tzinfo=UTC), 25),
    ],
)
def test_a_company_day_is_as_long_as_its_clocks_make_it(
    day: date, first: datetime, hours: int
) -> None:
    assert day_bounds(day, LONDON) == (first, first + timedelta(hours=hours))
    assert len(list(steps_of_day(day, ONE_HOUR, LONDON))) == hours


def test_late_in_a_summer_evening_utc_it_is_tomorrow_in_london() -> None:
    assert day_of(datetime(2026, 7, 1, 23, 30, tzinfo=UTC), LONDON) == date(2026, 7, 2)


@pytest.mark.parametrize("day", [date(2026, 3, 23), date(2026, 3, 25), SPRING])
def test_a_week_begins_on_its_monday(day: date) -> None:
    assert monday_of(day) == date(2026, 3, 23)


@pytest.mark.parametrize(
    ("day", "first_hours"),
    [(SPRING, ["00:00", "02:00", "03:00"]), (AUTUMN, ["00:00", "01:00", "01:00", "02:00"])],
)
def test_the_hour_that_comes_twice_is_there_twice(day: date, first_hours: list[str]) -> None:
    hours = list(steps_of_day(day, ONE_HOUR, LONDON))
    assert clocks(hours)[: len(first_hours)] == first_hours
    assert {later - earlier for earlier, later in pairwise(hours)} == {ONE_HOUR}


@pytest.mark.parametrize(
    ("day", "lengths_h"), [(ORDINARY, [6, 6, 6, 6]), (SPRING, [5, 6, 6, 6]), (AUTUMN, [7, 6, 6, 6])]
)
def test_quarters_of_a_day_begin_when_clocks_show_them(day: date, lengths_h: list[int]) -> None:
    begins = [*steps_of_day(day, 6 * ONE_HOUR, LONDON), day_bounds(day, LONDON)[1]]
    assert clocks(begins) == ["00:00", "06:00", "12:00", "18:00", "00:00"]
    lengths = [later - earlier for earlier, later in pairwise(begins)]
    assert lengths == [hours * ONE_HOUR for hours in lengths_h]


def test_a_zone_half_an_hour_off_changes_its_clocks_by_half_an_hour() -> None:
    assert len(list(steps_of_day(date(2026, 4, 5), ONE_HOUR, LORD_HOWE))) == 25


def test_hours_begin_at_the_quarter_where_a_zone_says_so() -> None:
    first = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    hours = steps_over(first, first + ONE_HOUR, ONE_HOUR, KATHMANDU)
    assert clocks(hours, KATHMANDU) == ["15:00", "16:00", "17:00"]


@pytest.mark.parametrize("step", [A_QUARTER, ONE_HOUR, 6 * ONE_HOUR, ONE_DAY])
@pytest.mark.parametrize("day", [ORDINARY, SPRING, AUTUMN])
def test_steps_hold_their_span_and_leave_no_hole(day: date, step: timedelta) -> None:
    first = day_bounds(day, LONDON)[0] - 5 * ONE_HOUR + timedelta(minutes=7)
    last = first + 33 * ONE_HOUR
    begins = steps_over(first, last, step, LONDON)
    assert begins == sorted(set(begins))
    assert begins[0] <= first < begins[1]
    assert begins[-2] <= last < begins[-1]


def test_a_span_of_one_moment_is_one_step() -> None:
    noon = datetime(2026, 10, 25, 12, tzinfo=UTC)
    assert steps_over(noon, noon, ONE_HOUR, LONDON) == [noon, noon + ONE_HOUR]


@pytest.mark.parametrize(
    ("day", "born_on", "age"),
    [
        (date(2026, 3, 2), date(1959, 5, 2), 66),
        (date(2026, 5, 1), date(1959, 5, 2), 66),
        (date(2026, 5, 2), date(1959, 5, 2), 67),
        (date(2026, 2, 28), date(2000, 2, 29), 25),
        (date(2026, 3, 1), date(2000, 2, 29), 26),
        (date(2028, 2, 29), date(2000, 2, 29), 28),
        (date(2026, 3, 2), date(2026, 3, 2), 0),
    ],
)
def test_age_is_full_years(day: date, born_on: date, age: int) -> None:
    assert age_on(day, born_on) == age


@pytest.mark.parametrize(
    ("born_on", "day", "age"),
    [
        (date(2000, 2, 29), date(2026, 2, 28), 25),
        (date(2000, 2, 29), date(2026, 3, 1), 26),
        (date(1900, 1, 1), date(2026, 1, 1), None),
        (None, date(2026, 1, 1), None),
    ],
)
def test_an_age_that_cannot_be_meant_is_unknown(
    born_on: date | None, day: date, age: int | None
) -> None:
    assert known_age_on(day, born_on) == age


def test_who_has_the_birthday_today_is_a_year_older() -> None:
    assert years_before(date(2026, 3, 2), 30) == date(1996, 3, 2)
    assert years_before(date(2024, 2, 29), 1) == date(2023, 2, 28)
