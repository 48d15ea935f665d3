"""Rides of a window: bands, filters, picks, sums."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from dashboard import recent
from dashboard.formats import csv_of
from deloton.rules.calendar import ONE_DAY, ONE_HOUR

LONDON = ZoneInfo("Europe/London")
NINE = datetime(2026, 7, 1, 9, 15, tzinfo=UTC)  # a quarter past ten in London


def some_rides(*changes: dict[str, object]) -> pd.DataFrame:
    usual = {
        "ride_id": 1,
        "ended_at": NINE,
        "rider_id": 7,
        "started_at": NINE,
        "duration_s": 520.0,
        "bike_serial": "SN1",
        "reading_count": 500,
        "mean_power_watts": 50.0,
        "max_power_watts": 600.0,
        "total_power_watts": 25_000.0,
        "energy_kj": 25.0,
        "mean_heart_rate_bpm": 120.0,
        "max_heart_rate_bpm": 150,
        "name": "Ada Example",
        "gender": "female",
        "town": "Exampleton",
        "age": 40,
    }
    rows = [{**usual, "ride_id": n, **change} for n, change in enumerate(changes, 1)]
    return recent.prepared(pd.DataFrame(rows), "Europe/London")


@pytest.mark.parametrize(
    ("age", "band"),
    [(24, "under 25"), (25, "25–34"), (64, "55–64"), (65, "65 and over"), (None, "not known")],
)
def test_a_band_begins_at_its_first_year(age: int | None, band: str) -> None:
    assert list(some_rides({"age": age})["age_band"]) == [band]


def test_rides_are_told_by_the_companys_clock() -> None:
    rides = some_rides({})
    assert rides["started"].item() == pd.Timestamp("2026-07-01 10:15")
    hours = recent.by_hour(rides, (NINE - ONE_HOUR, NINE + ONE_HOUR), LONDON)
    assert list(hours["clock"]) == ["1 Jul 09:00", "1 Jul 10:00", "1 Jul 11:00"]
    assert list(hours["rides"]) == [0, 1, 0]
    assert rides["hour"].item() == hours["hour"][1]


def test_filters_narrow_together_and_none_narrows_nothing() -> None:
    rides = some_rides({}, {"gender": "male"}, {"gender": "male", "town": "Elsewhere"})
    assert len(recent.filtered(rides, recent.Filters())) == 3
    chosen = recent.Filters(genders=("male",), towns=("Elsewhere",))
    assert list(recent.filtered(rides, chosen)["ride_id"]) == [3]


def test_a_chart_is_narrowed_by_the_others_picks_but_not_by_its_own() -> None:
    picks: dict[str, tuple[object, ...]] = {"gender": ("male",), "minutes": (8.0,)}
    assert recent.others(picks, "gender") == {"minutes": (8.0,)}


def test_the_mean_power_weighs_rides_by_their_readings() -> None:
    rides = some_rides(
        {"mean_power_watts": 100.0, "reading_count": 100},
        {"mean_power_watts": 40.0, "reading_count": 300},
        {"mean_power_watts": None, "reading_count": None, "total_power_watts": None},
    )
    figures = recent.headline(rides)
    assert figures["mean_power_watts"] == pytest.approx(55)
    assert (figures["rides"], figures["riders"]) == (3, 1)


def test_no_rides_have_no_mean_power_and_no_shares() -> None:
    none = some_rides({}).iloc[:0]
    assert pd.isna(recent.headline(none)["mean_power_watts"])
    assert recent.gender_shares(none)["share"].sum() == 0


def test_shares_of_rides_and_of_time_each_add_up() -> None:
    rides = some_rides({}, {"gender": "male", "duration_s": 1560.0})
    shares = recent.gender_shares(rides).set_index(["of", "gender"])["share"]
    assert shares["Rides", "female"] == 0.5
    assert shares["Time ridden", "female"] == 0.25


def test_power_without_rides_is_a_gap_in_the_mean_and_nothing_in_the_sum() -> None:
    later = NINE.replace(hour=11)
    power = recent.power_over_time(
        some_rides({}, {"started_at": later}),
        (NINE, later),
        "1 h",
        LONDON,
    )
    assert [None if pd.isna(watts) else watts for watts in power["mean_watts"]] == [50, None, 50]
    assert list(power["cumulative_kw"]) == [25, 25, 50]


SPRING = datetime(2026, 3, 29, 6, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 25, 6, tzinfo=UTC)


def rides_until(last: datetime, window_h: int) -> pd.DataFrame:
    """Six rides an hour of 50 kW each, from the first moment of the window on."""
    first = last - window_h * ONE_HOUR
    starts = [first + number * timedelta(minutes=10) for number in range(6 * window_h)]
    return some_rides(*({"started_at": at, "total_power_watts": 50_000.0} for at in starts))


@pytest.mark.parametrize("last", [SPRING, AUTUMN])
@pytest.mark.parametrize("window_h", [12, 24, 72])
def test_where_the_clocks_change_bars_and_lines_hold_every_ride_of_the_headline(
    last: datetime, window_h: int
) -> None:
    rides, span = rides_until(last, window_h), (last - window_h * ONE_HOUR, last)
    count = recent.headline(rides)["rides"]
    assert count == 6 * window_h
    assert recent.by_hour(rides, span, LONDON)["rides"].sum() == count
    for resolution in recent.resolutions_for(window_h):
        power = recent.power_over_time(rides, span, resolution, LONDON)
        assert power["rides"].sum() == count
        assert power["cumulative_kw"].iloc[-1] == 50 * count


@pytest.mark.parametrize(
    ("last", "clock"),
    [
        (SPRING, ["29 Mar 00:00", "29 Mar 02:00"]),
        (AUTUMN, ["25 Oct 00:00", "25 Oct 01:00 BST", "25 Oct 01:00 GMT", "25 Oct 02:00"]),
    ],
)
def test_each_hour_that_passes_is_a_bar_of_its_own(last: datetime, clock: list[str]) -> None:
    rides = rides_until(last, 12)
    hours = recent.by_hour(rides, (last - 12 * ONE_HOUR, last), LONDON)
    at = list(hours["clock"]).index(clock[0])
    assert list(hours["clock"])[at : at + len(clock)] == clock
    assert list(hours["rides"]) == [6] * 12 + [0]
    assert set(hours["until"] - hours["at"]) == {3_600_000}


def test_a_ride_beside_the_window_widens_the_chart_and_does_not_fall_out_of_it() -> None:
    rides = some_rides({"started_at": NINE - ONE_HOUR}, {})
    assert recent.by_hour(rides, (NINE, NINE), LONDON)["rides"].sum() == 2


def test_days_begin_at_the_companys_midnight() -> None:
    rides = rides_until(AUTUMN, 72)
    days = recent.power_over_time(rides, (AUTUMN - 3 * ONE_DAY, AUTUMN), "1 day", LONDON)
    assert list(days["clock"]) == ["22 Oct 00:00", "23 Oct 00:00", "24 Oct 00:00", "25 Oct 00:00"]
    assert list(days["rides"])[1:3] == [144, 144]


@pytest.mark.parametrize("hours", recent.WINDOWS_H.values())
def test_every_window_offers_a_resolution(hours: int) -> None:
    assert recent.resolutions_for(hours)


def test_a_name_cannot_become_a_formula_in_a_spreadsheet() -> None:
    text = csv_of(recent.table_of(some_rides({"name": "=HYPERLINK(1)"}))).decode("utf-8-sig")
    assert ",'=HYPERLINK(1)," in text


def test_each_filter_narrows_by_its_own_column() -> None:
    rides = some_rides(
        {"gender": "male"}, {"age": 30}, {"town": "Elsewhere"}, {"bike_serial": "SN2"}
    )
    filters = (
        recent.Filters(genders=("male",)),
        recent.Filters(age_bands=("25–34",)),
        recent.Filters(towns=("Elsewhere",)),
        recent.Filters(bikes=("SN2",)),
    )
    chosen = [list(recent.filtered(rides, each)["ride_id"]) for each in filters]
    assert chosen == [[1], [2], [3], [4]]


def test_the_headline_adds_up_each_figure_of_the_rides() -> None:
    rides = some_rides({}, {"rider_id": 8, "duration_s": 480.0, "total_power_watts": 15_000.0})
    assert recent.headline(rides) == {
        "rides": 2,
        "riders": 2,
        "duration_s": 1000,
        "total_power_watts": 40_000,
        "mean_power_watts": 50,
    }


def test_shares_of_a_measure_stand_on_one_another() -> None:
    rides = some_rides({}, {"gender": "male", "duration_s": 1560.0})
    shares = recent.gender_shares(rides).set_index(["of", "gender"])
    columns = ["amount", "share", "from", "to"]
    assert list(shares.loc[("Rides", "female"), columns]) == [1, 0.5, 0, 0.5]
    assert list(shares.loc[("Rides", "male"), columns]) == [1, 0.5, 0.5, 1]
    assert list(shares.loc[("Time ridden", "female"), columns]) == [520, 0.25, 0, 0.25]
    assert list(shares.loc[("Time ridden", "male"), columns]) == [1560, 0.75, 0.25, 1]
    assert len(shares) == 4


def test_shares_of_no_time_are_nothing() -> None:
    shares = recent.gender_shares(some_rides({"duration_s": 0.0})).set_index("of")
    assert list(shares.loc["Time ridden", ["share", "from", "to"]]) == [0, 0, 0]


def test_ages_are_counted_youngest_first_and_unknown_ones_only_where_there_are_any() -> None:
    known = recent.by_age_band(some_rides({}, {"age": 24}, {"age": 44}))
    assert list(known["age_band"]) == list(recent.AGE_BANDS[:-1])
    assert list(known["rides"]) == [1, 0, 2, 0, 0, 0]
    unknown = recent.by_age_band(some_rides({"age": None}))
    assert list(unknown["age_band"]) == list(recent.AGE_BANDS)
    assert list(unknown["rides"]) == [0, 0, 0, 0, 0, 0, 1]


def test_durations_are_counted_by_full_minutes() -> None:
    lasted: list[dict[str, object]] = [
        {"duration_s": seconds} for seconds in (540.0, 479.0, 480.0, 539.9, None)
    ]
    rides = some_rides(*lasted)
    assert recent.by_duration(rides).to_dict("list") == {
        "minutes": [7, 8, 9],
        "rides": [1, 2, 1],
        "to_minutes": [8, 9, 10],
    }


def test_power_over_time_is_in_watts_and_kilowatts_of_the_rides_that_began_then() -> None:
    rides = some_rides(
        {},
        {"mean_power_watts": 110.0, "reading_count": 250, "total_power_watts": 27_500.0},
        {"mean_power_watts": None, "reading_count": None, "total_power_watts": None},
        {"started_at": NINE + ONE_HOUR},
    )
    power = recent.power_over_time(rides, (NINE, NINE + ONE_HOUR), "1 h", LONDON)
    assert list(power["rides"]) == [3, 1]
    assert list(power["mean_watts"]) == [70, 50]
    assert list(power["total_kw"]) == [52.5, 25]
    assert list(power["cumulative_kw"]) == [52.5, 77.5]


def test_a_windows_resolutions_are_those_that_give_a_readable_line() -> None:
    offered = {hours: recent.resolutions_for(hours) for hours in (1, 6, 24, 72, 168)}
    assert offered == {
        1: ["5 min", "15 min"],
        6: ["5 min", "15 min", "1 h"],
        24: ["5 min", "15 min", "1 h", "6 h"],
        72: ["15 min", "1 h", "6 h"],
        168: ["1 h", "6 h", "1 day"],
    }
    assert recent.resolutions_for(25) == ["5 min", "15 min", "1 h", "6 h"]


def test_the_table_tells_each_ride_in_the_units_of_its_columns() -> None:
    ride = {"duration_s": 754.0, "mean_power_watts": 111.44, "max_power_watts": 487.66}
    measured = {"energy_kj": 83.66, "mean_heart_rate_bpm": 133.3, "max_heart_rate_bpm": 171}
    [row] = recent.table_of(some_rides({**ride, **measured})).to_dict("records")
    assert row == {
        "Ride": 1,
        "Started": pd.Timestamp("2026-07-01 10:15"),
        "Rider": "Ada Example",
        "Gender": "female",
        "Age": 40,
        "Town": "Exampleton",
        "Bike": "SN1",
        "Duration (min)": 12.6,
        "Mean power (W)": 111.4,
        "Highest power (W)": 487.7,
        "Energy (kJ)": 83.7,
        "Mean heart rate (bpm)": 133,
        "Highest heart rate (bpm)": 171,
    }


def test_what_nobody_measured_is_empty_in_the_table() -> None:
    nothing = dict.fromkeys(["age", "mean_heart_rate_bpm", "max_heart_rate_bpm", "energy_kj"])
    [row] = recent.table_of(some_rides(nothing)).to_dict("records")
    empty = ("Age", "Mean heart rate (bpm)", "Highest heart rate (bpm)", "Energy (kJ)")
    assert [name for name, value in row.items() if pd.isna(value)] == [
        name for name in row if name in empty
    ]
