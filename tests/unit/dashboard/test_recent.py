"""Rides of a window: bands, filters, picks, sums."""

from datetime import UTC, datetime

import pandas as pd
import pytest

from dashboard import recent
from dashboard.formats import csv_of

NINE = datetime(2026, 7, 1, 9, 15, tzinfo=UTC)  # a quarter past ten in London


def some_rides(*changes: dict[str, object]) -> pd.DataFrame:
    usual = {
        "ride_id": 1,
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
    hours = recent.by_hour(
        rides, pd.Timestamp("2026-07-01 09:30"), pd.Timestamp("2026-07-01 11:10")
    )
    assert list(hours["at"]) == [f"2026-07-01T{hour}:00:00" for hour in ("09", "10", "11")]
    assert list(hours["rides"]) == [0, 1, 0]


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
        pd.Timestamp("2026-07-01 10:00"),
        pd.Timestamp("2026-07-01 12:30"),
        "1 h",
    )
    assert [None if pd.isna(watts) else watts for watts in power["mean_watts"]] == [50, None, 50]
    assert list(power["cumulative_kw"]) == [25, 25, 50]


@pytest.mark.parametrize("hours", recent.WINDOWS_H.values())
def test_every_window_offers_a_resolution(hours: int) -> None:
    assert recent.resolutions_for(hours)


def test_a_name_cannot_become_a_formula_in_a_spreadsheet() -> None:
    text = csv_of(recent.table_of(some_rides({"name": "=HYPERLINK(1)"}))).decode("utf-8-sig")
    assert ",'=HYPERLINK(1)," in text
