"""Axes of time: marked with what the company's clocks show, wherever the browser is."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dashboard.clock_steps import marks_between, ms_of
from deloton.rules.calendar import ONE_DAY, ONE_HOUR

LONDON = ZoneInfo("Europe/London")


def marks(last: datetime, span: timedelta) -> list[str]:
    at, texts = marks_between(ms_of(last - span), ms_of(last), LONDON)
    assert len(at) == len(texts)
    return texts


@pytest.mark.parametrize(
    ("last", "span", "texts"),
    [
        (datetime(2026, 3, 29, 6, tzinfo=UTC), 6 * ONE_HOUR,
         ["29 Mar", "02:00", "03:00", "04:00", "05:00", "06:00", "07:00"]),
        (datetime(2026, 10, 25, 4, tzinfo=UTC), 5 * ONE_HOUR,
         ["25 Oct", "01:00", "01:00", "02:00", "03:00", "04:00"]),
        (datetime(2026, 10, 25, 6, tzinfo=UTC), 12 * ONE_HOUR,
         ["20:00", "22:00", "25 Oct", "02:00", "04:00", "06:00"]),
        (datetime(2026, 3, 29, 23, tzinfo=UTC), 2 * ONE_DAY,
         ["28 Mar", "06:00", "12:00", "18:00", "29 Mar", "06:00", "12:00", "18:00", "30 Mar"]),
        (datetime(2026, 3, 31, 12, tzinfo=UTC), 7 * ONE_DAY,
         ["25 Mar", "26 Mar", "27 Mar", "28 Mar", "29 Mar", "30 Mar", "31 Mar"]),
    ],
)  # fmt: skip
def test_an_axis_shows_what_clocks_show(last: datetime, span: timedelta, texts: list[str]) -> None:
    assert marks(last, span) == texts


@pytest.mark.parametrize("days", [0, 1, 30, 400, 40_000])
def test_an_axis_has_few_marks_however_long_it_is(days: int) -> None:
    assert len(marks(datetime(2026, 3, 2, 9, 30, tzinfo=UTC), days * ONE_DAY)) <= 10
