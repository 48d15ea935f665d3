"""Numbers and spans as people read them."""

import pytest

from dashboard.formats import change, change_percent, clock, number, plain, span


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(1485.4, "W", "1,485 W"), (None, "bpm", "–"), (float("nan"), "W", "–"), (0, "", "0")],
)
def test_a_number_has_separators_and_its_unit(value: float | None, unit: str, shown: str) -> None:
    assert number(value, unit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "0:05"), (520, "8:40"), (3723, "1:02:03"), (None, "–")]
)
def test_a_ride_is_told_in_minutes_and_seconds(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(45, "45 s"), (480, "8 min"), (12_000, "3 h 20 min"), (270_000, "3 d 3 h"), (1e6, "11 d")],
)
def test_a_long_span_is_told_in_its_largest_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_a_change_needs_both_values() -> None:
    assert change(130, 125, "bpm") == "+5 bpm"
    assert change(120, 125, "bpm") == "−5 bpm"
    assert change(None, 125) is None
    assert change_percent(3, 2) == "+50 %"
    assert change_percent(3, 0) is None


def test_a_name_cannot_become_markup() -> None:
    assert plain("*Ada* [x](http://e)") == r"\*Ada\* \[x\]\(http\://e\)"
