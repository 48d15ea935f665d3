"""CORE: what a day was like: every figure beside the day before and the mean of seven days.

`reporter.queries` counts; this compares. A ride belongs to the day on which it started. Nothing
here divides by a day without rides: what cannot be told is `None`.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from msgspec import Struct

from reporter.days import Day

DAYS_COMPARED = 7
# Of the rides in the bikes' recorded feed none lasted less than 179 s; the first sprint of the
# programme comes at 120 s. Who is gone by then did not ride: the bike, the line or the rider broke
# off.
CUT_SHORT_S = 120
# The first year of each age band but the lowest.
AGE_BANDS = (25, 35, 45, 55, 65)


class DayTotals(Struct, frozen=True, kw_only=True):
    """What all rides of one day come to; a ride that still goes on counts as a ride alone.

    `riders` are those we know; `new_riders` had never ridden before the day.
    """

    on: date
    rides: int = 0
    riders: int = 0
    new_riders: int = 0
    ride_time_s: float = 0.0
    total_power_watts: float = 0.0
    energy_kj: float = 0.0
    mean_duration_s: float | None = None
    mean_power_watts: float | None = None
    mean_heart_rate_bpm: float | None = None
    alerts: int = 0
    open_rides: int = 0
    rides_cut_short: int = 0
    rides_without_rider: int = 0
    without_contact_share: float | None = None

    @property
    def returning_riders(self) -> int:
        """Known riders who had ridden before the day."""
        return self.riders - self.new_riders


class Hour(Struct, frozen=True):
    """The rides that started in one hour of the day; `label` is what clocks showed then."""

    label: str
    rides: int = 0
    total_power_watts: float = 0.0
    mean_power_watts: float | None = None


class Group(Struct, frozen=True):
    """The rides of those who have something in common; `label` None: it is not known of them."""

    label: str | None
    rides: int
    riders: int
    new_riders: int
    ride_time_s: float


class Leader(Struct, frozen=True):
    """A rider and what the day brought; `name` None: the bike did not tell it."""

    rider_id: int
    name: str | None
    rides: int
    ride_time_s: float
    energy_kj: float
    max_power_watts: float | None


class AlertCount(Struct, frozen=True):
    """Heart-rate alerts of one level, and what became of the mails about them."""

    level: str
    alerts: int
    sent: int
    pending: int

    @property
    def not_sent(self) -> int:
        """Alerts that reached nobody: too late, refused or given up."""
        return self.alerts - self.sent - self.pending


class Comparison(Struct, frozen=True):
    """One figure beside its past. `mean_of_week` is of the seven days before the day."""

    name: str
    value: float | None
    day_before: float | None
    mean_of_week: float | None

    @property
    def change_from_day_before(self) -> float | None:
        """0.1 for a tenth more; None where there is nothing to compare with."""
        return _change(self.value, self.day_before)

    @property
    def change_from_week(self) -> float | None:
        """0.1 for a tenth above the mean of the seven days before."""
        return _change(self.value, self.mean_of_week)


class DailySummary(Struct, frozen=True, kw_only=True):
    """All that the report tells of a day.

    `week` holds the seven days before, oldest first, without those before the first ride ever.
    `dead_letters` None: nobody counted them.
    """

    on: date
    time_zone: str
    hours_in_day: int
    totals: DayTotals
    figures: tuple[Comparison, ...]
    week: tuple[DayTotals, ...]
    hours: tuple[Hour, ...]
    genders: tuple[Group, ...] = ()
    ages: tuple[Group, ...] = ()
    towns: tuple[Group, ...] = ()
    sources: tuple[Group, ...] = ()
    leaders: tuple[Leader, ...] = ()
    sprinters: tuple[Leader, ...] = ()
    alerts: tuple[AlertCount, ...] = ()
    dead_letters: int | None = None

    def figure(self, name: str) -> Comparison:
        """The figure of that name."""
        return next(figure for figure in self.figures if figure.name == name)

    @property
    def day_before(self) -> DayTotals | None:
        """The totals of the day before; None before the first ride ever."""
        return self.week[-1] if self.week else None

    @property
    def busiest_hours(self) -> list[Hour]:
        """The hours with the most rides; none on a day without rides."""
        most = max((hour.rides for hour in self.hours), default=0)
        return [hour for hour in self.hours if most and hour.rides == most]


class DayCounts(Struct, frozen=True, kw_only=True):
    """What was counted for the report of a day: its own rows, and the totals of eight days.

    `totals` holds the day and those before it that are to be compared, in any order; `hours`
    only those with rides, by their number from 0; `ages` by the number of their band.
    """

    totals: Sequence[DayTotals]
    first_ride_on: date | None = None
    hours: dict[int, Hour]
    genders: Sequence[Group] = ()
    ages: Sequence[Group] = ()
    towns: Sequence[Group] = ()
    sources: Sequence[Group] = ()
    leaders: Sequence[Leader] = ()
    sprinters: Sequence[Leader] = ()
    alerts: Sequence[AlertCount] = ()
    dead_letters: int | None = None


# A sum on a day without rides is 0 and counts in the mean; a mean of no rides is unknown.
FIGURES: dict[str, Callable[[DayTotals], float | None]] = {
    "rides": lambda day: day.rides,
    "riders": lambda day: day.riders,
    "new_riders": lambda day: day.new_riders,
    "returning_riders": lambda day: day.returning_riders,
    "ride_time_s": lambda day: day.ride_time_s,
    "mean_duration_s": lambda day: day.mean_duration_s,
    "total_power_watts": lambda day: day.total_power_watts,
    "mean_power_watts": lambda day: day.mean_power_watts,
    "energy_kj": lambda day: day.energy_kj,
    "mean_heart_rate_bpm": lambda day: day.mean_heart_rate_bpm,
    "alerts": lambda day: day.alerts,
    "rides_cut_short": lambda day: day.rides_cut_short,
    "rides_without_rider": lambda day: day.rides_without_rider,
    "without_contact_share": lambda day: day.without_contact_share,
}


def compared_days(day: date) -> list[date]:
    """The days whose totals a report needs: the seven before it and itself, oldest first."""
    return [day - timedelta(days=back) for back in range(DAYS_COMPARED, -1, -1)]


def summarise(day: Day, counts: DayCounts) -> DailySummary:
    """Compare a day's counts with the days before and name what was counted."""
    by_day = {totals.on: totals for totals in counts.totals}
    own = by_day.get(day.on, DayTotals(on=day.on))
    week = tuple(
        by_day.get(on, DayTotals(on=on))
        for on in compared_days(day.on)[:-1]
        if counts.first_ride_on is not None and on >= counts.first_ride_on
    )
    return DailySummary(
        on=day.on,
        time_zone=day.zone.key,
        hours_in_day=day.hours,
        totals=own,
        figures=tuple(_compare(name, own, week) for name in FIGURES),
        week=week,
        hours=_every_hour(day, counts.hours),
        genders=tuple(counts.genders),
        ages=_name_bands(counts.ages),
        towns=tuple(counts.towns),
        sources=tuple(counts.sources),
        leaders=tuple(counts.leaders),
        sprinters=tuple(counts.sprinters),
        alerts=tuple(counts.alerts),
        dead_letters=counts.dead_letters,
    )


def age_band_label(number: int) -> str:
    """The name of an age band by its number from 0: `under 25`, `25–34`, `65 and over`."""
    if number == 0:
        return f"under {AGE_BANDS[0]}"
    if number == len(AGE_BANDS):
        return f"{AGE_BANDS[-1]} and over"
    return f"{AGE_BANDS[number - 1]}–{AGE_BANDS[number] - 1}"


def _every_hour(day: Day, found: dict[int, Hour]) -> tuple[Hour, ...]:
    quiet = (Hour(day.hour_label(number)) for number in range(day.hours))
    return tuple(found.get(number, hour) for number, hour in enumerate(quiet))


def _name_bands(ages: Sequence[Group]) -> tuple[Group, ...]:
    by_label = {group.label: group for group in ages}
    bands = [age_band_label(number) for number in range(len(AGE_BANDS) + 1)]
    return tuple(by_label[label] for label in [*bands, None] if label in by_label)


def _compare(name: str, own: DayTotals, week: Sequence[DayTotals]) -> Comparison:
    figure = FIGURES[name]
    known = [value for value in map(figure, week) if value is not None]
    return Comparison(
        name=name,
        value=figure(own),
        day_before=figure(week[-1]) if week else None,
        mean_of_week=sum(known) / len(known) if known else None,
    )


def _change(value: float | None, before: float | None) -> float | None:
    return value / before - 1 if value is not None and before else None
