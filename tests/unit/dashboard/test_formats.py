"""Numbers and spans as people read them."""

import pandas as pd
import pytest

from dashboard.formats import (
    change,
    change_percent,
    clock,
    csv_of,
    of_many_rides,
    of_one_ride,
    plain,
)

NAN = float("nan")


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


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [
        (125, 125, "±0 bpm"),
        (126, 125, "+1 bpm"),
        (124, 125, "−1 bpm"),
        (NAN, 125, None),
        (125, NAN, None),
        (125, None, None),
        (None, 125, None),
    ],
)
def test_a_change_has_its_sign_and_needs_both_values(
    now: float | None, before: float | None, shown: str | None
) -> None:
    assert change(now, before, "bpm") == shown


@pytest.mark.parametrize(
    ("now", "before", "shown"),
    [
        (200, 200, "±0 %"),
        (202, 200, "+1 %"),
        (198, 200, "−1 %"),
        (0, 200, "−100 %"),
        (3_000, 2, "+149,900 %"),
        (NAN, 200, None),
        (200, NAN, None),
        (200, None, None),
        (None, 200, None),
    ],
)
def test_a_change_in_per_cent_has_its_sign_and_needs_both_values(
    now: float | None, before: float | None, shown: str | None
) -> None:
    assert change_percent(now, before) == shown


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("duration_s", 520.0, "8:40"),
        ("energy_kj", 61.66, "61.7 kJ"),
        ("max_power_watts", 1485.4, "1,485 W"),
        ("mean_power_watts", None, "–"),
        ("duration_s", NAN, "–"),
    ],
)
def test_a_figure_of_a_ride_is_told_in_its_unit(name: str, value: float | None, shown: str) -> None:
    assert of_one_ride(name, value) == shown


def test_a_csv_has_the_columns_that_were_meant_and_a_mark_of_its_encoding() -> None:
    rows = pd.DataFrame({"Rider": ["Zoë", "=1+1"], "Power (W)": [1.5, -2.0]})
    assert csv_of(rows) == "Rider,Power (W)\nZoë,1.5\n'=1+1,-2.0\n".encode("utf-8-sig")


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("duration_s", 12_000.0, "3 h 20 min"),
        ("total_power_watts", 34_600_000.0, "34.6 MW"),
        ("energy_kj", 16_300.0, "16.3 MJ"),
        ("max_heart_rate_bpm", 171, "171 bpm"),
        ("mean_power_watts", None, "–"),
    ],
)
def test_a_figure_of_many_rides_is_told_in_the_unit_that_fits(
    name: str, value: float | None, shown: str
) -> None:
    assert of_many_rides(name, value) == shown
