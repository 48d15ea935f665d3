"""CORE: the day or week of the company that a report tells of, and the parts it is shown in."""

from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from msgspec import Struct

from deloton.rules.calendar import (
    DAYS_A_WEEK,
    ONE_DAY,
    ONE_HOUR,
    days_from,
    midnight,
    monday_of,
    steps_of_day,
)


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
            days = days_from(self.on, self.last_on)
            return tuple(Part(f"{day:%a}", midnight(day, self.zone)) for day in days)
        hours = steps_of_day(self.on, ONE_HOUR, self.zone)
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
    return _period(Edition.WEEKLY, zone, monday_of(on))


def _days_of(edition: Edition) -> int:
    return DAYS_A_WEEK if edition is Edition.WEEKLY else 1


def _period(edition: Edition, zone: ZoneInfo, on: date) -> Period:
    ends_on = on + _days_of(edition) * ONE_DAY
    return Period(edition, on, midnight(on, zone), midnight(ends_on, zone), zone)
