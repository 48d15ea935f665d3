"""CORE: figures in plain English: numbers, changes, and the sentences that say what was special.

Every sentence is computed from the summary; what is not known is not told.
"""

import calendar
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Final

from msgspec import Struct

from deloton.formats import NOTHING, duration, energy, number, power
from reporter.days import Edition
from reporter.summary import AlertCount, Comparison, Group, Leader, Summary

# A change that is worth a word in the sentence: of rides a tenth, up or down.
NOTABLE_CHANGE: Final = 0.1
# Below half a per cent up or down, people call it the same.
SAME: Final = 0.005
# Changes beyond this are told as a factor: +4,900 % says less than 50 times.
LARGE_CHANGE: Final = 9.995
# The most of two periods is no record.
FEWEST_COMPARED: Final = 2
# In signs: a line of half a page, beside two figures.
LONGEST_NAME: Final = 26
# The same, beside three figures.
LONGEST_LABEL: Final = 20
WEEKDAYS: Final = {day[:3]: day for day in calendar.day_name}
# A report that fits on two pages: the figures of the headline, in reading order.
TILES: Final = {
    "rides": "Rides",
    "riders": "Riders",
    "ride_time_s": "Time ridden",
    "mean_duration_s": "Mean duration",
    "total_power_watts": "Total power",
    "mean_power_watts": "Mean power",
    "energy_kj": "Energy",
    "mean_heart_rate_bpm": "Mean heart rate",
}
# Of how good quality the data are.
QUALITY: Final = {
    "open_rides": "Rides still going on when this was written",
    "rides_cut_short": "Rides cut short, before the first sprint",
    "rides_without_rider": "Rides whose rider is not known",
    "without_contact_share": "Seconds without hands on the bar",
    "faulty_bikes": "Bikes whose power sensor is probably broken",
    "dead_letters": "Lines that could not be read",
}
NEW_AND_RETURNING: Final = {"new_riders": "New", "returning_riders": "Returning"}
# By `deloton.log_lines.RefusalReason`: what the lines are.
REFUSED: Final = {
    "not_utf8": "no text",
    "not_json": "cut off or garbled",
    "no_log": "empty",
    "unknown_line": "of an unknown kind",
    "bad_stamp": "without a usable time",
    "bad_number": "with an unusable number",
    "bad_rider_data": "with unusable rider data",
    "no_ride": "of no known ride",
}
# More than these are counted and not named.
MOST_SERIALS: Final = 6
# From here on a tenth of a mean count says nothing.
LARGE_COUNT: Final = 100


class Tile(Struct, frozen=True):
    """A headline figure, and how it differs from its past, in words."""

    title: str
    value: str
    before: str
    usual: str


class Row(Struct, frozen=True):
    """A figure of a table, beside those of its past."""

    title: str
    value: str
    before: str
    usual: str


def share(value: float | None) -> str:
    """A share in per cent: `17.3 %`."""
    return NOTHING if value is None else _per_cent(f"{value:.1%}")


FORMATS: Final[dict[str, Callable[[float | None], str]]] = {
    "ride_time_s": duration,
    "mean_duration_s": duration,
    "total_power_watts": power,
    "mean_power_watts": power,
    "energy_kj": energy,
    "mean_heart_rate_bpm": lambda bpm: number(bpm, "bpm"),
    "without_contact_share": share,
}


def mean_count(value: float | None) -> str:
    """A mean of whole numbers: `0.3`, `12`, `1,234`."""
    if value is None or value >= LARGE_COUNT or value == round(value):
        return number(value)
    return f"{value:.1f}"


def change(value: float) -> str:
    """A relative change as people say it: `+12 %`, `−3 %`, `±0 %`, `12 times`."""
    if value > LARGE_CHANGE:
        return f"{value + 1:,.0f} times"
    if abs(value) < SAME:
        return _per_cent("±0%")
    return _per_cent(f"{'+' if value > 0 else '−'}{abs(value):.0%}")


def compared(value: float | None, against: str) -> str:
    """A change with what it is measured by: `+12 % on the day before`."""
    if value is None:
        return f"{against}: {NOTHING}"
    return f"{change(value)} {'' if value > LARGE_CHANGE else 'on '}the {against}"


def _per_cent(told: str) -> str:
    """The sign stands apart from its number and on the same line."""
    return told.replace("%", "\u00a0%")


def tiles(summary: Summary) -> list[Tile]:
    """The headline's figures in reading order."""
    return [_tile(summary, name, title) for name, title in TILES.items()]


def _tile(summary: Summary, name: str, title: str) -> Tile:
    says, figure = words(summary), summary.figure(name)
    return Tile(
        title,
        FORMATS.get(name, number)(figure.value),
        compared(figure.change_from_before, says["before"]),
        compared(figure.change_from_usual, says["usual"]),
    )


def rows(summary: Summary, titles: Mapping[str, str]) -> list[Row]:
    """The figures of a table, by their names, beside those of the past."""
    return [_row(summary.figure(name), title) for name, title in titles.items()]


def _row(figure: Comparison, title: str) -> Row:
    told = FORMATS.get(figure.name, number)
    mean = FORMATS.get(figure.name, mean_count)
    return Row(title, told(figure.value), told(figure.before), mean(figure.usual))


def period_name(summary: Summary) -> str:
    """`Tuesday 10 March 2026`, or `Week 11, 9 to 15 March 2026`."""
    if summary.edition is Edition.DAILY:
        return f"{summary.on:%A} {long_date(summary.on)}"
    first = str(summary.on.day)
    if summary.on.month != summary.last_on.month:
        first += f" {summary.on:%B}"
    if summary.on.year != summary.last_on.year:
        first += f" {summary.on.year}"
    week = summary.on.isocalendar().week
    return f"Week {week}, {first} to {long_date(summary.last_on)}"


def long_date(day: date) -> str:
    """`10 March 2026`."""
    return f"{day.day} {day:%B %Y}"


def edition_title(summary: Summary) -> str:
    """What the report is called."""
    return "Daily report" if summary.edition is Edition.DAILY else "Weekly report"


def words(summary: Summary) -> dict[str, str]:
    """The words in which the two editions differ."""
    if summary.edition is Edition.DAILY:
        return {
            "period": "day",
            "own": "this day",
            "before": "day before",
            "usual": "7-day mean",
            "part": "hour",
            "began": "hour in which they began",
        }
    return {
        "period": "week",
        "own": "this week",
        "before": "week before",
        "usual": "7-week mean",
        "part": "day",
        "began": "day on which they began",
    }


def sentences(summary: Summary) -> list[str]:
    """What was special, most important first; two to four sentences."""
    if not summary.totals.rides:
        return _quiet_period(summary)
    told = [_opening(summary), _busiest(summary), _record(summary), _alerts(summary)]
    return [sentence for sentence in told if sentence]


def _quiet_period(summary: Summary) -> list[str]:
    period = words(summary)["period"]
    before = summary.figure("rides").before
    told = [f"Nobody rode on this {period}." if period == "day" else "Nobody rode in this week."]
    if before:
        told.append(f"The {period} before had {plural(before, 'ride')}.")
    elif not summary.past:
        told.append("No ride has been recorded before either.")
    return told


def _opening(summary: Summary) -> str:
    totals = summary.totals
    if not totals.riders:
        told = f"There {'was' if totals.rides == 1 else 'were'} {plural(totals.rides, 'ride')}"
        return f"{told}{_against_usual(summary)}."
    told = f"{plural(totals.riders, 'rider')} took {plural(totals.rides, 'ride')}"
    if totals.new_riders:
        all_are_new = totals.new_riders == totals.riders
        who = "all" if all_are_new else f"{number(totals.new_riders)} of them"
        told += f", {who if totals.riders > 1 else 'and did so'} for the first time"
    return f"{told}{_against_usual(summary)}."


def _against_usual(summary: Summary) -> str:
    differs_by = summary.figure("rides").change_from_usual
    if differs_by is None:
        return ""
    mean = f"mean of the {words(summary)['period']}s before"
    if abs(differs_by) < NOTABLE_CHANGE:
        return f": about as many rides as the {mean}"
    if differs_by > LARGE_CHANGE:
        return f": {change(differs_by)} the {mean}"
    more = "more" if differs_by > 0 else "fewer"
    return _per_cent(f": {abs(differs_by):.0%} {more} rides than the {mean}")


def _busiest(summary: Summary) -> str | None:
    busiest = summary.busiest_parts
    if len(busiest) != 1 or sum(1 for part in summary.parts if part.rides) == 1:
        return None
    [part] = busiest
    if summary.edition is Edition.DAILY:
        return f"The busiest hour began at {part.label}, with {plural(part.rides, 'ride')}."
    return f"The busiest day was {WEEKDAYS[part.label]}, with {plural(part.rides, 'ride')}."


def _record(summary: Summary) -> str | None:
    """Whether the period had the most or fewest rides of all that it is compared with."""
    rides, past = summary.totals.rides, [one.rides for one in summary.past]
    if len(past) < FEWEST_COMPARED:
        return None
    periods = f"of the last {len(past) + 1} {words(summary)['period']}s"
    if rides > max(past):
        return f"It was the busiest {periods}."
    return f"It was the quietest {periods}." if rides < min(past) else None


def _alerts(summary: Summary) -> str:
    total = alerts_of(summary)
    if not total:
        return "No heart rate was out of its limits."
    unsent = sum(alert.not_sent for alert in summary.alerts)
    told = f"There {'was' if total == 1 else 'were'} {plural(total, 'heart-rate alert')}"
    if not unsent:
        return f"{told}."
    if unsent < total:
        return f"{told}; {number(unsent)} of them could not be mailed."
    return f"{told}, which could not be mailed." if total == 1 else f"{told}, none of them mailed."


def alerts_of(summary: Summary) -> int:
    """Heart-rate alerts of all levels."""
    return sum(alert.alerts for alert in summary.alerts)


def plural(count: float, noun: str) -> str:
    """`1 ride`, `2 rides`, `no rides`."""
    return f"{number(count) if count else 'no'} {noun}{'' if count == 1 else 's'}"


def name_of(leader: Leader) -> str:
    """What a leader is called; one whose name is not known by number."""
    return leader.name or f"Rider {leader.rider_id}"


def shortened(text: str, longest: int = LONGEST_NAME) -> str:
    """A name that fits on one line of the report's columns."""
    return text if len(text) <= longest else f"{text[: longest - 1].rstrip()}…"


def label_of(group: Group) -> str:
    """What a group is called."""
    return (group.label or "unknown").capitalize()


def share_of_rides(group: Group, summary: Summary) -> str:
    """A group's share of all rides."""
    return share(group.rides / summary.totals.rides if summary.totals.rides else None)


def shares_listed(groups: Iterable[Group], summary: Summary) -> str:
    """All groups in a line: `Female 51.2 %, Male 48.8 %`."""
    return ", ".join(f"{label_of(one)} {share_of_rides(one, summary)}" for one in groups)


def serials_named(summary: Summary) -> str | None:
    """Which bikes have a power sensor that is probably broken, where they are few."""
    if not 0 < len(summary.faulty_serials) <= MOST_SERIALS:
        return None
    named = ", ".join(map(shortened, summary.faulty_serials))
    return f"Power sensors that are probably broken: {named}."


def refusals_told(summary: Summary) -> str | None:
    """Why lines could not be read, the commonest reason first."""
    if not summary.refusals:
        return None
    told = (
        f"{number(one.lines)} {REFUSED.get(one.reason, one.reason)}" for one in summary.refusals
    )
    return f"Lines that could not be read: {', '.join(told)}."


def alert_facts(alert: AlertCount) -> tuple[str, str, str, str, str]:
    """A row of the table of alerts: level, alerts, mailed, on their way, not mailed."""
    counts = (alert.alerts, alert.sent, alert.pending, alert.not_sent)
    return (alert.level.capitalize(), *map(number, counts))  # type: ignore[return-value]
