"""CORE: what a day was like: every figure beside the day before and the mean of up to seven.

Or a week, beside the week before and the mean of up to seven: in this module *period* means
either. Periods before the first ride ever are not compared with. `reporter.queries` counts; this
compares. A ride belongs to the period in which it started. Nothing here divides by a period
without rides: what cannot be told is `None`.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from msgspec import Struct, structs

from deloton.rules.age_bands import AGE_BANDS
from reporter.days import Edition, Period

PERIODS_COMPARED = 7
# Of the rides in the bikes' recorded feed none lasted less than 179 s; the first sprint of the
# programme comes at 120 s. Who is gone by then did not ride: the bike, the line or the rider broke
# off.
CUT_SHORT_S = 120


class Totals(Struct, frozen=True, kw_only=True):
    """What all rides of one period come to; a ride that still goes on counts as a ride alone.

    `on` is its first day. `riders` are those we know; `new_riders` had never ridden before.
    `faulty_bikes` have a power sensor that is probably broken. `dead_letters` are the lines that
    could not be used, by when they came.
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
    faulty_bikes: int = 0
    dead_letters: int = 0

    @property
    def returning_riders(self) -> int:
        """Known riders who had ridden before."""
        return self.riders - self.new_riders


class PartTotals(Struct, frozen=True):
    """The rides that started in one hour of the day or day of the week, by its label."""

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
    """A rider and what the period brought; `name` None: the bike did not tell it."""

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


class RefusalCount(Struct, frozen=True):
    """Lines that could not be used for one reason, as `deloton.feed.log_lines` names it."""

    reason: str
    lines: int


class Comparison(Struct, frozen=True):
    """One figure beside its past: the period before, and `usual`, the mean of those before."""

    name: str
    value: float | None
    before: float | None
    usual: float | None

    @property
    def change_from_before(self) -> float | None:
        """0.1 for a tenth more; None where there is nothing to compare with."""
        return _change(self.value, self.before)

    @property
    def change_from_usual(self) -> float | None:
        """0.1 for a tenth above the mean of the periods before."""
        return _change(self.value, self.usual)


class Summary(Struct, frozen=True, kw_only=True):
    """All that the report tells of a day or a week, from `on` to `last_on`.

    `past` holds up to seven periods before, oldest first: none before the first ride ever.
    `faulty_serials` names the bikes whose power sensor is probably broken.
    """

    edition: Edition
    on: date
    last_on: date
    time_zone: str
    totals: Totals
    figures: tuple[Comparison, ...]
    past: tuple[Totals, ...]
    parts: tuple[PartTotals, ...]
    genders: tuple[Group, ...] = ()
    ages: tuple[Group, ...] = ()
    towns: tuple[Group, ...] = ()
    sources: tuple[Group, ...] = ()
    leaders: tuple[Leader, ...] = ()
    sprinters: tuple[Leader, ...] = ()
    alerts: tuple[AlertCount, ...] = ()
    faulty_serials: tuple[str, ...] = ()
    refusals: tuple[RefusalCount, ...] = ()

    def figure(self, name: str) -> Comparison:
        """The figure of that name."""
        return next(figure for figure in self.figures if figure.name == name)

    @property
    def busiest_parts(self) -> list[PartTotals]:
        """The hours or days with the most rides; none in a period without rides."""
        most = max((part.rides for part in self.parts), default=0)
        return [part for part in self.parts if most and part.rides == most]


class Counts(Struct, frozen=True, kw_only=True):
    """What was counted for a report: the period's own rows, and the totals of eight periods.

    `totals` holds the period and those before it that are to be compared, in any order; `parts`
    only those with rides, by their number from 0.
    """

    totals: Sequence[Totals]
    first_ride_at: datetime | None = None
    parts: dict[int, PartTotals]
    genders: Sequence[Group] = ()
    ages: Sequence[Group] = ()
    towns: Sequence[Group] = ()
    sources: Sequence[Group] = ()
    leaders: Sequence[Leader] = ()
    sprinters: Sequence[Leader] = ()
    alerts: Sequence[AlertCount] = ()
    faulty_serials: Sequence[str] = ()
    refusals: Sequence[RefusalCount] = ()


# A sum in a period without rides is 0 and counts in the mean; a mean of no rides is unknown.
COMPARED: dict[str, Callable[[Totals], float | None]] = {
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
    "open_rides": lambda day: day.open_rides,
    "rides_cut_short": lambda day: day.rides_cut_short,
    "rides_without_rider": lambda day: day.rides_without_rider,
    "without_contact_share": lambda day: day.without_contact_share,
    "faulty_bikes": lambda day: day.faulty_bikes,
    "dead_letters": lambda day: day.dead_letters,
}


def compared_periods(period: Period) -> list[Period]:
    """The periods whose totals a report needs: the seven before it and itself, oldest first."""
    return [period.before(back) for back in range(PERIODS_COMPARED, -1, -1)]


def summarise(period: Period, counts: Counts) -> Summary:
    """Compare a period's counts with those before and name what was counted."""
    by_start = {totals.on: totals for totals in counts.totals}
    own = by_start.get(period.on, Totals(on=period.on))
    past = tuple(
        by_start.get(earlier.on, Totals(on=earlier.on))
        for earlier in compared_periods(period)[:-1]
        if counts.first_ride_at is not None and earlier.ends_at > counts.first_ride_at
    )
    return Summary(
        edition=period.edition,
        on=period.on,
        last_on=period.last_on,
        time_zone=period.zone.key,
        totals=own,
        figures=tuple(_compare(name, own, past) for name in COMPARED),
        past=past,
        parts=_every_part(period, counts.parts),
        genders=tuple(counts.genders),
        ages=_name_bands(counts.ages),
        towns=tuple(counts.towns),
        sources=tuple(counts.sources),
        leaders=tuple(counts.leaders),
        sprinters=tuple(counts.sprinters),
        alerts=tuple(counts.alerts),
        faulty_serials=tuple(counts.faulty_serials),
        refusals=tuple(counts.refusals),
    )


def _every_part(period: Period, found: dict[int, PartTotals]) -> tuple[PartTotals, ...]:
    return tuple(
        found.get(number, PartTotals(part.label)) for number, part in enumerate(period.parts)
    )


def _name_bands(ages: Sequence[Group]) -> tuple[Group, ...]:
    by_label = {group.label: group for group in ages}
    return tuple(by_label[label] for label in [*AGE_BANDS, None] if label in by_label)


def _compare(name: str, own: Totals, past: Sequence[Totals]) -> Comparison:
    figure = COMPARED[name]
    known = [value for value in map(figure, past) if value is not None]
    return Comparison(
        name=name,
        value=figure(own),
        before=figure(past[-1]) if past else None,
        usual=sum(known) / len(known) if known else None,
    )


def _change(value: float | None, before: float | None) -> float | None:
    return (value - before) / before if value is not None and before else None


def by_initials(summary: Summary) -> Summary:
    """The same figures without a leader's name: `A. L.` for Ada Lovelace."""
    return structs.replace(
        summary,
        leaders=tuple(map(_by_initials, summary.leaders)),
        sprinters=tuple(map(_by_initials, summary.sprinters)),
    )


def _by_initials(leader: Leader) -> Leader:
    initials = leader.name and " ".join(f"{word[0]}." for word in leader.name.split())
    return structs.replace(leader, name=initials)
