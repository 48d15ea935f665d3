"""Figures in plain English, and sentences that say what was special and nothing else."""

import pytest

from reporter import wording
from reporter.summary import AlertCount, PartTotals, Totals
from tests.unit.reporter.summaries import ON, a_full_summary, an_empty_summary, totals_of


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "–"), (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (400, "6 min 40 s"),
        (3600, "1 h 0 min"), (36_000, "10 h"), (4_000_000, "1,111 h"),
    ],
)  # fmt: skip
def test_times_are_told_in_the_unit_that_fits(seconds: float | None, told: str) -> None:
    assert wording.duration(seconds) == told


@pytest.mark.parametrize(
    ("watts", "told"),
    [
        (None, "–"), (0, "0 W"), (118.4, "118 W"), (9_999, "9,999 W"), (47_000, "47 kW"),
        (1_600_000, "1.6 MW"), (162_000_000, "162 MW"), (4_950_000_000, "4,950 MW"),
    ],
)  # fmt: skip
def test_power_is_told_in_the_unit_that_fits(watts: float | None, told: str) -> None:
    assert wording.power(watts) == told


@pytest.mark.parametrize(
    ("value", "told", "way"),
    [
        (None, "–", "unknown"), (0.0, "±0 %", "same"), (0.004, "±0 %", "same"),
        (0.12, "+12 %", "up"), (-1.0, "−100 %", "down"), (49.0, "50 times", "up"),
    ],
)  # fmt: skip
def test_changes_are_told_as_people_do(value: float | None, told: str, way: str) -> None:
    assert (wording.change(value), wording.direction(value)) == (told, way)


def test_a_full_day_is_told_in_a_few_sentences() -> None:
    assert wording.sentences(a_full_summary()) == [
        (
            "1,700 riders took 3,400 rides, 170 of them for the first time: "
            "13 % more rides than the mean of the days before."
        ),
        "The busiest hour began at 23:00, with 164 rides.",
        "It was the busiest of the last 8 days.",
        "There were 15 heart-rate alerts; 2 of them could not be mailed.",
    ]


def test_alerts_of_the_totals_and_of_the_table_agree() -> None:
    day = a_full_summary(alerts=[AlertCount("high", 1, 1, 0)])
    assert wording.sentences(day)[-1] == "There was 1 heart-rate alert."
    calm = a_full_summary(alerts=[])
    assert wording.sentences(calm)[-1] == "No heart rate was out of its limits."


def test_a_usual_day_is_not_called_special() -> None:
    [opening, *_] = wording.sentences(a_full_summary(3000, before=3000))
    assert opening.endswith(": about as many rides as the mean of the days before.")
    assert not any("of the last" in each for each in wording.sentences(a_full_summary(3000)))


def test_a_fall_is_told_as_fewer_and_a_leap_as_a_factor() -> None:
    assert "50 % fewer rides" in wording.sentences(a_full_summary(1500))[0]
    assert "34 times the mean" in wording.sentences(a_full_summary(3400, before=100))[0]


@pytest.mark.parametrize(
    ("before", "told"),
    [
        (None, ["Nobody rode on this day.", "No ride has been recorded before either."]),
        (0, ["Nobody rode on this day."]),
        (12, ["Nobody rode on this day.", "The day before had 12 rides."]),
    ],
)
def test_a_day_without_rides_is_told_as_such(before: int | None, told: list[str]) -> None:
    assert wording.sentences(an_empty_summary(before=before)) == told


def test_a_first_rider_is_not_many() -> None:
    alone = Totals(on=ON, rides=1, riders=1, new_riders=1)
    parts = {9: PartTotals("09:00", 1)}
    day = a_full_summary(totals=[alone], first_ride_at=None, parts=parts, alerts=[])
    assert wording.sentences(day)[0] == "1 rider took 1 ride, and did so for the first time."


def test_rides_of_nobody_known_are_told_without_riders() -> None:
    unknown = Totals(on=ON, rides=2)
    day = a_full_summary(totals=[unknown], first_ride_at=None, parts={})
    assert wording.sentences(day)[0] == "There were 2 rides."


def test_a_week_is_told_by_its_days() -> None:
    told = wording.sentences(a_full_summary(weekly=True))
    assert told[1] == "The busiest day was Sunday, with 147 rides."
    assert wording.period_name(a_full_summary(weekly=True)) == "Week 11, 9 to 15 March 2026"


def test_names_that_are_too_long_for_a_line_are_cut() -> None:
    assert wording.shortened("Ada Lovelace") == "Ada Lovelace"
    assert wording.shortened("Maximiliana Featherstonehaugh") == "Maximiliana Featherstoneh…"


def test_what_was_not_counted_is_said_to_be_so() -> None:
    day = a_full_summary(totals=[totals_of(ON, 3)], dead_letters=None)
    assert dict(wording.quality(day))["Lines that could not be read"] == "not counted"
