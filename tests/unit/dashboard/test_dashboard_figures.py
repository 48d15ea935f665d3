"""Danger, gaps, and charts of tidy rows."""

from datetime import date

import pandas as pd
import pytest

from dashboard.charts import gauge, heart_rate_line
from dashboard.figures import (
    beside_bests,
    figures_so_far,
    found,
    riders_by_share,
    sorted_by,
    with_danger,
    with_gaps,
    zone_seconds,
)

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


def test_no_heart_rate_is_no_danger() -> None:
    rides = with_danger(live((AGED_50, None, None)), TODAY)
    assert list(rides["level"]) == [""]
    assert rides["share_percent"].isna().all()


def test_a_rider_without_a_birthday_is_measured_by_the_age_that_alerts_take() -> None:
    rides = with_danger(live((None, 184, None), (None, 186, None)), TODAY)
    assert list(rides["level"]) == ["critical", "high"]
    assert rides["age"].isna().all()


def test_below_those_in_danger_riders_are_sorted_and_what_was_not_measured_comes_last() -> None:
    rides = with_danger(
        live((AGED_50, None, None), (AGED_50, 100, None), (None, 30, None), (AGED_50, 110, None)),
        TODAY,
    )
    assert list(sorted_by(rides, "% of maximum")["ride_id"]) == [2, 3, 1, 0]


def test_a_rider_is_found_by_part_of_the_name_or_of_the_bike() -> None:
    rides = pd.DataFrame({"name": ["Ada (Example)", "Bo"], "bike_serial": ["SN0001", "SN0002"]})
    assert list(found(rides, " example) ")["name"]) == ["Ada (Example)"]
    assert list(found(rides, "0002")["name"]) == ["Bo"]
    assert len(found(rides, "")) == 2


def test_hearts_beyond_the_shown_shares_count_at_the_ends() -> None:
    shares = [20.0, 60.0, 61.9, None, 200.0]
    bars = riders_by_share(pd.DataFrame({"share_percent": shares}))
    assert list(bars["from_percent"]) == [40, 60, 110]
    assert list(bars["number"]) == [1, 2, 5]
    assert list(bars["riders"]) == [1, 2, 1]


def test_a_missing_second_becomes_an_empty_row() -> None:
    readings = pd.DataFrame({"elapsed_s": [1.0, 3.0], "heart_rate_bpm": [100, 102]})
    rates = with_gaps(readings)["heart_rate_bpm"]
    assert [None if pd.isna(rate) else rate for rate in rates] == [100, None, 102]


def test_time_in_zones_leaves_out_seconds_without_a_heart_rate() -> None:
    readings = pd.DataFrame({"heart_rate_bpm": [100.0, 100.0, None, 172.0]})
    zones = zone_seconds(readings, 173)
    assert list(zones["seconds"]) == [2, 0, 0, 0, 1]


def test_a_best_is_beaten_only_once_there_was_one_before() -> None:
    bests = pd.DataFrame({"metric": ["max_power_watts"], "value": [500.0]})
    rows = beside_bests(bests, {"max_power_watts": 501.0, "energy_kj": 30.0})
    assert list(rows[rows["beaten"]]["metric"]) == ["max_power_watts"]


def test_a_mean_power_counts_only_after_some_minutes() -> None:
    readings = pd.DataFrame(
        {
            "elapsed_s": [1, 2],
            "power_watts": [900.0, 900.0],
            "cadence_rpm": [90, 95],
            "heart_rate_bpm": [None, 120],
        }
    )
    so_far = figures_so_far(readings)
    assert so_far["mean_power_watts"] is None
    assert so_far["max_power_watts"] == 900
    assert so_far["max_cadence_rpm"] == 95
    assert so_far["mean_heart_rate_bpm"] == 120


def test_the_heart_rate_line_shows_a_gap_and_the_riders_limits() -> None:
    readings = pd.DataFrame({"elapsed_s": [1, 2, 3], "heart_rate_bpm": [100, None, 101]})
    chart = heart_rate_line(readings, 173, {"low": 50, "high": 155.7}).to_dict()
    assert len(chart["layer"]) == 5  # zones, two limits, the line, what the pointer meets
    drawn = [row for rows in chart["datasets"].values() for row in rows]
    assert {"elapsed_ms": 2000, "heart_rate_bpm": None} in drawn
    assert "high 156" in [row.get("words") for row in drawn]


@pytest.mark.parametrize(
    ("share", "told"), [(None, "–"), (0.1, "10 %"), (0.75, "75 %"), (1.4, "140 %")]
)
def test_the_gauge_shows_any_share(share: float | None, told: str) -> None:
    rows = [row for each in gauge(share).to_dict()["datasets"].values() for row in each]
    words = [row["words"] for row in rows if "words" in row]
    assert words == [told]
