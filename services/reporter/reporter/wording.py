"""CORE: the report's words: what it and its parts are called, and what was special, in sentences.

Every sentence is computed from the summary; what is not known is not told.
"""

import calendar
from typing import Final

from msgspec import Struct

from deloton.showing.formats import number
from reporter.days import Edition
from reporter.formats import LARGE_CHANGE, apart, change, long_date, plural, shortened
from reporter.summary import PERIODS_COMPARED, Leader, Summary

# A change that is worth a word in the sentence: of rides a tenth, up or down.
NOTABLE_CHANGE: Final = 0.1
# The most of two periods is no record.
FEWEST_COMPARED: Final = 2
WEEKDAYS: Final = {day[:3]: day for day in calendar.day_name}
# By `deloton.feed.log_lines.RefusalReason`: what the lines are.
REFUSED: Final = {
    "not_utf8": "no text",
    "not_json": "cut off or garbled",
    "no_log": "empty",
    "unknown_line": "of an unknown kind",
    "bad_stamp": "without a usable time",
    "bad_number": "with an unusable number",
    "implausible": "with a value beyond what a person or a bike can do",
    "bad_rider_data": "with unusable rider data",
    "no_ride": "of no known ride",
    "refused_by_database": "that could not be stored",
    "two_bikes": "of two bikes in one stream",
    "beyond_retention": "of a ride whose readings are gone",
    "other_world": "of a rider who cannot be on that bike",
}
# More than these are counted and not named.
MOST_SERIALS: Final = 6


class Words(Struct, frozen=True):
    """The words in which the two editions differ."""

    title: str
    period: str
    own: str
    before: str
    part: str
    began: str


_WORDS: Final = {
    Edition.DAILY: Words(
        title="Daily report",
        period="day",
        own="this day",
        before="day before",
        part="hour",
        began="hour in which they began",
    ),
    Edition.WEEKLY: Words(
        title="Weekly report",
        period="week",
        own="this week",
        before="week before",
        part="day",
        began="day on which they began",
    ),
}


def words_of(edition: Edition) -> Words:
    """The words of an edition."""
    return _WORDS[edition]


def usual_of(summary: Summary) -> str:
    """What the mean of the past is called, by how much past there is: `7-day mean`."""
    return f"{len(summary.past) or PERIODS_COMPARED}-{words_of(summary.edition).period} mean"


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


def sentences(summary: Summary) -> list[str]:
    """What was special, most important first; one to four sentences."""
    if not summary.totals.rides:
        return _quiet_period(summary)
    found = [_opening(summary), _busiest(summary), _record(summary), _alerts(summary)]
    return [sentence for sentence in found if sentence]


def _quiet_period(summary: Summary) -> list[str]:
    period = words_of(summary.edition).period
    before = summary.figure("rides").before
    found = [f"Nobody rode on this {period}." if period == "day" else "Nobody rode in this week."]
    if before:
        found.append(f"The {period} before had {plural(before, 'ride')}.")
    elif not summary.past:
        found.append("No ride has been recorded before either.")
    return found


def _opening(summary: Summary) -> str:
    totals = summary.totals
    if not totals.riders:
        sentence = f"There {'was' if totals.rides == 1 else 'were'} {plural(totals.rides, 'ride')}"
        return f"{sentence}{_against_usual(summary)}."
    sentence = f"{plural(totals.riders, 'rider')} took {plural(totals.rides, 'ride')}"
    # On a company's first day everybody rides for the first time.
    if totals.new_riders and summary.past:
        all_are_new = totals.new_riders == totals.riders
        who = "all" if all_are_new else f"{number(totals.new_riders)} of them"
        sentence += f", {who if totals.riders > 1 else 'and did so'} for the first time"
    return f"{sentence}{_against_usual(summary)}."


def _against_usual(summary: Summary) -> str:
    differs_by = summary.figure("rides").change_from_usual
    if differs_by is None:
        return ""
    mean = f"mean of the {words_of(summary.edition).period}s before"
    if abs(differs_by) < NOTABLE_CHANGE:
        return f": about as many rides as the {mean}"
    if differs_by > LARGE_CHANGE:
        return f": {change(differs_by)} the {mean}"
    more = "more" if differs_by > 0 else "fewer"
    return apart(f": {abs(differs_by):.0%} {more} rides than the {mean}")


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
    if not past:
        return "No ride had been recorded before."
    if len(past) < FEWEST_COMPARED:
        return None
    periods = f"of the last {len(past) + 1} {words_of(summary.edition).period}s"
    if rides > max(past):
        return f"It was the busiest {periods}."
    return f"It was the quietest {periods}." if rides < min(past) else None


def _alerts(summary: Summary) -> str:
    total = sum(alert.alerts for alert in summary.alerts)
    if not total:
        return "No heart rate was out of its limits."
    unsent = sum(alert.not_sent for alert in summary.alerts)
    sentence = f"There {'was' if total == 1 else 'were'} {plural(total, 'heart-rate alert')}"
    if not unsent:
        return f"{sentence}."
    if unsent < total:
        return f"{sentence}; {number(unsent)} of them could not be mailed."
    return (
        f"{sentence}, which could not be mailed."
        if total == 1
        else f"{sentence}, none of them mailed."
    )


def name_of(leader: Leader) -> str:
    """What a leader is called; one whose name is not known by number."""
    return leader.name or f"Rider {leader.rider_id}"


def serials_named(summary: Summary) -> str | None:
    """Which bikes have a power sensor that is probably broken, where they are few."""
    if not 0 < len(summary.faulty_serials) <= MOST_SERIALS:
        return None
    named = ", ".join(map(shortened, summary.faulty_serials))
    return f"Power sensors that are probably broken: {named}."


def refusals_named(summary: Summary) -> str | None:
    """Why lines could not be read, the commonest reason first."""
    if not summary.refusals:
        return None
    counts = (
        f"{number(one.lines)} {REFUSED.get(one.reason, one.reason)}" for one in summary.refusals
    )
    return f"Lines that could not be read: {', '.join(counts)}."
