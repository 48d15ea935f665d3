"""CORE: company days and hours, and ages: one rule for every chart, list, report and answer.

A day runs from midnight to midnight of the company's time zone: 23 or 25 hours long where its
clocks change. A ride belongs to the day on which it began, and whatever a ride is measured by or
counted under (limits, zones, bands, leaders) takes its rider's age on that day. Who a rider is
tells the age on the company's day of today. Moments are aware; those handed out are in UTC.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

ONE_DAY: Final = timedelta(days=1)
ONE_HOUR: Final = timedelta(hours=1)
DAYS_A_WEEK: Final = 7

# Ages of riders that can be meant; a birthday outside is held to be unknown.
PLAUSIBLE_AGES: Final = range(5, 111)


def day_of(moment: datetime, zone: ZoneInfo) -> date:
    """The company's day at a moment; UTC's at the ends of time, where a bike's clock may stand."""
    try:
        return moment.astimezone(zone).date()
    except OverflowError:
        return moment.astimezone(UTC).date()


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a day begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def day_bounds(day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The moment at which a day begins, and that at which the next one does."""
    return midnight(day, zone), midnight(day + ONE_DAY, zone)


def days_from(first: date, last: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    for number in range((last - first).days + 1):
        yield first + number * ONE_DAY


def monday_of(day: date) -> date:
    """The first day of the week that holds a day."""
    return day - day.weekday() * ONE_DAY


def steps_of_day(day: date, step: timedelta, zone: ZoneInfo) -> Iterator[datetime]:
    """The moments at which the steps of a day begin: its hours, its quarters of an hour, itself.

    Steps of up to an hour last as long as they say: the hour that clocks show twice is there
    twice, the one that they leave out is not. Longer ones begin where clocks show it, at 00:00,
    06:00, 12:00 and so on, and one of them is an hour longer or shorter than it says.
    """
    begins, ends = day_bounds(day, zone)
    if step <= ONE_HOUR:
        for number in range(-((begins - ends) // step)):
            yield begins + number * step
        return
    on_the_clock = datetime.combine(day, time(), zone)
    for number in range(-(-ONE_DAY // step)):
        yield (on_the_clock + number * step).astimezone(UTC)


def steps_over(first: datetime, last: datetime, step: timedelta, zone: ZoneInfo) -> list[datetime]:
    """The beginnings of all steps that hold a moment from `first` to `last`, then the end of all.

    One entry more than there are steps: each reaches from its own entry to the next.
    """
    days = list(days_from(day_of(first, zone), day_of(last, zone)))
    begins = [at for day in days for at in steps_of_day(day, step, zone)]
    begins.append(midnight(days[-1] + ONE_DAY, zone))
    first_number = max(number for number, at in enumerate(begins) if at <= first)
    end_number = min(number for number, at in enumerate(begins) if at > last)
    return begins[first_number : end_number + 1]


def age_on(day: date, born_on: date) -> int:
    """Full years lived on a day; who was born on 29 February has the birthday on 1 March."""
    had_birthday = (day.month, day.day) >= (born_on.month, born_on.day)
    return day.year - born_on.year - (not had_birthday)


def known_age_on(day: date, born_on: date | None) -> int | None:
    """Full years lived on a day; None where the birthday is not known or cannot be meant."""
    age = age_on(day, born_on) if born_on is not None else None
    return age if age in PLAUSIBLE_AGES else None


def years_before(day: date, years: int) -> date:
    """The latest date of birth of who is `years` old on a day; of 29 February, the 28th."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return day.replace(year=day.year - years, day=28)
