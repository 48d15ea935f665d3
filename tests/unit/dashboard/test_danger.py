"""Who is in danger, and what the bar on top of every page says of them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from dashboard.danger import announcement, entries, in_danger

LONDON = ZoneInfo("Europe/London")
NINE = datetime(2026, 7, 1, 9, tzinfo=UTC)  # ten in London


def alerted(*changes: dict[str, object]) -> pd.DataFrame:
    """Riders of 50 who were alerted: limits 50, 181 and 203 bpm."""
    usual: dict[str, object] = {
        "ride_id": 7,
        "bike_serial": "SN1",
        "name": "Ada Example",
        "started_at": NINE,
        "born_on": date(1976, 1, 1),
        "low_bpm": 50,
        "high_bpm": 181,
        "critical_bpm": 203,
        "proven_bpm": None,
        "proven_rides": None,
        "alert_id": 1,
        "measured_at": NINE,
        "state": "sent",
        "rates": [210, 211],
        "staff_name": None,
        "note": None,
        "acknowledged_at": None,
    }
    rows = pd.DataFrame([{**usual, **change} for change in changes], columns=list(usual))
    times = ["started_at", "measured_at", "acknowledged_at"]
    rows[times] = rows[times].apply(pd.to_datetime, utc=True)
    return rows


@pytest.mark.parametrize(
    ("rates", "level"),
    [
        ([180, None], None),
        ([181], "high"),
        ([203, 190, 120], "critical"),
        ([49, 60], "low"),
        ([50], None),
        ([None], None),
        ([], None),
        (None, None),
    ],
)
def test_a_danger_lasts_until_the_heart_was_calm_for_all_of_the_time(
    rates: list[int | None] | None, level: str | None
) -> None:
    assert list(in_danger(alerted({"rates": rates}), LONDON)["level"]) == ([level] if level else [])


def test_the_worst_comes_first_and_then_who_has_been_in_it_longest() -> None:
    later = NINE + timedelta(minutes=1)
    rides = in_danger(
        alerted(
            {"name": "A", "rates": [185]},
            {"name": "B", "measured_at": later},
            {"name": "C"},
            {"name": "D", "rates": [40]},
        ),
        LONDON,
    )
    assert list(rides["name"]) == ["C", "B", "A", "D"]
    assert announcement(rides) == "4 in danger. C: critical, B: critical, A: high, D: low"


def test_the_bar_says_who_how_much_since_when_and_what_became_of_the_mail() -> None:
    [entry] = entries(in_danger(alerted({}), LONDON), LONDON)
    for words in (
        "critical",
        'href="/?ride=7"',
        "Ada Example",
        "211 bpm now, limit 203 bpm · bike SN1 · since 10:00:00 · mailed",
    ):
        assert words in str(entry["html"])
    assert not entry["seen"]
    assert "seen to" not in str(entry["html"])


def test_who_sees_to_it_is_told_with_the_note() -> None:
    seen = {"staff_name": "Zoe", "note": "called <him>", "acknowledged_at": NINE}
    [entry] = entries(in_danger(alerted(seen), LONDON), LONDON)
    assert "seen to by Zoe, 10:00:00: called &lt;him&gt;" in str(entry["html"])
    assert entry["seen"]


def test_a_name_cannot_become_markup() -> None:
    named = alerted({"name": "<img src=x>"}, {"name": ""})
    shown = [str(entry["html"]) for entry in entries(in_danger(named, LONDON), LONDON)]
    assert "<img" not in shown[0]
    assert "Unknown rider" in shown[1]


def test_nobody_in_danger_is_nothing_to_say() -> None:
    rides = in_danger(alerted(), LONDON)
    assert entries(rides, LONDON) == []
    assert announcement(rides) == ""
