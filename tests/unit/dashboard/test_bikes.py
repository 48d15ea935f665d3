"""Which state a bike is in, and which comes first."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from dashboard.bikes import counts, with_state

NOW = datetime(2026, 3, 2, 9, 15, tzinfo=UTC)


def a_bike(
    serial: str = "SN1",
    *,
    ended_s_ago: float | None = None,
    read_s_ago: float | None = None,
    deviation_s: int | None = 0,
) -> dict[str, object]:
    """A bike as it is read: when its latest ride ended, when its open ride was last read."""
    ago = [None if s is None else NOW - timedelta(seconds=s) for s in (ended_s_ago, read_s_ago)]
    return {
        "serial": serial,
        "firmware": None,
        "ended_at": ago[0],
        "power_deviation_s": deviation_s,
        "reading_at": ago[1],
        "read_at": NOW,
    }


DAY_S = 86_400


def told(bikes: list[dict[str, object]]) -> pd.DataFrame:
    rows = pd.DataFrame(bikes)
    return with_state(rows.drop(columns="reading_at"), rows[["serial", "reading_at"]].dropna())


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
