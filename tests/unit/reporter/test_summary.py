"""Every figure stands beside the day before and the mean of seven days, whatever is missing."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from reporter.days import day_in
from reporter.summary import (
    COMPARED,
    AlertCount,
    Counts,
    Group,
    PartTotals,
    Summary,
    Totals,
    by_initials,
    compared_periods,
    summarise,
)
from tests.unit.reporter.summaries import a_full_summary

ON = date(2026, 3, 10)
LONDON = ZoneInfo("Europe/London")
NOON = time(12)


def a_summary(
    *totals: Totals,
    on: date = ON,
    first_ride_on: date | None = date(2025, 1, 1),
    parts: dict[int, PartTotals] | None = None,
    ages: tuple[Group, ...] = (),
) -> Summary:
    """What is told of a day of which this was counted."""
    first_ride_at = datetime.combine(first_ride_on, NOON, UTC) if first_ride_on else None
    counts = Counts(totals=totals, first_ride_at=first_ride_at, parts=parts or {}, ages=ages)
    return summarise(day_in(LONDON, on), counts)


def a_day(back: int, *, rides: int = 0, mean_power_watts: float | None = None) -> Totals:
    """The totals of a day before the report's."""
    return Totals(on=ON - timedelta(days=back), rides=rides, mean_power_watts=mean_power_watts)


def test_a_figure_is_compared_with_the_day_before_and_the_seven_days_before() -> None:
    week = [a_day(back, rides=10 * back) for back in range(1, 8)]
    rides = a_summary(a_day(0, rides=30), *week).figure("rides")
    assert (rides.value, rides.before, rides.usual) == (30, 10, 40)
    assert rides.change_from_before == pytest.approx(2.0)
    assert rides.change_from_usual == pytest.approx(-0.25)


def test_every_figure_is_told_of_every_day() -> None:
    assert [figure.name for figure in a_summary().figures] == list(COMPARED)


def test_a_day_without_rides_between_empty_days_compares_with_nothing() -> None:
    summary = a_summary()
    assert {figure.change_from_before for figure in summary.figures} == {None}
    assert {figure.change_from_usual for figure in summary.figures} == {None}
    assert summary.totals == Totals(on=ON)
    assert summary.busiest_parts == []


def test_an_empty_day_after_a_full_one_lost_everything() -> None:
    summary = a_summary(a_day(1, rides=12, mean_power_watts=90.0))
    assert summary.figure("rides").change_from_before == -1
    assert summary.figure("mean_power_watts").change_from_before is None


def test_a_full_day_after_an_empty_one_is_no_division_by_zero() -> None:
    rides = a_summary(a_day(0, rides=12)).figure("rides")
    assert (rides.before, rides.usual) == (0, 0)
    assert (rides.change_from_before, rides.change_from_usual) == (None, None)


def test_sums_count_empty_days_and_means_leave_them_out() -> None:
    summary = a_summary(a_day(0), a_day(2, rides=7, mean_power_watts=80.0))
    assert summary.figure("rides").usual == 1
    assert summary.figure("mean_power_watts").usual == 80


def test_days_before_the_first_ride_ever_are_not_compared_with() -> None:
    rides = a_summary(
        a_day(0, rides=6), a_day(1, rides=4), first_ride_on=ON - timedelta(days=1)
    ).figure("rides")
    assert (rides.before, rides.usual) == (4, 4)


@pytest.mark.parametrize("first_ride_on", [None, ON])
def test_the_first_day_ever_has_no_past(first_ride_on: date | None) -> None:
    summary = a_summary(a_day(0, rides=1), first_ride_on=first_ride_on)
    assert (summary.past, summary.figure("rides").before) == ((), None)
    assert summary.figure("rides").usual is None


def test_riders_who_are_not_new_return() -> None:
    assert Totals(on=ON, riders=9, new_riders=2).returning_riders == 7


@pytest.mark.parametrize(
    ("on", "count"), [(date(2026, 3, 29), 23), (ON, 24), (date(2026, 10, 25), 25)]
)
def test_every_hour_of_the_day_is_told_also_where_the_clocks_change(on: date, count: int) -> None:
    hours = a_summary(on=on, parts={count - 1: PartTotals("23:00", rides=3)}).parts
    assert len(hours) == count
    assert (hours[0], hours[-1]) == (PartTotals("00:00"), PartTotals("23:00", rides=3))


def test_hours_that_are_equally_busy_are_all_the_busiest() -> None:
    busy = {6: PartTotals("06:00", 5), 7: PartTotals("07:00", 2), 18: PartTotals("18:00", 5)}
    summary = a_summary(parts=busy)
    assert [hour.label for hour in summary.busiest_parts] == ["06:00", "18:00"]


def test_age_bands_come_in_order_of_age_and_the_unknown_last() -> None:
    labels = [None, "65 and over", "under 25", "35–44"]
    ages = tuple(Group(label, 1, 1, 0, 60.0) for label in labels)
    told = [group.label for group in a_summary(ages=ages).ages]
    assert told == ["under 25", "35–44", "65 and over", None]


def test_alerts_that_reached_nobody_are_those_neither_sent_nor_on_their_way() -> None:
    assert AlertCount("high", alerts=5, sent=2, pending=1).not_sent == 2


def test_eight_days_are_counted_oldest_first() -> None:
    compared = [day.on for day in compared_periods(day_in(LONDON, ON))]
    assert (len(compared), compared[0], compared[-1]) == (8, date(2026, 3, 3), ON)


def test_by_initials_nobody_is_named_and_no_figure_changes() -> None:
    summary = a_full_summary()
    told = by_initials(summary)
    assert [one.name for one in told.leaders][:2] == ["A. L.", "G. O."]
    assert [one.name is None for one in told.leaders] == [
        one.name is None for one in summary.leaders
    ]
    assert [one.energy_kj for one in told.sprinters] == [one.energy_kj for one in summary.sprinters]
