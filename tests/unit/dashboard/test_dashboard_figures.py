"""Danger, gaps, and charts of tidy rows."""

import json
import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from dashboard.charts.look import Chart
from dashboard.charts.ride import gauge, heart_rate_line, measure_line, zone_bars
from dashboard.figures import (
    TOTALS,
    beside_bests,
    figures_so_far,
    found,
    riders_by_share,
    sorted_by,
    value_before,
    with_danger,
    with_gaps,
    zone_seconds,
)

LONDON = ZoneInfo("Europe/London")
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
AGED_50 = date(1976, 1, 1)  # expected maximum 208 - 0.7 * 50 = 173 bpm


def live(*riders: tuple[date | None, int | None, int | None]) -> pd.DataFrame:
    """Live rides of riders as (born_on, heart rate, own critical limit)."""
    return pd.DataFrame(
        {
            "ride_id": range(len(riders)),
            "started_at": pd.to_datetime([NOON] * len(riders)),
            "born_on": [born_on for born_on, _, _ in riders],
            "heart_rate_bpm": [bpm for _, bpm, _ in riders],
            "low_bpm": None,
            "proven_bpm": None,
            "proven_rides": None,
            "high_bpm": None,
            "critical_bpm": [own for _, _, own in riders],
        }
    )


@pytest.mark.parametrize(
    ("bpm", "level"), [(49, "low"), (50, ""), (177, ""), (178, "high"), (203, "critical")]
)
def test_a_level_begins_at_its_limit(bpm: int, level: str) -> None:
    assert with_danger(live((AGED_50, bpm, None)), LONDON)["level"].item() == level


def test_a_riders_own_limit_goes_before_the_rule() -> None:
    assert with_danger(live((AGED_50, 150, 140)), LONDON)["level"].item() == "critical"


def test_what_a_riders_heart_has_proven_moves_the_limits() -> None:
    rides = live((AGED_50, 180, None)).assign(proven_bpm=170, proven_rides=4)
    assert with_danger(rides, LONDON)["high_bpm"].item() == 185
    assert with_danger(rides, LONDON)["level"].item() == ""


def test_those_in_danger_are_on_top() -> None:
    rides = with_danger(live((AGED_50, 120, None), (AGED_50, 180, None)), LONDON)
    assert list(rides["ride_id"]) == [1, 0]


def test_no_heart_rate_is_no_danger() -> None:
    rides = with_danger(live((AGED_50, None, None)), LONDON)
    assert list(rides["level"]) == [""]
    assert rides["share_percent"].isna().all()


def test_a_rider_without_a_birthday_is_measured_by_the_age_that_alerts_take() -> None:
    rides = with_danger(live((None, 214, None), (None, 215, None)), LONDON)
    assert list(rides["level"]) == ["critical", "high"]
    assert rides["age"].isna().all()


@pytest.mark.parametrize(
    ("started_at", "age"),
    [(datetime(2026, 6, 30, 22, 59, tzinfo=UTC), 49), (datetime(2026, 6, 30, 23, tzinfo=UTC), 50)],
)
def test_a_rider_is_as_old_as_on_the_companys_day_on_which_the_ride_began(
    started_at: datetime, age: int
) -> None:
    rides = live((date(1976, 7, 1), 120, None)).assign(started_at=pd.to_datetime([started_at]))
    assert with_danger(rides, LONDON)["age"].item() == age


def test_below_those_in_danger_riders_are_sorted_and_what_was_not_measured_comes_last() -> None:
    rides = with_danger(
        live((AGED_50, None, None), (AGED_50, 100, None), (None, 30, None), (AGED_50, 110, None)),
        LONDON,
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


@pytest.mark.parametrize(("duration_s", "mean"), [(179.0, None), (180.0, 120.5)])
def test_a_mean_power_counts_only_after_some_minutes(duration_s: float, mean: float | None) -> None:
    counted = dict.fromkeys(TOTALS, 1.0) | {"mean_power_watts": 120.5, "duration_s": duration_s}
    so_far = figures_so_far(pd.DataFrame([counted | {"reading_count": 7}]))
    assert so_far == counted | {"mean_power_watts": mean}


def test_a_ride_without_readings_has_no_figures_yet() -> None:
    so_far = figures_so_far(pd.DataFrame([{"reading_count": 0, "duration_s": 0.0}]))
    assert so_far == dict.fromkeys(TOTALS)


def test_the_heart_rate_line_shows_a_gap_and_the_riders_limits() -> None:
    readings = pd.DataFrame({"elapsed_s": [1, 2, 3], "heart_rate_bpm": [100, None, 101]})
    chart = heart_rate_line(readings, 173, {"low": 50, "high": 155.7}).to_dict()
    assert len(chart["layer"]) == 5  # zones, two limits, the line, what the pointer meets
    drawn = [row for rows in chart["datasets"].values() for row in rows]
    assert {"elapsed_ms": 2000, "heart_rate_bpm": None} in drawn
    assert "high 156" in [row.get("words") for row in drawn]


def specification(chart: Chart) -> str:
    """A chart without its data and without the names that follow from the data."""
    drawn = chart.to_dict()
    del drawn["datasets"]
    text = json.dumps(drawn)
    named = dict.fromkeys(re.findall(r'"(data-[0-9a-f]+|(?:view|param)_[0-9a-f_]+)"', text))
    for number, name in enumerate(named):
        text = text.replace(name, f"name-{number}")
    return text


def charts_of_a_ride(heart_rates: list[int | None]) -> list[str]:
    measured = pd.array(heart_rates, dtype="Int32")
    readings = pd.DataFrame(
        {"elapsed_s": range(len(measured)), "heart_rate_bpm": measured, "power_watts": measured}
    )
    now = measured[-1]
    charts = [
        heart_rate_line(readings, 173, {"low": 50, "high": 155.7}),
        measure_line(readings, "power_watts", "Power (W)"),
        gauge(None if pd.isna(now) else now / 173),
        zone_bars(zone_seconds(readings, 173)),
    ]
    return [specification(chart) for chart in charts]


@pytest.mark.parametrize(
    "heart_rates", [[100, None, 120], [100, 120, None], [100, 120, 230], [30, 120, 110], [None]]
)
def test_whatever_is_measured_the_charts_of_a_ride_get_new_data_and_are_not_drawn_anew(
    heart_rates: list[int | None],
) -> None:
    assert charts_of_a_ride(heart_rates) == charts_of_a_ride([100, 110, 120])


@pytest.mark.parametrize(
    ("share", "told"), [(None, "–"), (0.1, "10 %"), (0.75, "75 %"), (1.4, "140 %")]
)
def test_the_gauge_shows_any_share(share: float | None, told: str) -> None:
    rows = [row for each in gauge(share).to_dict()["datasets"].values() for row in each]
    words = [row["words"] for row in rows if "words" in row]
    assert words == [told]


def test_a_rider_under_way_has_age_limits_and_share() -> None:
    [ride] = with_danger(live((AGED_50, 173, None)), LONDON).itertuples()
    assert (ride.age, ride.maximum_bpm, ride.share_percent) == (50, 173.0, 100.0)
    assert (ride.low_bpm, ride.high_bpm, ride.critical_bpm) == (50.0, 178.0, 203.0)


def test_high_begins_at_a_riders_own_limit() -> None:
    rides = live((AGED_50, 140, None)).assign(high_bpm=140)
    assert with_danger(rides, LONDON)["level"].item() == "high"


def test_limits_stay_with_their_rides_whatever_those_are_numbered() -> None:
    rides = live((AGED_50, 120, None), (AGED_50, 120, 115)).set_index(pd.Index([7, 3]))
    assert with_danger(rides, LONDON)["critical_bpm"].to_dict() == {3: 115.0, 7: 203.0}


def test_riders_alike_keep_their_order() -> None:
    rides = with_danger(live(*[(AGED_50, 120, None)] * 40), LONDON)
    assert list(rides["ride_id"]) == list(range(40))


def test_a_bar_of_hearts_says_from_where_to_where_it_reaches_and_in_which_zone() -> None:
    [bar] = riders_by_share(pd.DataFrame({"share_percent": [75.5]})).to_dict("records")
    assert (bar["from_percent"], bar["to_percent"], bar["riders"]) == (74, 76, 1)
    assert (bar["number"], bar["zone"]) == (3, "3 moderate")


def test_of_a_second_that_came_twice_the_later_reading_counts() -> None:
    readings = pd.DataFrame(
        {"elapsed_s": [1.0, 1.0, None, 2.0], "heart_rate_bpm": [100, 101, 99, None]}
    )
    rates = with_gaps(readings)
    assert list(rates["elapsed_s"]) == [1, 2]
    assert rates["heart_rate_bpm"].iloc[0] == 101


def test_a_zone_has_its_name_and_its_share_of_the_seconds_measured() -> None:
    zones = zone_seconds(pd.DataFrame({"heart_rate_bpm": [100.0] * 3 + [None, 172.0]}), 173)
    assert list(zones["number"]) == [1, 2, 3, 4, 5]
    assert list(zones["share"]) == [0.75, 0, 0, 0, 0.25]
    assert all(zone.startswith(f"{number} ") for number, zone in enumerate(zones["zone"], 1))
    none = zone_seconds(pd.DataFrame({"heart_rate_bpm": [None]}), 173)
    assert list(none["share"]) == [0] * 5


def test_a_best_that_is_only_reached_is_not_beaten() -> None:
    bests = pd.DataFrame({"metric": ["max_power_watts"], "value": [500.0]})
    row = beside_bests(bests, {"max_power_watts": 500.0}).set_index("metric").loc["max_power_watts"]
    assert (row["label"], row["best"], row["now"]) == ("Highest power", 500.0, 500.0)
    assert not row["beaten"]


def test_what_was_measured_before_is_that_of_so_many_seconds_ago_or_nothing() -> None:
    readings = pd.DataFrame({"power_watts": [100.0, None, 120.0, 130.0]})
    before = [value_before(readings, "power_watts", seconds) for seconds in (0, 1, 2, 3, 4)]
    assert before == [130.0, 120.0, None, 100.0, None]
