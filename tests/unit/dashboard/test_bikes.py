"""Which state a bike is in, and which comes first."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dashboard.bikes import chosen, counts, table_of, with_state

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)


def a_bike(
    serial: str = "SN1",
    *,
    ended_s_ago: float | None = None,
    read_s_ago: float | None = None,
    deviation_s: int | None = 0,
    clock_slow_s: float | None = None,
) -> dict[str, object]:
    """A bike as it is read: when its latest ride ended, when its open ride was last read."""
    ago = [None if s is None else NOW - timedelta(seconds=s) for s in (ended_s_ago, read_s_ago)]
    return {
        "serial": serial,
        "firmware": None,
        "ended_at": ago[0],
        "power_deviation_s": deviation_s,
        "clock_slow_s": clock_slow_s,
        "reading_at": ago[1],
        "read_at": NOW,
    }


DAY_S = 86_400


def told(bikes: list[dict[str, object]]) -> pd.DataFrame:
    rows = pd.DataFrame(bikes)
    return with_state(rows.drop(columns="reading_at"), rows[["serial", "reading_at"]].dropna())


@pytest.mark.parametrize(
    ("slow_s", "words"),
    [
        (None, None),
        (0.0, None),
        (4.9, None),
        (10_800.0, "3 h 0 min slow"),
        (-7.0, "7 s fast"),
        (7 * 365 * 86_400.0, "61,320 h slow"),
    ],
)
def test_a_clock_that_stood_wrong_is_told_of(slow_s: float | None, words: str | None) -> None:
    weeks = pd.DataFrame({"bike_serial": [], "rides": [], "contact_share": []})
    table = table_of(told([a_bike(clock_slow_s=slow_s)]), weeks, "UTC")
    assert list(table["Clock"]) == [words]


@pytest.mark.parametrize(
    ("bike", "doing", "state"),
    [
        (a_bike(read_s_ago=30), "in use", "in use"),
        (a_bike(read_s_ago=31), "idle", "idle"),
        (a_bike(ended_s_ago=DAY_S), "idle", "idle"),
        (a_bike(ended_s_ago=DAY_S + 1), "silent", "silent"),
        (a_bike(), "silent", "silent"),
        (a_bike(ended_s_ago=DAY_S + 1, read_s_ago=5), "in use", "in use"),
        (a_bike(ended_s_ago=60, deviation_s=29), "idle", "idle"),
        (a_bike(ended_s_ago=60, deviation_s=30), "idle", "faulty"),
        (a_bike(ended_s_ago=60, read_s_ago=1, deviation_s=30), "in use", "faulty"),
        (a_bike(ended_s_ago=7 * DAY_S, deviation_s=30), "silent", "faulty"),
        (a_bike(ended_s_ago=7 * DAY_S + 1, deviation_s=30), "silent", "silent"),
        (a_bike(ended_s_ago=60, deviation_s=None), "idle", "idle"),
    ],
)
def test_a_state_begins_at_its_limit(bike: dict[str, object], doing: str, state: str) -> None:
    [row] = told([bike]).itertuples()
    assert (row.doing, row.state) == (doing, state)


def test_the_faulty_come_first_and_the_worst_of_them_before_all() -> None:
    rows = [
        a_bike("SN1", read_s_ago=1),
        a_bike("SN2", ended_s_ago=60, deviation_s=40),
        a_bike("SN3", ended_s_ago=60),
        a_bike("SN4", ended_s_ago=60, deviation_s=400),
        a_bike("SN5"),
    ]
    bikes = told(rows)
    assert list(bikes["serial"]) == ["SN4", "SN2", "SN1", "SN3", "SN5"]
    assert counts(bikes) == {"faulty": 2, "in use": 1, "idle": 1, "silent": 1}


def test_bikes_of_a_state_are_in_the_order_of_their_numbers() -> None:
    bikes = told([a_bike("SN2"), a_bike("SN3"), a_bike("SN1")])
    assert list(bikes["serial"]) == ["SN1", "SN2", "SN3"]
    assert list(bikes.index) == [0, 1, 2]
    assert counts(bikes) == {"faulty": 0, "in use": 0, "idle": 0, "silent": 3}


def test_bikes_are_chosen_by_state_and_by_part_of_the_number() -> None:
    bikes = told([a_bike("SN10", read_s_ago=1), a_bike("SN11"), a_bike("SN20")])
    assert list(chosen(bikes, "silent", " sn1 ")["serial"]) == ["SN11"]
    assert list(chosen(bikes, "all", "")["serial"]) == ["SN10", "SN11", "SN20"]
    assert list(chosen(bikes, "all", ".")["serial"]) == []


def test_the_table_tells_each_bike_in_the_units_of_its_columns() -> None:
    bikes = told([a_bike("SN1", ended_s_ago=60, read_s_ago=1, deviation_s=40), a_bike("SN2")])
    weeks = pd.DataFrame({"bike_serial": ["SN1"], "rides": [12], "contact_share": [0.75]})
    first, second = table_of(bikes, weeks, "America/New_York").to_dict("records")
    assert first == {
        "Bike": "SN1",
        "State": ["faulty", "in use"],
        "Last seen": pd.Timestamp("2026-03-02 04:14:59"),
        "Contact (%)": 75.0,
        "Rides, 7 days": 12,
        "Power deviates (s)": 40.0,
        "Clock": None,
        "Firmware": None,
    }
    assert (second["State"], second["Rides, 7 days"]) == (["silent"], 0)
    assert pd.isna(second["Contact (%)"])
