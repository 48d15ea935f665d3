"""What the demo shows: figures, ages, and a page that fits."""

import dataclasses
import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from demo.figures import Figures, LastRide, lag
from demo.view import Pace, page, plain_line, readable_age

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

FIGURES = Figures(
    at=NOON,
    riding_now=12,
    rides_ended=3,
    readings=1500,
    newest_reading_at=NOON - timedelta(seconds=2),
    lines=4000,
    lag_lines=900,
    dead_letters=1,
    last_rides=(LastRide("SN0007", "Ada [bold] Example", NOON, 520.0, None, 900.4, 61.0),),
)


def test_the_pace_is_taken_over_the_last_figures() -> None:
    pace = Pace(over=6)
    assert pace.note(FIGURES) == 0
    later = dataclasses.replace(FIGURES, at=NOON + timedelta(seconds=2), readings=1700)
    assert pace.note(later) == 100


def test_the_pace_is_never_negative() -> None:
    pace = Pace(over=6)
    pace.note(FIGURES)
    assert pace.note(dataclasses.replace(FIGURES, at=NOON + timedelta(seconds=1), readings=0)) == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.84, "0.8 s"),
        (42, "42 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (127_000, "35.3 h"),
    ],
)
def test_an_age_is_told_in_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert readable_age(seconds) == text


def test_a_line_of_the_log_has_every_figure() -> None:
    assert plain_line(FIGURES, 50) == (
        "12:00:00  riding now 12  rides ended 3  readings 1,500 (+50/s)"
        "  lag 900 of 4,000 lines  age of the newest 2.0 s  dead letters 1"
    )


def test_times_are_the_companys_in_summer() -> None:
    summer = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    ride = dataclasses.replace(FIGURES.last_rides[0], ended_at=summer)
    figures = dataclasses.replace(FIGURES, at=summer, last_rides=(ride,))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(page(figures, 50, []))
    assert plain_line(figures, 50).startswith("13:00:00 ")
    assert "13:00:00" in console.export_text()


def test_lag_is_what_lies_after_the_stored_offset_of_each_partition() -> None:
    assert lag({0: 10, 1: 5, 2: 0}, {0: 4, 1: 5}) == 6


def test_the_page_shows_names_as_they_are_and_dashes_for_what_was_not_measured() -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(page(FIGURES, 50, []))
    text = console.export_text()
    assert "Ada [bold] Example" in text
    ride = next(line for line in text.splitlines() if "SN0007" in line)
    assert ride.split()[-5:] == ["520", "–", "900", "61", "│"]
