"""Danger, gaps, and charts of tidy rows."""

from datetime import date

import pandas as pd
import pytest

from dashboard.charts import heart_rate_line
from dashboard.figures import with_danger, with_gaps

TODAY = date(2026, 3, 2)
AGED_50 = date(1976, 1, 1)  # expected maximum 208 - 0.7 * 50 = 173 bpm


def live(*riders: tuple[date | None, int | None, int | None]) -> pd.DataFrame:
    """Live rides of riders as (born_on, heart rate, own critical limit)."""
    return pd.DataFrame(
        {
            "ride_id": range(len(riders)),
            "born_on": [born_on for born_on, _, _ in riders],
            "heart_rate_bpm": [bpm for _, bpm, _ in riders],
            "low_bpm": None,
            "high_bpm": None,
            "critical_bpm": [own for _, _, own in riders],
        }
    )


@pytest.mark.parametrize(
    ("bpm", "level"), [(49, "low"), (50, ""), (155, ""), (156, "high"), (173, "critical")]
)
def test_a_level_begins_at_its_limit(bpm: int, level: str) -> None:
    assert with_danger(live((AGED_50, bpm, None)), TODAY)["level"].item() == level


def test_a_riders_own_limit_goes_before_the_rule() -> None:
    assert with_danger(live((AGED_50, 150, 140)), TODAY)["level"].item() == "critical"


def test_those_in_danger_are_on_top() -> None:
    rides = with_danger(live((AGED_50, 120, None), (AGED_50, 175, None)), TODAY)
    assert list(rides["ride_id"]) == [1, 0]


def test_no_birthday_and_no_heart_rate_are_no_danger() -> None:
    rides = with_danger(live((None, 230, None), (AGED_50, None, None)), TODAY)
    assert list(rides["level"]) == ["", ""]
    assert rides["share_percent"].isna().all()


def test_a_missing_second_becomes_an_empty_row() -> None:
    readings = pd.DataFrame({"elapsed_s": [1.0, 3.0], "heart_rate_bpm": [100, 102]})
    rates = with_gaps(readings)["heart_rate_bpm"]
    assert [None if pd.isna(rate) else rate for rate in rates] == [100, None, 102]


def test_a_chart_without_an_expected_maximum_has_no_zones() -> None:
    readings = pd.DataFrame({"elapsed_s": [1, 2], "heart_rate_bpm": [100, None]})
    assert len(heart_rate_line(readings, None, {"low": 50}).to_dict()["layer"]) == 2
    assert len(heart_rate_line(readings, 173, {"low": 50}).to_dict()["layer"]) == 3
