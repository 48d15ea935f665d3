"""Figures in plain English, and sentences that say what was special and nothing else."""

from datetime import UTC, date, datetime, time

import pytest
from msgspec.structs import replace

from deloton.feed.log_lines import RefusalReason
from reporter import formats, tables, wording
from reporter.summary import AlertCount, Leader, PartTotals, RefusalCount, Totals
from tests.unit.reporter.summaries import ON, a_full_summary, an_empty_summary


def plain(told: str) -> str:
    """The same where lines may break anywhere."""
    return told.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "±0 % on the day before"),
        (0.004, "±0 % on the day before"),
        (0.12, "+12 % on the day before"),
        (-1.0, "−100 % on the day before"),
        (49.0, "50 times the day before"),
    ],
)
def test_changes_are_told_as_people_do(value: float, told: str) -> None:
    assert plain(formats.compared(value, "day before")) == told


@pytest.mark.parametrize(
    ("mean", "told"), [(None, "–"), (0.0, "0"), (12.0, "12"), (0.26, "0.3"), (1234.5, "1,234")]
)
def test_means_of_few_are_told_to_a_tenth(mean: float | None, told: str) -> None:
    assert formats.mean_count(mean) == told


def test_a_full_day_is_told_in_a_few_sentences() -> None:
    assert list(map(plain, wording.sentences(a_full_summary()))) == [
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
    unheard = a_full_summary(alerts=[AlertCount("high", 1, 0, 0)])
    assert wording.sentences(unheard)[-1].endswith("1 heart-rate alert, which could not be mailed.")
    expired = a_full_summary(alerts=[AlertCount("high", 9, 0, 0), AlertCount("low", 1, 0, 0)])
    assert wording.sentences(expired)[-1] == "There were 10 heart-rate alerts, none of them mailed."
    calm = a_full_summary(alerts=[])
    assert wording.sentences(calm)[-1] == "No heart rate was out of its limits."


def test_a_usual_day_is_not_called_special() -> None:
    [opening, *_] = wording.sentences(a_full_summary(3000, before=3000))
    assert opening.endswith(": about as many rides as the mean of the days before.")
    assert not any("of the last" in each for each in wording.sentences(a_full_summary(3000)))


@pytest.mark.parametrize(
    ("rides", "told"),
    [
        (3300, "10 % more rides"),
        (3299, "about as many rides"),
        (2701, "about as many rides"),
        (2700, "10 % fewer rides"),
    ],
)
def test_a_tenth_up_or_down_is_worth_a_word(rides: int, told: str) -> None:
    assert told in plain(wording.sentences(a_full_summary(rides, before=3000))[0])


@pytest.mark.parametrize(
    ("rides", "weekly", "told"),
    [
        (3001, False, ["It was the busiest of the last 8 days."]),
        (3000, False, []),
        (2999, False, ["It was the quietest of the last 8 days."]),
        (2999, True, ["It was the quietest of the last 8 weeks."]),
    ],
)
def test_only_more_or_fewer_rides_than_ever_are_a_record(
    rides: int, weekly: bool, told: list[str]
) -> None:
    sentences = wording.sentences(a_full_summary(rides, before=3000, weekly=weekly))
    assert [sentence for sentence in sentences if "of the last" in sentence] == told


@pytest.mark.parametrize(
    ("first_on", "told"),
    [(date(2026, 3, 9), []), (date(2026, 3, 8), ["It was the busiest of the last 3 days."])],
)
def test_the_most_of_two_days_is_no_record(first_on: date, told: list[str]) -> None:
    began_at = datetime.combine(first_on, time(12), UTC)
    sentences = wording.sentences(a_full_summary(first_ride_at=began_at))
    assert [sentence for sentence in sentences if "of the last" in sentence] == told


@pytest.mark.parametrize("rides", [{9: 5, 17: 5}, {9: 5}])
def test_hours_as_busy_as_each_other_and_an_only_hour_are_not_called_the_busiest(
    rides: dict[int, int],
) -> None:
    parts = {hour: PartTotals(f"{hour:02}:00", count) for hour, count in rides.items()}
    assert not any(
        "busiest hour" in each for each in wording.sentences(a_full_summary(parts=parts))
    )


def test_a_fall_is_told_as_fewer_and_a_leap_as_a_factor() -> None:
    assert "50 % fewer rides" in plain(wording.sentences(a_full_summary(1500))[0])
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
    day = a_full_summary(totals=[alone], parts=parts, alerts=[])
    assert wording.sentences(day)[0] == "1 rider took 1 ride, and did so for the first time."


def test_riders_who_are_all_new_are_all_called_so() -> None:
    first = Totals(on=ON, rides=3, riders=2, new_riders=2)
    day = a_full_summary(totals=[first], parts={})
    assert wording.sentences(day)[0] == "2 riders took 3 rides, all for the first time."


@pytest.mark.parametrize("weekly", [False, True])
def test_of_a_companys_first_day_it_is_not_said_that_all_ride_for_the_first_time(
    weekly: bool,
) -> None:
    began_at = datetime.combine(ON, time(12), UTC)
    first = a_full_summary(first_ride_at=began_at, weekly=weekly)
    opening, *rest = wording.sentences(first)
    assert opening == "1,700 riders took 3,400 rides."
    assert "No ride had been recorded before." in rest


def test_a_tile_tells_nothing_of_a_past_that_is_not_known() -> None:
    first = a_full_summary(first_ride_at=datetime.combine(ON, time(12), UTC))
    assert {(tile.before, tile.usual) for tile in tables.tiles(first)} == {("", "")}


def test_a_tile_tells_what_the_day_before_was_where_no_share_can_be_told() -> None:
    after_nothing = {tile.title: tile for tile in tables.tiles(a_full_summary(before=0))}
    rides, power = after_nothing["Rides"], after_nothing["Mean power"]
    assert (rides.before, rides.usual) == ("day before: 0", "7-day mean: 0")
    assert (power.before, power.usual) == ("", "")
    quiet = {tile.title: tile for tile in tables.tiles(an_empty_summary(before=3000))}
    assert plain(quiet["Mean power"].before) == "day before: 120 W"


def test_riders_none_of_whom_is_new_are_only_counted() -> None:
    known = Totals(on=ON, rides=3, riders=2)
    day = a_full_summary(totals=[known], first_ride_at=None, parts={})
    assert wording.sentences(day)[0] == "2 riders took 3 rides."


def test_a_week_without_rides_is_told_as_such() -> None:
    empty = Totals(on=date(2026, 3, 9))
    before = Totals(on=date(2026, 3, 2), rides=1)
    assert wording.sentences(a_full_summary(weekly=True, totals=[empty, before])) == [
        "Nobody rode in this week.",
        "The week before had 1 ride.",
    ]


@pytest.mark.parametrize(("rides", "told"), [(1, "There was 1 ride."), (2, "There were 2 rides.")])
def test_rides_of_nobody_known_are_told_without_riders(rides: int, told: str) -> None:
    unknown = Totals(on=ON, rides=rides)
    day = a_full_summary(totals=[unknown], first_ride_at=None, parts={})
    assert wording.sentences(day)[0] == told


def test_a_day_is_called_by_its_weekday_and_date() -> None:
    assert wording.period_name(a_full_summary()) == "Tuesday 10 March 2026"


def test_a_week_is_told_by_its_days() -> None:
    told = wording.sentences(a_full_summary(weekly=True))
    assert told[1] == "The busiest day was Sunday, with 147 rides."
    assert wording.period_name(a_full_summary(weekly=True)) == "Week 11, 9 to 15 March 2026"


@pytest.mark.parametrize(
    ("on", "last_on", "told"),
    [
        (date(2026, 3, 30), date(2026, 4, 5), "Week 14, 30 March to 5 April 2026"),
        (date(2025, 12, 29), date(2026, 1, 4), "Week 1, 29 December 2025 to 4 January 2026"),
    ],
)
def test_a_week_names_month_and_year_of_its_first_day_where_its_last_has_others(
    on: date, last_on: date, told: str
) -> None:
    week = replace(a_full_summary(weekly=True), on=on, last_on=last_on)
    assert wording.period_name(week) == told


@pytest.mark.parametrize(
    ("first_on", "weekly", "told"),
    [
        (date(2025, 1, 1), False, "7-day mean"),
        (date(2026, 3, 7), False, "3-day mean"),
        (date(2026, 3, 9), False, "1-day mean"),
        (date(2026, 2, 25), True, "2-week mean"),
        (ON, False, "7-day mean"),
    ],
)
def test_the_mean_is_called_by_how_many_periods_it_is_of(
    first_on: date, weekly: bool, told: str
) -> None:
    began_at = datetime.combine(first_on, time(12), UTC)
    summary = a_full_summary(weekly=weekly, first_ride_at=began_at)
    assert wording.usual_of(summary) == told
    assert all(told in tile.usual for tile in tables.tiles(summary) if summary.past)


@pytest.mark.parametrize(("name", "told"), [("Ada", "Ada"), (None, "Rider 7"), ("", "Rider 7")])
def test_who_has_no_name_goes_by_number(name: str | None, told: str) -> None:
    assert wording.name_of(Leader(7, name, 1, 400.0, 40.0, 300.0)) == told


def test_names_that_are_too_long_for_a_line_are_cut() -> None:
    assert formats.shortened("Ada Lovelace") == "Ada Lovelace"
    assert formats.shortened("Maximiliana Featherstonehaugh") == "Maximiliana Featherstoneh…"


def test_the_quality_of_the_data_stands_beside_that_of_the_past() -> None:
    told = {row.title: row for row in tables.rows(a_full_summary(), tables.QUALITY)}
    lines = told["Lines that could not be read"]
    assert (lines.value, lines.before, lines.usual) == ("13", "12", "12")
    contact = told["Seconds without hands on the bar"]
    assert [plain(told) for told in (contact.value, contact.before, contact.usual)] == [
        "17.2 %"
    ] * 3
    assert told["Bikes whose power sensor is probably broken"].value == "2"


def test_few_broken_sensors_are_named_and_many_are_only_counted() -> None:
    assert wording.serials_named(a_full_summary()) == (
        "Power sensors that are probably broken: SN0048, SN0049."
    )
    one, few, many = [[f"SN{number}" for number in range(count)] for count in (1, 6, 7)]
    assert "SN0" in (wording.serials_named(a_full_summary(faulty_serials=one)) or "")
    assert "SN5" in (wording.serials_named(a_full_summary(faulty_serials=few)) or "")
    assert wording.serials_named(a_full_summary(faulty_serials=many)) is None
    assert wording.serials_named(a_full_summary(faulty_serials=[])) is None


def test_every_reason_why_lines_were_refused_has_its_words() -> None:
    assert wording.REFUSED.keys() == set(RefusalReason)
    assert wording.refusals_named(a_full_summary()) == (
        "Lines that could not be read: 9 of an unknown kind, 4 cut off or garbled."
    )
    assert wording.refusals_named(a_full_summary(refusals=[])) is None
    later = a_full_summary(refusals=[RefusalCount("too_new", 1_000)])
    assert wording.refusals_named(later) == "Lines that could not be read: 1,000 too_new."
