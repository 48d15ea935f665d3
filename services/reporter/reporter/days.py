"""CORE: a day or a week of the company: where it begins and ends in a zone whose clocks change."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

ONE_DAY = timedelta(days=1)
ONE_HOUR = timedelta(hours=1)
DAYS_A_WEEK = 7


class Edition(StrEnum):
    """How long a time a report tells of."""

    DAILY = "daily"
    WEEKLY = "weekly"


class Part(Struct, frozen=True):
    """An hour of a day or a day of a week: what people call it, and when it begins, in UTC."""

    label: str
    begins_at: datetime


class Period(Struct, frozen=True):
    """The time a report tells of, from `begins_at` (included) to `ends_at` (not), both in UTC.

    `on` is its first day in the zone.
    """

    edition: Edition
    on: date
    begins_at: datetime
    ends_at: datetime
    zone: ZoneInfo

    @property
    def parts(self) -> tuple[Part, ...]:
        """The hours that begin on the day, 24, or 23 and 25 where the clocks change; or the days.

        Hours are called what clocks show: the one that comes twice is there twice.
        """
        if self.edition is Edition.WEEKLY:
            days = (self.on + number * ONE_DAY for number in range(DAYS_A_WEEK))
            return tuple(Part(f"{day:%a}", _midnight(self.zone, day)) for day in days)
        count = -((self.begins_at - self.ends_at) // ONE_HOUR)
        hours = (self.begins_at + number * ONE_HOUR for number in range(count))
        return tuple(Part(f"{hour.astimezone(self.zone):%H:%M}", hour) for hour in hours)

    @property
    def last_on(self) -> date:
        """Its last day in the zone."""
        return self.on + (_days_of(self.edition) - 1) * ONE_DAY

    def before(self, back: int) -> "Period":
        """The period of the same kind so many before this one."""
        return _period(self.edition, self.zone, self.on - back * _days_of(self.edition) * ONE_DAY)


def day_in(zone: ZoneInfo, on: date) -> Period:
    """The calendar day `on` as people in the zone live it."""
    return _period(Edition.DAILY, zone, on)


def week_in(zone: ZoneInfo, on: date) -> Period:
    """The week, Monday to Sunday, that holds the day `on`."""
    return _period(Edition.WEEKLY, zone, on - on.weekday() * ONE_DAY)


def today_in(zone: ZoneInfo, now: datetime) -> date:
    """The day that it is in the zone."""
    return now.astimezone(zone).date()


def days_from(first_on: date, last_on: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    for number in range((last_on - first_on).days + 1):
        yield first_on + number * ONE_DAY


def _days_of(edition: Edition) -> int:
    return DAYS_A_WEEK if edition is Edition.WEEKLY else 1


def _period(edition: Edition, zone: ZoneInfo, on: date) -> Period:
    ends_on = on + _days_of(edition) * ONE_DAY
    return Period(edition, on, _midnight(zone, on), _midnight(zone, ends_on), zone)


def _midnight(zone: ZoneInfo, on: date) -> datetime:
    return datetime.combine(on, time(), zone).astimezone(UTC)
