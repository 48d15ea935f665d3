"""Company days and training zones."""

from datetime import UTC, date, datetime, timedelta

import pytest

from deloton.ride_figures import day_bounds, time_in_zones


@pytest.mark.parametrize(
    ("day", "first", "hours"),
    [
        (date(2026, 3, 2), datetime(2026, 3, 2, 0, tzinfo=UTC), 24),
        (date(2026, 3, 29), datetime(2026, 3, 29, 0, tzinfo=UTC), 23),
        (date(2026, 7, 1), datetime(2026, 6, 30, 23, tzinfo=UTC), 24),
        (date(2026, 10, 25), datetime(2026, 10, 24, 23, tzinfo=UTC), 25),
    ],
)
def test_a_company_day_is_as_long_as_its_clocks_make_it(
    day: date, first: datetime, hours: int
) -> None:
    assert day_bounds(day, "Europe/London") == (first, first + timedelta(hours=hours))


def test_every_second_with_a_heart_rate_is_in_one_zone() -> None:
    counts = {None: 50, 90: 3, 100: 4, 120: 5, 140: 6, 160: 7, 180: 8, 230: 9}
    assert time_in_zones(counts, 200) == {1: 7, 2: 5, 3: 6, 4: 7, 5: 17}
