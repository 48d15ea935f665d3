"""Numbers and spans as people read them."""

import pytest

from dashboard.formats import change, change_percent, clock, plain


@pytest.mark.parametrize(
    ("seconds", "shown"), [(5, "0:05"), (520, "8:40"), (3723, "1:02:03"), (None, "–")]
)
def test_a_ride_is_told_in_minutes_and_seconds(seconds: float | None, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_change_needs_both_values() -> None:
    assert change(130, 125, "bpm") == "+5 bpm"
    assert change(120, 125, "bpm") == "−5 bpm"
    assert change(None, 125) is None
    assert change_percent(3, 2) == "+50 %"
    assert change_percent(3, 0) is None


def test_a_name_cannot_become_markup() -> None:
    assert plain("*Ada* [x](http://e)") == r"\*Ada\* \[x\]\(http\://e\)"
