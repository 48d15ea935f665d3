"""Alerts by hour, where the clocks change too."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from dashboard import alerts
from deloton.rules.calendar import ONE_HOUR

LONDON = ZoneInfo("Europe/London")


def some_alerts(*told: tuple[datetime, str]) -> pd.DataFrame:
    at, levels = zip(*told, strict=True)
    return pd.DataFrame({"measured_at": pd.to_datetime(list(at), utc=True), "level": levels})


@pytest.mark.parametrize(
    ("first", "clock"),
    [
        (datetime(2026, 3, 29, 0, 30, tzinfo=UTC), ["29 Mar 00:00", "29 Mar 02:00"]),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), ["25 Oct 01:00 BST", "25 Oct 01:00 GMT"]),
    ],
)
def test_alerts_an_hour_apart_are_two_bars_where_the_clocks_change(
    first: datetime, clock: list[str]
) -> None:
    hours = alerts.by_hour(some_alerts((first, "high"), (first + ONE_HOUR, "high")), LONDON)
    assert list(hours["clock"]) == clock
    assert list(hours["alerts"]) == [1, 1]
    assert hours["until"].iloc[0] == hours["at"].iloc[1]


def test_levels_of_an_hour_stand_on_one_another_the_worst_at_the_foot() -> None:
    at = datetime(2026, 7, 1, 9, 15, tzinfo=UTC)
    hours = alerts.by_hour(some_alerts((at, "low"), (at, "critical"), (at, "critical")), LONDON)
    assert list(hours[["level", "below", "top"]].itertuples(index=False, name=None)) == [
        ("critical", 0, 2),
        ("low", 2, 3),
    ]


def test_a_clock_at_another_year_makes_no_chart_of_all_hours_between() -> None:
    at = datetime(2026, 7, 1, 9, 15, tzinfo=UTC)
    hours = alerts.by_hour(some_alerts((at, "high"), (at + timedelta(days=36_525), "high")), LONDON)
    assert list(hours["clock"]) == ["1 Jul 10:00", "2 Jul 10:00"]


def stored_alerts(*changes: dict[str, object]) -> pd.DataFrame:
    usual = {
        "measured_at": datetime(2026, 7, 1, 9, 15, tzinfo=UTC),
        "level": "high",
        "name": "Ada Example",
        "heart_rate_bpm": 171,
        "limit_bpm": 165.4,
        "state": "sent",
        "latency_ms": 640,
        "attempts": 2,
        "bike_serial": "SN1",
        "ride_id": 7,
        "recovery_state": "sent",
    }
    rows = pd.DataFrame([{**usual, **change} for change in changes])
    return rows.assign(measured_at=pd.to_datetime(rows["measured_at"], utc=True))


def test_the_table_tells_each_alert_in_the_units_of_its_columns() -> None:
    [row] = alerts.table_of(stored_alerts({}), LONDON).to_dict("records")
    assert row == {
        "Measured": pd.Timestamp("2026-07-01 10:15"),
        "Level": ["high"],
        "Rider": "Ada Example",
        "Heart rate (bpm)": 171,
        "Limit (bpm)": 165.0,
        "State": "mailed",
        "Back to normal": "mailed",
        "Latency (s)": 0.64,
        "Tries": 2,
        "Bike": "SN1",
        "Ride": "/recent?ride=7",
    }


def test_where_nothing_told_that_it_was_over_the_cell_is_empty() -> None:
    [row] = alerts.table_of(stored_alerts({"recovery_state": None}), LONDON).to_dict("records")
    assert pd.isna(row["Back to normal"])


def test_an_alert_of_nobody_known_and_in_a_state_nobody_named_is_told_all_the_same() -> None:
    [row] = alerts.table_of(stored_alerts({"name": "", "state": "new"}), LONDON).to_dict("records")
    assert (row["Rider"], row["State"]) == ("Unknown rider", "new")


def test_levels_are_counted_the_worst_first() -> None:
    levels = alerts.by_level(stored_alerts({}, {"level": "low"}, {}))
    assert levels.to_dict("list") == {"level": ["critical", "high", "low"], "alerts": [0, 2, 1]}


def test_a_latency_is_the_seconds_within_which_that_share_was_accepted() -> None:
    took: list[dict[str, object]] = [{"latency_ms": ms} for ms in (100, 200, 300, None, 400, 500)]
    rows = stored_alerts(*took)
    assert alerts.latency_s(rows, 0.5) == 0.3
    assert alerts.latency_s(rows, 1.0) == 0.5
    assert alerts.latency_s(stored_alerts({"latency_ms": None}), 0.5) is None
