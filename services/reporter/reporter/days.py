"""CORE: a day of the company: where it begins and ends in a zone whose clocks change."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

ONE_DAY = timedelta(days=1)
ONE_HOUR = timedelta(hours=1)


class Day(Struct, frozen=True):
    """A calendar day in a zone, from `begins_at` (included) to `ends_at` (not), both in UTC."""

    on: date
    begins_at: datetime
    ends_at: datetime
    zone: ZoneInfo

    @property
    def hours(self) -> int:
        """How many hours begin on it: 24, or 23 and 25 where the clocks change."""
        return -((self.begins_at - self.ends_at) // ONE_HOUR)

    def hour_label(self, hour: int) -> str:
        """What clocks show when its hour number `hour`, from 0, begins: `01:00`."""
        return f"{(self.begins_at + hour * ONE_HOUR).astimezone(self.zone):%H:%M}"


def day_in(zone: ZoneInfo, on: date) -> Day:
    """The calendar day `on` as people in the zone live it."""
    return Day(on, _midnight(zone, on), _midnight(zone, on + ONE_DAY), zone)


def _midnight(zone: ZoneInfo, on: date) -> datetime:
    return datetime.combine(on, time(), zone).astimezone(UTC)


def today_in(zone: ZoneInfo, now: datetime) -> date:
    """The day that it is in the zone."""
    return now.astimezone(zone).date()


def days_from(first_on: date, last_on: date) -> Iterator[date]:
    """Every day from the first to the last, both included."""
    for number in range((last_on - first_on).days + 1):
        yield first_on + number * ONE_DAY
